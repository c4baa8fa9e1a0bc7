"""Harmful text stays blurred until a person asks for it; what they chose is remembered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from cai_core.actions.settings import set_setting
from cai_core.errors import CaiError
from cai_core.records import Finding, PromptKind
from cai_core.workspace.settings import load_settings
from ui import services
from ui.look import build_error

SETTING = "show_harmful"
LABEL = "Blurred: harmful text. Turn on “Show harmful text” to read it."
_FAILED = "show_harmful_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Which texts of one chain stay blurred. Use `find_held_back`, or `NOTHING` to show all.

    Attributes:
        texts: without their white space's form.
        red_team: whether what a revision removed is held back whatever it was.
    """

    texts: frozenset[str]
    red_team: bool

    def holds(self, text: str) -> bool:
        """Whether this response or revision stays blurred; an empty text never does."""
        return _fold(text) in self.texts

    def holds_removed(self, before: str) -> bool:
        """Whether what a diff took from `before` stays blurred."""
        return self.red_team or self.holds(before)


NOTHING = HeldBack(texts=frozenset(), red_team=False)


def find_held_back(kind: str, drafts: Iterable[tuple[str, Finding | None]]) -> HeldBack:
    """What of a chain stays blurred: what a red-team prompt drew, and what a critique objects to.

    Args:
        kind: a `PromptKind`'s word.
        drafts: the initial response and then each revision, in order, each with the finding of
            the critique that followed it; None where none followed.
    """
    red_team = kind == PromptKind.RED_TEAM.value
    held = {
        _fold(text)
        for number, (text, finding) in enumerate(drafts)
        if finding is Finding.FOUND or (red_team and number == 0)
    }
    return HeldBack(texts=frozenset(held - {""}), red_team=red_team)


def hold_back(body: str) -> str:
    """A card's body (HTML) blurred, with a line that says how to read it.

    Hidden from screen readers too; without a scroll bar of its own, so that Tab passes it by.
    """
    return (
        f'<div class="cai-quiet">{LABEL}</div><div class="cai-blur" aria-hidden="true">{body}</div>'
    )


def hold_removed(diff: str) -> str:
    """A diff of `ui.diff` whose removed passages are blurred; the new text stays readable."""
    # What the texts themselves hold is escaped: every `<del>` is one of the diff's own.
    return diff.replace("<del>", '<del class="cai-blur" aria-hidden="true">')


def shows_harmful() -> bool:
    """What this person has set."""
    return bool(load_settings(services.workspace(), services.actor().name)[SETTING])


def show_harmful_toggle(key: str = SETTING) -> bool:
    """Render the switch, and return what holds. `key` tells two switches of one page apart."""
    shown = shows_harmful()
    st.session_state[key] = shown
    st.toggle("Show harmful text", key=key, on_change=_remember, args=(key,))
    if failed := st.session_state.pop(_FAILED, None):
        st.html(build_error("Not remembered", failed))
    return shown


def _remember(key: str) -> None:
    try:
        set_setting(services.actor(), services.workspace(), SETTING, st.session_state[key])
    except CaiError as error:
        st.session_state[_FAILED] = str(error)


def _fold(text: str) -> str:
    return " ".join(text.split())
