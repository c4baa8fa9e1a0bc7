"""What a lint says: findings, the fixes that go with some of them, and what rules know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cai_core.constitution.model import with_hash
from cai_core.errors import ConstitutionError
from cai_core.records import Constitution, Principle

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is looked for, and why it matters.

    Attributes:
        severity: `error`: training on it would do harm or cannot be done; `warning`: worth a
            change before training; `hint`: a matter of judgement.
        example: a text that the rule has something to say about.
    """

    id: str
    title: str
    severity: Severity
    reason: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change that a person may take with one click. Plain values throughout.

    Attributes:
        label: what the button says.
        changes: principle id → field → new value.
        removed: ids of principles to take out.
        added: fields of new principles.
        after: id of the principle that the new ones follow; None puts them at the end.
    """

    label: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    added: tuple[Mapping[str, Any], ...] = ()
    after: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "label": self.label,
            "changes": {key: dict(fields) for key, fields in self.changes.items()},
            "removed": list(self.removed),
            "added": [dict(fields) for fields in self.added],
            "after": self.after,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule says of a constitution.

    Attributes:
        rule: id of the rule; a key of `RULES`.
        principle_id: None where it is about the constitution as a whole.
        field: of the principle; None where it is about more than one.
        message: what is wrong here, with the words at fault.
        reason: why it matters; the rule's own.
        fix: None where only a person can put it right.
    """

    rule: str
    severity: Severity
    principle_id: str | None
    field: str | None
    message: str
    reason: str
    fix: Fix | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "principle_id": self.principle_id,
            "field": self.field,
            "message": self.message,
            "reason": self.reason,
            "fix": self.fix.as_dict() if self.fix else None,
        }


def estimate_tokens(text: str) -> int:
    """A token for every four characters of English: a rough guess for models not at hand."""
    return -(-len(text) // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LintContext:
    """What rules may know beside the constitution.

    Attributes:
        context_tokens: tokens of prompt and answer together that the model takes; None skips
            the rule about length.
        count_tokens: tokens of a text by the model's own tokenizer; None estimates.
        drawn: how often a run drew each principle, by id, one that it never drew left out or 0;
            None skips the rule about what is never drawn.
    """

    context_tokens: int | None = None
    count_tokens: Callable[[str], int] | None = None
    drawn: Mapping[str, int] | None = None

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return (self.count_tokens or estimate_tokens)(text)


def apply_fix(constitution: Constitution, finding: Finding) -> Constitution:
    """The constitution with a finding's fix applied and its hash filled in.

    Raises:
        ValueError: the finding has no fix.
        ConstitutionError: the constitution has changed since: a principle of the fix is gone.
    """
    fix = finding.fix
    if fix is None:
        raise ValueError(f"{finding.rule}: no fix goes with this finding")
    known = {p.id for p in constitution.principles}
    named = {*fix.changes, *fix.removed, *([fix.after] if fix.after is not None else [])}
    if missing := sorted(named - known):
        raise ConstitutionError(
            f"constitution {constitution.name!r} has no principle {', '.join(missing)} any more. "
            "Lint it again."
        )
    new = [_build_principle(fields) for fields in fix.added]
    principles: list[Principle] = []
    for principle in constitution.principles:
        if principle.id not in fix.removed:
            fields = fix.changes.get(principle.id)
            principles.append(replace(principle, **_plain(fields)) if fields else principle)
        if fix.after is not None and principle.id == fix.after:
            principles += new
    if fix.after is None:
        principles += new
    return with_hash(replace(constitution, principles=tuple(principles)))


def _build_principle(fields: Mapping[str, Any]) -> Principle:
    return Principle(**_plain(fields))


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
