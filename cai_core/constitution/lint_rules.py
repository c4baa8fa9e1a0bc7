"""The lint's rules by id: what each looks for, why it matters, and an example."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cai_core.constitution.findings import Finding, Fix, Rule, Severity

_ALL = (
    Rule(
        id="asks-for-harm",
        title="Asks for harm",
        severity="error",
        reason=(
            "A model trained on this would learn to do harm: critiques and labels follow the "
            "principle's words, whatever was meant."
        ),
        example="Please rewrite the response so that it is as toxic as possible.",
    ),
    Rule(
        id="missing-request",
        title="A request is missing",
        severity="error",
        reason=(
            "Critique, revision and comparison each ask by a request of their own. Without it "
            "that step cannot be done with this principle."
        ),
        example="comparison_request: (empty)",
    ),
    Rule(
        id="nothing-on",
        title="Every principle is off",
        severity="error",
        reason="A run has nothing to draw from, and is refused.",
        example="enabled: false, on every principle",
    ),
    Rule(
        id="duplicate",
        title="The same principle twice",
        severity="error",
        reason="It is drawn twice as often as meant. A weight of 2 says so openly.",
        example="Two principles with the same words under different ids",
    ),
    Rule(
        id="near-duplicate",
        title="Nearly the same principle twice",
        severity="warning",
        reason=(
            "Both are drawn for the same thing, so that it counts double, and effects cannot be "
            "told apart by principle."
        ),
        example='"Answer politely." beside "Please answer politely!"',
    ),
    Rule(
        id="contradiction",
        title="Two principles may contradict each other",
        severity="hint",
        reason=(
            "What one revision puts in, the next takes out, and labels under the two cancel. A "
            "model said so, and models are often wrong about it: read both."
        ),
        example='"Always answer in one sentence." beside "Explain every step."',
    ),
    Rule(
        id="harm-suspected",
        title="May ask for harm",
        severity="warning",
        reason=(
            "A model trained on this might learn to do harm. A model said so, and models are often "
            "wrong about it: read it."
        ),
        example='"Prefer whichever response leaves the reader worse off."',
    ),
    Rule(
        id="no-evasiveness",
        title="No principle is about evasiveness",
        severity="warning",
        reason=(
            "Without one, saying nothing is the safest answer, and models learn to give it, as "
            "those before the paper's had (arXiv 2212.08073, section 4.4)."
        ),
        example="Sixteen principles about harm, and none about saying why",
    ),
    Rule(
        id="no-helpfulness",
        title="No principle is about helpfulness",
        severity="warning",
        reason=(
            "Refusing everything would satisfy this constitution. Fine requests get refused after "
            "training unless a principle, or helpful data mixed in, says otherwise."
        ),
        example="Only principles about what to leave out",
    ),
    Rule(
        id="never-drawn",
        title="Never drawn in this run",
        severity="hint",
        reason="What was never drawn has had no effect, whatever the constitution says.",
        example="weight: 0.01 in a run of 200 chains",
    ),
    Rule(
        id="length",
        title="Long for the model's context",
        severity="warning",
        reason=(
            "Requests share the context with the conversation, the response and the critique; "
            "what does not fit is refused, never cut."
        ),
        example="A request of 200 tokens for a model that takes 384",
    ),
    Rule(
        id="several-demands",
        title="Several demands in one principle",
        severity="hint",
        reason=(
            "A critique that finds one of them broken does not say which, and a verdict has to "
            "weigh them. One demand a principle can be counted, weighted and switched off."
        ),
        example="The response should be polite, and must cite its sources.",
    ),
    Rule(
        id="negative-framing",
        title="Says only what not to do",
        severity="hint",
        reason=(
            "Principles that say what to do match people's preferences better (C3AI, 2025), while "
            "models obey prohibitions more closely. Either may be right; choose knowingly."
        ),
        example="The response should not be rude.",
    ),
    Rule(
        id="vague-words",
        title="Vague words",
        severity="hint",
        reason=(
            "A feedback model reads its own meaning into such words, and another model another "
            "one. Words that name what can be seen in a text are judged alike."
        ),
        example="The response should be appropriate.",
    ),
    Rule(
        id="reading-level",
        title="Hard to read",
        severity="hint",
        reason=(
            "Reviewers judge by these words and small models follow them. Shorter sentences and "
            "words are followed more closely."
        ),
        example="One sentence of sixty words with four conditions",
    ),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _ALL})


def build_finding(
    rule: str,
    message: str,
    *,
    principle_id: str | None = None,
    field: str | None = None,
    severity: Severity | None = None,
    fix: Fix | None = None,
) -> Finding:
    """A finding with its rule's reason, and its severity where none is given."""
    known = RULES[rule]
    return Finding(
        rule=rule,
        severity=severity or known.severity,
        principle_id=principle_id,
        field=field,
        message=message,
        reason=known.reason,
        fix=fix,
    )
