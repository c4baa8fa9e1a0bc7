"""Harmful text stays blurred until a person asks for it; what they chose is remembered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from cai_core.actions.settings import set_setting
from cai_core.errors import CaiError
from cai_core.records import Finding, PromptKind
from cai_core.workspace.read_only import is_read_only
from cai_core.workspace.settings import load_settings
from ui import services
from ui.look import build_error

SETTING = "show_harmful"
LABEL = "Blurred: harmful text. Turn on “Show harmful text” to read it."
_FAILED = "show_harmful_failed"
# In a read-only demo the choice is the tab's, and written nowhere.
_TAB = "show_harmful_here"


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
    """What this person has set; in a read-only demo, in this tab."""
    if is_read_only():
        return bool(st.session_state.get(_TAB))
    return bool(load_settings(services.workspace(), services.actor().name)[SETTING])


def show_harmful_toggle(key: str = SETTING) -> bool:
    """Render the switch, and return what holds. `key` tells two switches of one page apart."""
    shown = shows_harmful()
    st.session_state[key] = shown
    st.toggle("Show harmful text", key=key, on_change=lambda: _remember(st.session_state[key]))
    _show_failure()
    return shown


def show_harmful_button() -> bool:
    """The switch as a button with the key H, for who presents; returns what holds."""
    shown = shows_harmful()
    st.button(
        "Blur harmful text" if shown else "Show harmful text",
        key=f"{SETTING}_button",
        icon=":material/visibility_off:" if shown else ":material/visibility:",
        shortcut="H",
        on_click=_remember,
        args=(not shown,),
    )
    _show_failure()
    return shown


def _show_failure() -> None:
    if failed := st.session_state.pop(_FAILED, None):
        st.html(build_error("Not remembered", failed))


def _remember(shown: bool) -> None:
    if is_read_only():
        st.session_state[_TAB] = shown
        return
    try:
        set_setting(services.actor(), services.workspace(), SETTING, shown)
    except CaiError as error:
        st.session_state[_FAILED] = str(error)


def _fold(text: str) -> str:
    return " ".join(text.split())
