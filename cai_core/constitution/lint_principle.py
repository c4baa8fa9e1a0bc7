"""The rules that look at one principle alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from cai_core.constitution.findings import Finding, Fix
from cai_core.constitution.lint_harm import find_demands
from cai_core.constitution.lint_rules import build_finding
from cai_core.constitution.lint_words import (
    MOST_CHARACTERS,
    MOST_GRADE,
    compute_grade,
    count_demands,
    drop_vague,
    find_vague,
    is_negative,
    split_demands,
)
from cai_core.constitution.requests import REQUEST_FIELDS, build_requests
from cai_core.records import Principle

_TEXTS = ("text", *REQUEST_FIELDS)
# What a comparison request is for is told where it is missing: it may be left out.
_STEP = {
    "critique_request": "Critiques cannot be asked for.",
    "revision_request": "Revisions cannot be asked for.",
    "comparison_request": "Preference labels cannot be made with this principle.",
}
_SHOWN = 60


@lru_cache(maxsize=8192)
def lint_principle(principle: Principle) -> tuple[Finding, ...]:
    """What can be said of a principle whatever else the constitution holds."""
    return (
        *_check_harm(principle),
        *_check_requests(principle),
        *_check_demands(principle),
        *_check_framing(principle),
        *_check_vague(principle),
        *_check_level(principle),
    )


def quote(text: str) -> str:
    """A text as messages show it: on one line, and cut."""
    line = " ".join(text[: 8 * _SHOWN].split())
    return f'"{line[: _SHOWN - 1]}…"' if len(line) > _SHOWN else f'"{line}"'


def _check_harm(principle: Principle) -> Iterator[Finding]:
    for field in _TEXTS:
        if found := next(find_demands(field, getattr(principle, field)), None):
            yield build_finding(
                "asks-for-harm",
                f"{_call(field)} asks for harm: {quote(found)}. Turn it round, or switch the "
                "principle off.",
                principle_id=principle.id,
                field=field,
                fix=Fix(
                    label="Switch the principle off", changes={principle.id: {"enabled": False}}
                ),
            )


def _check_requests(principle: Principle) -> Iterator[Finding]:
    if not principle.text.strip():
        yield build_finding(
            "missing-request",
            "There is no rule: say in one sentence what a response should be.",
            principle_id=principle.id,
            field="text",
        )
        return
    plain = build_requests(principle.text)
    for field in REQUEST_FIELDS:
        if not getattr(principle, field).strip():
            yield build_finding(
                "missing-request",
                f"There is no {field.replace('_', ' ')}. {_STEP[field]}",
                principle_id=principle.id,
                field=field,
                severity="warning" if field == "comparison_request" else "error",
                fix=Fix(
                    label="Write one from the rule",
                    changes={principle.id: {field: plain[field]}},
                ),
            )


def _check_demands(principle: Principle) -> Iterator[Finding]:
    count = count_demands(principle.text)
    if count < 2:
        return
    parts = split_demands(principle.text)
    fix = None
    if len(parts) > 1 and count_demands(parts[0]) < 2:
        fix = Fix(
            label=f"Split it into {len(parts)} principles",
            changes={principle.id: {"text": parts[0]}},
            added=tuple(
                {
                    "id": f"{principle.id[:58]}-{number}",
                    "text": part,
                    **build_requests(part),
                    "tags": list(principle.tags),
                    "weight": principle.weight,
                }
                for number, part in enumerate(parts[1:], start=2)
            ),
            after=principle.id,
        )
    yield build_finding(
        "several-demands",
        f"The rule asks for {count} things: {quote(principle.text)}. Make a principle of each.",
        principle_id=principle.id,
        field="text",
        fix=fix,
    )


def _check_framing(principle: Principle) -> Iterator[Finding]:
    if is_negative(principle.text):
        yield build_finding(
            "negative-framing",
            "The rule says only what not to do. Say what to do instead, or keep it knowingly.",
            principle_id=principle.id,
            field="text",
        )


def _check_vague(principle: Principle) -> Iterator[Finding]:
    for field in _list_worded(principle):
        text = getattr(principle, field)
        if not (found := find_vague(text)):
            continue
        shorter = drop_vague(text) if len(text) <= MOST_CHARACTERS else ""
        dropped = set(found) - set(find_vague(shorter))
        cured = bool(shorter) and dropped == set(found)
        yield build_finding(
            "vague-words",
            f"{_call(field)} leaves open what is meant by {', '.join(map(quote, found))}. Name "
            "what can be seen in a response.",
            principle_id=principle.id,
            field=field,
            fix=Fix(
                label=f"Leave out {', '.join(map(quote, found))}",
                changes={principle.id: _change_worded(principle, field, shorter)},
            )
            if cured
            else None,
        )


def _check_level(principle: Principle) -> Iterator[Finding]:
    for field in _list_worded(principle):
        grade = compute_grade(getattr(principle, field))
        if grade is not None and grade > MOST_GRADE:
            yield build_finding(
                "reading-level",
                f"{_call(field)} reads at school grade {grade:.1f}; up to {MOST_GRADE:.0f} is "
                "easily followed. Use shorter sentences and words.",
                principle_id=principle.id,
                field=field,
            )


def _list_worded(principle: Principle) -> tuple[str, ...]:
    """The fields whose words are looked at.

    Formats without a rule text have their revision request in its place: it counts once.
    """
    same = principle.text == principle.revision_request
    return tuple(field for field in _TEXTS if not (same and field == "revision_request"))


def _change_worded(principle: Principle, field: str, text: str) -> dict[str, str]:
    same = field == "text" and principle.text == principle.revision_request
    return {"text": text, "revision_request": text} if same else {field: text}


def _call(field: str) -> str:
    return "The rule" if field == "text" else f"The {field.replace('_', ' ')}"


def with_free_ids(fix: Fix, taken: set[str]) -> Fix:
    """The fix, its new principles under ids that no other principle has."""
    added, used = [], set(taken)
    for fields in fix.added:
        stem, number, wanted = fields["id"], 2, fields["id"]
        while wanted in used:
            wanted, number = f"{stem[:58]}-{number}", number + 1
        used.add(wanted)
        added.append({**fields, "id": wanted})
    return replace(fix, added=tuple(added))
