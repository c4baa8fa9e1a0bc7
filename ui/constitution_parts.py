"""The edit pane's left side: the draft's parts, to choose from, to order, to switch on and off."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from cai_core.workspace.draft_check import DraftProblem
from cai_core.workspace.drafts import Draft, DraftPrinciple
from ui.constitution_address import go
from ui.constitution_keep import add_principle, keep_field, note_drawn
from ui.constitution_pager import show_part
from ui.look import escape, escape_markdown

_SHOWN, _SEARCHED = 60, 12


def principle_list(
    draft: Draft,
    chosen: DraftPrinciple | None,
    problems: tuple[DraftProblem, ...],
    findings: Mapping[str, int],
) -> None:
    """Render the draft's parts as buttons: the constitution itself, then each principle.

    Args:
        findings: key of a principle → how many remarks the lint has on it.
    """
    wrong = {problem.key for problem in problems}
    with st.container(gap="xxsmall"):
        _part_button(draft, None, 0, chosen is None, wrong, findings)
        numbered = _find(draft)
        place = next(
            (i for i, (_, p) in enumerate(numbered) if chosen is not None and p.key == chosen.key),
            None,
        )
        for _, (number, principle) in show_part(
            f"parts_{draft.draft_id}", numbered, _SHOWN, at=place
        ):
            on = chosen is not None and principle.key == chosen.key
            _part_button(draft, principle, number, on, wrong, findings)
    _walk_buttons(draft, chosen)
    st.button(
        "Add principle",
        key="add",
        icon=":material/add:",
        width="stretch",
        shortcut="N",
        on_click=add_principle,
        args=(draft.draft_id,),
    )


def _find(draft: Draft) -> list[tuple[int, DraftPrinciple]]:
    """The principles that the search finds, with their numbers; all without a search."""
    numbered = list(enumerate(draft.principles, start=1))
    if len(numbered) < _SEARCHED:
        return numbered
    wanted = st.text_input(
        "Find a principle",
        key=f"find_{draft.draft_id}",
        placeholder="Words, an id or a tag",
        persist_state="session",
    )
    words = str(wanted or "").casefold().split()
    if not words:
        return numbered
    found = [(n, p) for n, p in numbered if all(word in _read(p) for word in words)]
    if not found:
        st.html(f'<div class="cai-quiet">{escape("No principle has these words.")}</div>')
    return found


def _read(principle: DraftPrinciple) -> str:
    texts = (principle.id, principle.text, principle.critique_request, principle.revision_request)
    return " ".join((*texts, *principle.tags)).casefold()


def _part_button(
    draft: Draft,
    principle: DraftPrinciple | None,
    number: int,
    on: bool,
    wrong: set[str | None],
    findings: Mapping[str, int],
) -> None:
    key, label = None, "Name and description"
    if principle is not None:
        key, label = principle.key, escape_markdown(f"{number}. {principle.id or '(no id yet)'}")
    name = f"{draft.draft_id}_{key or 'about'}"
    remarks = findings.get(key or "", 0)
    icon = told = None
    if key in wrong:
        icon, told = ":material/error:", "Something here has to be mended."
    elif remarks:
        icon, told = ":material/rule:", f"The lint has {remarks} remarks here."
    off = principle is not None and not principle.enabled
    row = f"{'cn_row_on' if on else 'cn_row'}_part_{key or 'about'}{'_off' if off else ''}"
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=row):
        if principle is not None:
            switch = f"on_{name}_{int(principle.enabled)}"
            note_drawn(draft.draft_id, key, "enabled", switch, principle.enabled)
            st.checkbox(
                # No words of a person's: here Streamlit makes links of addresses, escaped or not.
                f"Principle {number} is in use",
                value=principle.enabled,
                key=switch,
                label_visibility="collapsed",
                width="content",
                help="Off: it stays in the text, and no round draws it.",
                on_change=keep_field,
                args=(draft.draft_id, key, "enabled", switch),
            )
        st.button(
            label,
            key=f"part_{name}",
            type="tertiary",
            width="stretch",
            icon=icon,
            help=told,
            on_click=go,
            kwargs={"draft": draft.draft_id, **({"principle": key} if key else {})},
        )


def _walk_buttons(draft: Draft, chosen: DraftPrinciple | None) -> None:
    """To the neighbours, by key too: the list may be long."""
    keys = ["", *(p.key for p in draft.principles)]
    at = keys.index(chosen.key) if chosen is not None else 0
    with st.container(horizontal=True, key="cn_walk"):
        for label, icon, step, shortcut in (
            ("Previous", "keyboard_arrow_up", -1, "K"),
            ("Next", "keyboard_arrow_down", 1, "J"),
        ):
            there = 0 <= at + step < len(keys)
            key = keys[at + step] if there else ""
            st.button(
                label,
                key=f"walk_{label.lower()}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=not there,
                shortcut=shortcut,
                on_click=go,
                kwargs={"draft": draft.draft_id, **({"principle": key} if key else {})},
            )
