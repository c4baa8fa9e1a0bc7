"""A chain out of the index as a transcript, and everything that made each of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.records import Finding, StepKind
from cai_core.workspace.index.views import ChainView, StepView
from ui.diff import build_diff
from ui.explorer_filter import WORDS
from ui.explorer_held import find_held
from ui.explorer_list import FINDING_BADGES
from ui.harm import NOTHING, HeldBack, hold_back, hold_removed
from ui.look import Thing, build_badge, build_card, build_error, escape
from ui.reasoning import build_reasoning

_THINGS: dict[StepKind, Thing] = {
    StepKind.RESPONSE: "response",
    StepKind.CRITIQUE: "critique",
    StepKind.REVISION: "revision",
}
# What a row says of itself, in the order in which one asks; what is not listed follows.
_FACTS = {
    "model_id": "Model",
    "weights_hash": "Weights hash",
    "engine": "Engine",
    "engine_version": "Engine version",
    "repeatability": "Repeatability",
    "sampling": "Sampling",
    "seed": "Seed",
    "template_version": "Template",
    "prompt_tokens": "Prompt tokens",
    "completion_tokens": "Written tokens",
    "seconds": "Seconds",
    "finish_reason": "Finish reason",
    "role": "Role",
    "sample": "Sample",
    "order": "Order",
    "cot": "Chain of thought",
    "row_id": "Row",
}
# Shown elsewhere in the drawer, or the same for every row of the chain.
_ELSEWHERE = {"run_id", "prompt_id", "prompt_hash", "constitution_hash", "kind", "step", "index",
    "round", "prompt", "text", "finding", "error", "principle_id", "reasoning"}  # fmt: skip
STYLE = """<style>
.stHtml dl.cai-facts { display: grid; gap: 0.2rem 1rem;
  grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr);
  margin: 0; padding: 0; font-size: 0.875rem; line-height: 1.45; }
.cai-facts dt { margin: 0; font-weight: 400; color: light-dark(#5b6270, #a3aab8); }
.cai-facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
h3.cai-part { font-size: 1.05rem; font-weight: 600; margin: 0.5rem 0 0; padding: 0; }
.cai-transcript { display: grid; gap: 0.75rem; }
.cai-chain-head { display: flex; flex-wrap: wrap; gap: 0.35rem; align-items: center; }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a transcript: cards as HTML, and the critique that they end in.

    Attributes:
        critique: None in the last piece, and where the chain ends in another step.
    """

    body: str
    critique: StepView | None = None


def build_parts(chain: ChainView, *, with_diff: bool, show_harmful: bool) -> list[Part]:
    """The chain from top to bottom, cut behind each critique that has a text."""
    held = NOTHING if show_harmful else find_held(chain)
    parts: list[Part] = []
    cards = [build_turn(turn.role, turn.content) for turn in chain.conversation]
    draft, round_shown = "", 0
    for step in chain.steps:
        if step.round > round_shown:
            round_shown = step.round
            cards.append(_principle_card(chain, step))
        cards.append(_step_card(step, draft, held, with_diff=with_diff))
        if step.kind is StepKind.CRITIQUE and step.error is None:
            parts.append(Part(body=_join(cards), critique=step))
            cards = []
        elif step.error is None:
            draft = step.text
    return [*parts, Part(body=_join(cards))] if cards else parts


def build_chain_head(chain: ChainView) -> str:
    """What the chain is, in a line of badges."""
    kind = WORDS["kind"].get(chain.kind, chain.kind)
    badges = [build_badge(word, quiet=True) for word in (kind, *chain.tags) if word]
    if chain.recorded:
        badges.append(build_badge("recorded", quiet=True, dashed=True))
    words = f'<span class="cai-quiet">{escape(f"{chain.constitution} · {chain.run}")}</span>'
    return f'<div class="cai-chain-head">{"".join(badges)}{words}</div>'


def build_chain_facts(chain: ChainView) -> str:
    """The run, the constitution and the prompt that the chain comes from."""
    return build_facts(
        {
            "Run": chain.run,
            "Kind of run": chain.run_kind,
            "State of run": chain.run_state,
            "Started": chain.started_at,
            "Constitution": chain.constitution,
            "Version": chain.constitution_hash,
            "Prompt": chain.prompt_id,
            "Prompt hash": chain.steps[0].record.get("prompt_hash") if chain.steps else None,
        }
    )


def build_step_facts(step: StepView) -> str:
    """Everything that the step's row says of how it was made."""
    record = step.record
    known = {label: record.get(name) for name, label in _FACTS.items()}
    others = {
        name: value
        for name, value in record.items()
        if value is not None and name not in _FACTS and name not in _ELSEWHERE
    }
    return build_facts({**known, **others})


def build_facts(facts: Mapping[str, Any]) -> str:
    """A list of names and values; a value that is missing is said to be."""
    lines = (
        f"<dt>{escape(name)}</dt><dd>{escape(_say(value))}</dd>" for name, value in facts.items()
    )
    return f'<dl class="cai-facts">{"".join(lines)}</dl>'


def build_turn(role: str, text: str) -> str:
    """One turn of a prompt's conversation as a card."""
    if role == "assistant":
        return build_card("response", "Earlier answer", escape(text))
    return build_card("prompt", "System prompt" if role == "system" else "Prompt", escape(text))


def title_of(step: StepView) -> str:
    """What a step is called."""
    if step.kind is StepKind.RESPONSE:
        return "Initial response"
    return f"{step.kind.value.capitalize()} {step.round}"


def _join(cards: list[str]) -> str:
    return f'<div class="cai-transcript">{"".join(cards)}</div>'


def _principle_card(chain: ChainView, step: StepView) -> str:
    name = step.principle or ""
    text = chain.principle_texts.get(name, "")
    badge = f'<span class="cai-quiet">{escape(name)}</span>'
    body = escape(text) or '<span class="cai-quiet">The run kept no text of it.</span>'
    return build_card("principle", f"Round {step.round}: principle", body, badges=badge, slim=True)


def _step_card(step: StepView, draft: str, held: HeldBack, *, with_diff: bool) -> str:
    if step.error is not None:
        return build_error(f"{title_of(step)}: no text", step.error)
    body, badges = escape(step.text), ""
    if step.kind is StepKind.CRITIQUE:
        badges += FINDING_BADGES[step.finding or Finding.UNPARSED]
    elif held.holds(step.text):
        body = hold_back(body)
    if step.kind is StepKind.REVISION:
        if step.text == draft:
            badges += build_badge("unchanged", quiet=True)
        elif with_diff and not held.holds(step.text):
            body = build_diff(draft, step.text)
            body = hold_removed(body) if held.holds_removed(draft) else body
    held_back = step.kind is not StepKind.CRITIQUE and held.holds(step.text)
    body = build_reasoning(step.record.get("reasoning"), held=held_back) + body
    if step.cut_short:
        badges += build_badge("cut at the token limit", quiet=True, dashed=True)
    return build_card(_THINGS[step.kind], title_of(step), body, badges=badges)


def _say(value: Any) -> str:
    match value:
        case None | "":
            return "not told"
        case dict():
            return ", ".join(f"{name} {inner}" for name, inner in value.items())
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.3g}" if value < 1 else f"{value:,.2f}"
    return str(value)
