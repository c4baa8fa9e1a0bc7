"""What the lint says of a draft while it is written: the rule, why it matters, and the fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from cai_core.constitution.findings import SEVERITIES, Finding, apply_fix
from cai_core.constitution.lint import RULES, lint_constitution
from cai_core.errors import CaiError
from cai_core.records import Constitution
from cai_core.workspace.draft_edit import take_text
from cai_core.workspace.drafts import Draft, DraftPrinciple, as_constitution
from ui.constitution_address import build_key, describe_count, go
from ui.constitution_keep import change_whole
from ui.constitution_opinion import read_opinion_findings
from ui.constitution_pager import show_part
from ui.look import Thing, build_badge, build_card, escape, escape_markdown

_SHOWN = 12
_THINGS: Mapping[str, Thing] = {"error": "error", "warning": "note", "hint": "prompt"}


@dataclass(frozen=True, slots=True)
class Findings:
    """What the lint says of a draft.

    Attributes:
        found: the gravest first.
        by_key: key of a principle → what is said of it; the empty key is the whole.
    """

    found: tuple[Finding, ...]
    by_key: Mapping[str, Sequence[Finding]]

    @property
    def counts(self) -> dict[str, int]:
        """Key → how many remarks that are more than hints."""
        told = {
            key: sum(one.severity != "hint" for one in found) for key, found in self.by_key.items()
        }
        return {key: count for key, count in told.items() if count}


def read_findings(draft: Draft) -> Findings:
    """Lint the draft as it is, problems and all."""
    constitution = as_constitution(draft)
    found = _sort(_lint(constitution) + read_opinion_findings(constitution))
    keys: dict[str | None, str] = {None: ""}
    for principle in draft.principles:
        keys.setdefault(principle.id, principle.key)
    by_key: dict[str, list[Finding]] = {}
    for finding in found:
        by_key.setdefault(keys.get(finding.principle_id, ""), []).append(finding)
    return Findings(found, by_key)


# A page is drawn again at every click, most of which change nothing of the text.
@lru_cache(maxsize=32)
def _lint(constitution: Constitution) -> tuple[Finding, ...]:
    return lint_constitution(constitution)


def _sort(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def show_findings(draft: Draft, chosen: DraftPrinciple | None, findings: Findings) -> None:
    """Render what is said of the chosen part, and what there is elsewhere."""
    own = findings.by_key.get(chosen.key if chosen is not None else "", ())
    title = describe_count(len(own), "remark") if own else "No remarks here"
    elsewhere = len(findings.found) - len(own)
    more = f" · {elsewhere} elsewhere" if elsewhere else ""
    st.html(
        f'<div class="cai-field" aria-live="polite">Lint: {escape(title)}'
        f'<span class="cai-quiet">{escape(more)}</span></div>'
    )
    for number, finding in enumerate(own):
        _show_finding(draft, finding, number)
    if chosen is None:
        _show_elsewhere(draft, findings)


def _show_finding(draft: Draft, finding: Finding, number: int) -> None:
    rule = RULES[finding.rule]
    title = rule.title
    reason = (
        f'<details class="cai-more"><summary>Why it matters</summary>{escape(finding.reason)}'
        "</details>"
    )
    badges = build_badge(finding.severity, quiet=finding.severity == "hint")
    badges += build_badge(finding.rule, quiet=True, dashed=True)
    body = escape(finding.message) + reason
    st.html(build_card(_THINGS[finding.severity], title, body, badges=badges, slim=True))
    if finding.fix is not None:
        st.button(
            escape_markdown(finding.fix.label),
            key=build_key(f"fix_{number}", f"{finding.rule} {finding.principle_id}"),
            icon=":material/build:",
            on_click=_fix,
            args=(draft.draft_id, finding),
        )


def _show_elsewhere(draft: Draft, findings: Findings) -> None:
    """The principles that have remarks, each a way there."""
    named = [(p, findings.by_key[p.key]) for p in draft.principles if p.key in findings.by_key]
    for _, (principle, found) in show_part(f"remarks_{draft.draft_id}", named, _SHOWN):
        titles = ", ".join(dict.fromkeys(RULES[one.rule].title.lower() for one in found))
        st.button(
            escape_markdown(f"{principle.id or '(no id yet)'}: {titles}"),
            key=f"remark_{principle.key}",
            type="tertiary",
            icon=":material/rule:",
            on_click=go,
            kwargs={"draft": draft.draft_id, "principle": principle.key},
        )


def _fix(draft_id: str, finding: Finding) -> None:
    """Apply a finding's fix to the draft as its file holds it now."""

    def change(draft: Draft) -> Draft:
        try:
            return take_text(draft, apply_fix(as_constitution(draft), finding))
        except ValueError as error:
            raise CaiError(f"This remark has no fix by itself: {error}.") from error

    change_whole(draft_id, f"fixed {RULES[finding.rule].title.lower()}", change)
