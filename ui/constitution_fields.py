"""The edit pane's middle: the fields of the chosen part, each with what is wrong with it.

A field's widget is made anew from the file whenever the two differ, so that reloads, other tabs and
moved principles cannot mix texts up; where they agree the widget is left alone, with whatever is
just being typed in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from cai_core.workspace.draft_check import DraftProblem
from cai_core.workspace.draft_edit import split_sentences
from cai_core.workspace.drafts import Draft, DraftPrinciple
from ui.constitution_diff import FIELD_NAMES
from ui.constitution_keep import (
    delete_principle,
    duplicate_principle,
    faults,
    keep_field,
    merge_principle,
    move_principle,
    note_drawn,
    split_principle,
)
from ui.look import escape, escape_markdown

_HELP = {
    "id": "A short name, such as no-harm. Rows and charts carry it.",
    "text": "The rule itself: what a response should or should not do.",
    "critique_request": "What the model is asked when it critiques its own answer.",
    "revision_request": "What the model is asked when it revises its answer.",
    "comparison_request": "What the feedback model is asked of two answers. May stay empty when "
    "no preference labels are made with this principle.",
    "tags": "For filtering, for charts and for the coverage table. Type one and press Enter.",
    "weight": "How often it is drawn beside the others: 2 is twice as often as 1.",
}
_TEXTS = ("id", "text", "critique_request", "revision_request", "comparison_request")
MAX_WEIGHT = 100.0


def constitution_fields(draft: Draft, problems: tuple[DraftProblem, ...]) -> None:
    """Render name and description; the name of what was saved before stays as it is."""
    if draft.base_hash is None:
        _text_field(draft, None, "name", "Name", problems, st.text_input)
    else:
        st.text_input(
            "Name",
            draft.name,
            disabled=True,
            key=f"name_{draft.draft_id}",
            help="Versions belong to their name. For another name, fork the constitution.",
        )
    _text_field(draft, None, "description", "Description", problems, st.text_area)
    _show_problems(problems, None, "principles")
    _show_problems(problems, None, None)


def principle_fields(
    draft: Draft, principle: DraftPrinciple, problems: tuple[DraftProblem, ...]
) -> None:
    """Render one principle's buttons and fields."""
    _principle_buttons(draft, principle)
    for name in _TEXTS:
        widget = st.text_input if name == "id" else st.text_area
        _text_field(draft, principle, name, FIELD_NAMES[name], problems, widget)
    with st.container(horizontal=True, key="cn_small"):
        _tags_field(draft, principle, problems)
        _weight_field(draft, principle, problems)
    _show_problems(problems, principle.key, None)


def _principle_buttons(draft: Draft, principle: DraftPrinciple) -> None:
    place = draft.principles.index(principle)
    last = len(draft.principles) - 1
    ways: list[tuple[str, str, bool, str | None, Callable[..., None], tuple[Any, ...]]] = [
        ("Move up", "arrow_upward", place == 0, "U", move_principle, (-1,)),
        ("Move down", "arrow_downward", place == last, "D", move_principle, (1,)),
        ("Duplicate", "content_copy", False, None, duplicate_principle, ()),
        ("Delete", "delete", False, None, delete_principle, ()),
    ]
    with st.container(horizontal=True, key="cn_ways"):
        for label, icon, disabled, shortcut, action, more in ways:
            st.button(
                label,
                # The principle belongs into the key: a click on a button that is just being
                # replaced must not do to the next principle what was meant for this one.
                key=f"way_{label.split()[-1].lower()}_{principle.key}",
                icon=f":material/{icon}:",
                disabled=disabled,
                shortcut=shortcut,
                on_click=action,
                args=(draft.draft_id, principle.key, *more),
            )
        _split_form(draft, principle)
        _merge_form(draft, principle)


def _split_form(draft: Draft, principle: DraftPrinciple) -> None:
    sentences = split_sentences(principle.text)
    with st.popover("Split", icon=":material/call_split:", disabled=len(sentences) < 2):
        st.text("Make two principles, parted behind a sentence. Both keep requests and tags.")
        for at, sentence in enumerate(sentences[:-1], start=1):
            st.button(
                escape_markdown(f"… {sentence[-60:]}"),
                key=f"split_{at}_{principle.key}",
                on_click=split_principle,
                args=(draft.draft_id, principle.key, at),
            )


