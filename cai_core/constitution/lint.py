"""The lint of constitutions: what can be said of one before any model has read it.

    constitution ──► rules of one principle ──┐
                └──► rules of the whole ──────┴──► findings, some with a fix ──► apply_fix

Everything is pure and quick enough for every keystroke. Principles that are off are not looked
at: they are never drawn. Contradictions need a model: see `contradictions`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from cai_core.constitution.draw import list_enabled
from cai_core.constitution.findings import (
    SEVERITIES,
    Finding,
    Fix,
    LintContext,
    Rule,
    Severity,
    apply_fix,
)
from cai_core.constitution.lint_principle import lint_principle, with_free_ids
from cai_core.constitution.lint_rules import RULES
from cai_core.constitution.lint_whole import check_whole
from cai_core.records import Constitution

__all__ = [
    "RULES",
    "SEVERITIES",
    "Finding",
    "Fix",
    "LintContext",
    "Rule",
    "Severity",
    "apply_fix",
    "count_findings",
    "lint_constitution",
]
_NO_CONTEXT = LintContext()


def lint_constitution(
    constitution: Constitution, context: LintContext | None = None
) -> tuple[Finding, ...]:
    """Everything that the rules have to say, about the whole first, then principle by principle.

    Drafts may be linted too: nothing about the constitution needs to be valid. Two findings of a
    rule about the same principle are about different fields. A fix is offered where the ids that
    it names are each one principle's.
    """
    enabled = list_enabled(constitution)
    by_principle: dict[str, list[Finding]] = {p.id: [] for p in enabled}
    whole: list[Finding] = []
    for finding in check_whole(constitution, enabled, context or _NO_CONTEXT):
        of_one = finding.principle_id
        (whole if of_one is None else by_principle[of_one]).append(finding)
    for principle in {p.id: p for p in reversed(enabled)}.values():
        by_principle[principle.id] += lint_principle(principle)
    order = list(RULES)
    told = whole + [
        finding
        for findings in by_principle.values()
        for finding in sorted(findings, key=lambda f: order.index(f.rule))
    ]
    times = Counter(p.id for p in constitution.principles)
    return tuple(_check_fix(finding, times) for finding in told)


def count_findings(findings: tuple[Finding, ...]) -> dict[Severity, int]:
    """How many there are of each severity, those without any included."""
    told = Counter(finding.severity for finding in findings)
    return {severity: told[severity] for severity in SEVERITIES}


def _check_fix(finding: Finding, times: Counter[str]) -> Finding:
    fix = finding.fix
    if fix is None:
        return finding
    named = {*fix.changes, *fix.removed, *([fix.after] if fix.after is not None else [])}
    if any(times[name] != 1 or not name for name in named):
        return replace(finding, fix=None)
    return replace(finding, fix=with_free_ids(fix, set(times))) if fix.added else finding