def _merge_form(draft: Draft, principle: DraftPrinciple) -> None:
    others = {p.key: p.id or "(no id yet)" for p in draft.principles if p.key != principle.key}
    with st.popover("Merge", icon=":material/merge:", disabled=not others):
        st.text("Join another principle to this one. What both say stands once.")
        key = f"merge_other_{principle.key}"
        st.selectbox(
            "The other one",
            list(others),
            format_func=lambda k: others.get(k, ""),
            key=key,
            filter_mode="contains",
        )
        st.button(
            "Merge",
            key=f"merge_{principle.key}",
            type="primary",
            on_click=merge_principle,
            args=(draft.draft_id, principle.key, key),
        )


def _text_field(
    draft: Draft,
    principle: DraftPrinciple | None,
    name: str,
    label: str,
    problems: tuple[DraftProblem, ...],
    widget: Callable[..., Any],
) -> None:
    key = principle.key if principle else None
    widget_key, held = _fill(draft.draft_id, key, name, getattr(principle or draft, name))
    more = {"height": "content"} if widget is st.text_area else {}
    with st.container(gap=None):
        widget(
            label,
            value=held,
            key=widget_key,
            help=_HELP.get(name),
            on_change=keep_field,
            args=(draft.draft_id, key, name, widget_key),
            **more,
        )
        _show_problems(problems, key, name)


def _tags_field(
    draft: Draft, principle: DraftPrinciple, problems: tuple[DraftProblem, ...]
) -> None:
    known = dict.fromkeys(tag for p in draft.principles for tag in p.tags)
    tags = list(dict.fromkeys(principle.tags))
    widget_key, held = _fill(draft.draft_id, principle.key, "tags", tags)
    with st.container(gap=None):
        st.multiselect(
            "Tags",
            list(known | dict.fromkeys(held)),
            default=held,
            key=widget_key,
            help=_HELP["tags"],
            accept_new_options=True,
            select_all=False,
            placeholder="Choose or type",
            on_change=keep_field,
            args=(draft.draft_id, principle.key, "tags", widget_key),
        )
        _show_problems(problems, principle.key, "tags")


def _weight_field(
    draft: Draft, principle: DraftPrinciple, problems: tuple[DraftProblem, ...]
) -> None:
    widget_key, held = _fill(draft.draft_id, principle.key, "weight", principle.weight)
    with st.container(gap=None, width=130):
        st.number_input(
            "Weight",
            min_value=min(0.0, held),
            max_value=max(MAX_WEIGHT, held),
            value=held,
            step=0.5,
            format="%g",
            key=widget_key,
            help=_HELP["weight"],
            on_change=keep_field,
            args=(draft.draft_id, principle.key, "weight", widget_key),
        )
        _show_problems(problems, principle.key, "weight")


def _fill(draft_id: str, key: str | None, name: str, held: Any) -> tuple[str, Any]:
    """The widget key for a field, and the value to create its widget with.

    A widget is never filled through the session's state: until such a value reaches the browser,
    a click there would report the field as emptied by hand. Where the file was changed elsewhere
    the field gets a new widget instead.
    """
    field = f"field_{draft_id}_{key or 'about'}_{name}"
    turn = st.session_state.get(f"turn_{field}", 0)
    fault = faults().get(f"{field}_{turn}")
    if fault is not None:
        held = list(fault.value) if name == "tags" else fault.value
    if st.session_state.get(f"{field}_{turn}", held) != held:
        turn += 1
        st.session_state[f"turn_{field}"] = turn
    note_drawn(draft_id, key, name, f"{field}_{turn}", held)
    return f"{field}_{turn}", held


def _show_problems(problems: tuple[DraftProblem, ...], key: str | None, name: str | None) -> None:
    for problem in problems:
        if (problem.key, problem.field) == (key, name):
            st.html(f'<div class="cai-problem cai-error">{escape(problem.message)}</div>')
