"""Editing a draft: choose a principle, change its fields; every change is kept at once.

The draft's file is the truth. A field's widget is made anew from the file whenever the two differ,
so that reloads, other tabs and moved principles cannot mix texts up; where they agree the widget is
left alone, with whatever is just being typed in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from cai_core.constitution import constitution_hash
from cai_core.records import Constitution
from cai_core.workspace.drafts import Draft, DraftPrinciple, DraftProblem, as_constitution
from ui.constitution_address import describe_count, describe_time, go
from ui.constitution_diff import FIELD_NAMES
from ui.constitution_keep import (
    Fault,
    add_principle,
    delete_principle,
    discard,
    duplicate_principle,
    faults,
    keep_field,
    keep_value,
    leave_draft,
    leave_gone_draft,
    move_principle,
    removed_principle,
    undo_delete,
)
from ui.look import build_badge, build_card, build_error, escape, escape_markdown

_HELP = {
    "id": "A short name, such as no-harm. Rows and charts carry it.",
    "text": "The rule itself: what a response should or should not do.",
    "critique_request": "What the model is asked when it critiques its own answer.",
    "revision_request": "What the model is asked when it revises its answer.",
    "comparison_request": "What the feedback model is asked of two answers. May stay empty when "
    "no preference labels are made with this principle.",
    "tags": "For filtering and for charts. Type one and press Enter.",
}


def edit_bar(draft: Draft, problems: tuple[DraftProblem, ...], *, changed: bool) -> None:
    """Render the draft's state, and the ways out of it."""
    st.button(
        "Back, keeping the draft",
        key="leave",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=leave_draft,
        args=(draft,),
        help="The draft stays in the list of open drafts.",
    )
    with st.container(horizontal=True, vertical_alignment="center", key="cn_bar"):
        name = escape(draft.name or "(no name yet)")
        state = build_state(draft, problems, changed=changed)
        st.html(f'<h2 class="cai-h2">{name}</h2>{state}', width="stretch")
        with st.popover("Discard", icon=":material/delete:"):
            st.text("The draft is deleted for good. Saved versions stay.")
            st.button("Discard the draft", key="discard", on_click=discard, args=(draft,))
        st.button(
            "Review and save",
            key="review",
            type="primary",
            icon=":material/difference:",
            on_click=go,
            kwargs={"draft": draft.draft_id, "review": "1"},
        )


def build_state(draft: Draft, problems: tuple[DraftProblem, ...], *, changed: bool) -> str:
    """Whether the draft differs from what it was begun from, and when it was kept."""
    badge = build_badge("unsaved changes") if changed else build_badge("no changes yet", quiet=True)
    kept = f"Draft kept {describe_time(draft.updated_at, clock=True)}"
    count = f" · {describe_count(len(problems), 'problem')} to mend" if problems else ""
    return (
        f'<div role="status" class="cai-note" style="color:var(--cai)">{badge} '
        f'<span class="cai-quiet">{escape(kept + count)}</span></div>'
    )


def principle_list(
    draft: Draft, chosen: DraftPrinciple | None, problems: tuple[DraftProblem, ...]
) -> None:
    """Render the draft's parts as buttons: the constitution itself, then each principle."""
    with st.container(gap="xxsmall"):
        _part_button(draft, "", "Name and description", chosen is None, problems)
        for number, principle in enumerate(draft.principles, start=1):
            label = escape_markdown(f"{number}. {principle.id or '(no id yet)'}")
            on = chosen is not None and principle.key == chosen.key
            _part_button(draft, principle.key, label, on, problems)
    st.button(
        "Add principle",
        key="add",
        icon=":material/add:",
        width="stretch",
        on_click=add_principle,
        args=(draft.draft_id,),
    )
    removed = removed_principle(draft.draft_id)
    if removed is not None:
        name = removed.id or "the principle without an id"
        st.html(f'<div class="cai-quiet" role="status">{escape(f"Deleted {name}.")}</div>')
        st.button(
            "Undo", key="undo", icon=":material/undo:", on_click=undo_delete, args=(draft.draft_id,)
        )


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
            help="Versions belong to their name. For another name, duplicate the constitution.",
        )
    _text_field(draft, None, "description", "Description", problems, st.text_area)
    _show_problems(problems, None, "principles")
    _show_problems(problems, None, None)


def principle_fields(
    draft: Draft, principle: DraftPrinciple, problems: tuple[DraftProblem, ...]
) -> None:
    """Render one principle's buttons and fields, each with what is wrong with it."""
    _principle_buttons(draft, principle)
    for name, label in FIELD_NAMES.items():
        if name == "tags":
            _tags_field(draft, principle, problems)
        else:
            widget = st.text_input if name == "id" else st.text_area
            _text_field(draft, principle, name, label, problems, widget)
    _show_problems(problems, principle.key, None)


def is_changed(draft: Draft, base: Constitution | None) -> bool:
    """Whether saving the draft would make a new version."""
    return base is None or constitution_hash(as_constitution(draft)) != base.hash


def check_name(draft: Draft, taken: list[str]) -> tuple[DraftProblem, ...]:
    """A new constitution must not take another's name, nor one that a disk may confuse with it."""
    if draft.base_hash is not None or draft.name.casefold() not in (t.casefold() for t in taken):
        return ()
    words = f"There is a constitution named {draft.name!r} already. Choose another name."
    return (DraftProblem(key=None, field="name", message=words),)


def retry_faults(draft_id: str) -> None:
    """Try again to keep what could not be kept. Before the draft is read."""
    for widget_key, fault in list(faults().items()):
        if fault.draft_id == draft_id:
            keep_value(draft_id, fault.key, fault.field, widget_key, fault.value)


def show_faults(draft: Draft) -> None:
    """Say what is not kept yet; the text itself stands in its field, or here if that is gone."""
    open_faults = [f for f in faults().values() if f.draft_id == draft.draft_id]
    for message in dict.fromkeys(fault.message for fault in open_faults):
        st.html(build_error("Your last change is not kept yet", message))
    _show_typed([f for f in open_faults if f.key and draft.principle(f.key) is None])
    if open_faults:
        st.button("Try again", key="try_again", icon=":material/refresh:")


def show_gone(message: str) -> None:
    """Say that the URL's draft is not here, and what was typed into it last."""
    st.html(build_error("This draft cannot be opened", message))
    _show_typed(list(faults().values()))
    st.button(
        "All constitutions", key="all", icon=":material/arrow_back:", on_click=leave_gone_draft
    )


def _show_typed(lost: list[Fault]) -> None:
    for fault in lost:
        label = FIELD_NAMES.get(fault.field, fault.field.capitalize())
        text = ", ".join(fault.value) if isinstance(fault.value, tuple) else fault.value
        st.html(build_card("note", f"You had just typed: {label}", escape(text)))


def _part_button(
    draft: Draft, key: str, label: str, on: bool, problems: tuple[DraftProblem, ...]
) -> None:
    wrong = any((problem.key or "") == key for problem in problems)
    with st.container(gap=None, key=f"{'cn_row_on' if on else 'cn_row'}_part_{key or 'about'}"):
        st.button(
            label,
            key=f"part_{draft.draft_id}_{key or 'about'}",
            type="tertiary",
            width="stretch",
            icon=":material/error:" if wrong else None,
            help="Something here has to be mended." if wrong else None,
            on_click=go,
            kwargs={"draft": draft.draft_id, **({"principle": key} if key else {})},
        )


def _principle_buttons(draft: Draft, principle: DraftPrinciple) -> None:
    place = draft.principles.index(principle)
    last = len(draft.principles) - 1
    ways: list[tuple[str, str, bool, Callable[..., None], tuple[Any, ...]]] = [
        ("Move up", "arrow_upward", place == 0, move_principle, (-1,)),
        ("Move down", "arrow_downward", place == last, move_principle, (1,)),
        ("Duplicate", "content_copy", False, duplicate_principle, ()),
        ("Delete", "delete", False, delete_principle, ()),
    ]
    with st.container(horizontal=True, key="cn_ways"):
        for label, icon, disabled, action, more in ways:
            st.button(
                label,
                # The principle belongs into the key: a click on a button that is just being
                # replaced must not do to the next principle what was meant for this one.
                key=f"way_{label.split()[-1].lower()}_{principle.key}",
                icon=f":material/{icon}:",
                disabled=disabled,
                on_click=action,
                args=(draft.draft_id, principle.key, *more),
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
    return f"{field}_{turn}", held


def _show_problems(problems: tuple[DraftProblem, ...], key: str | None, name: str | None) -> None:
    for problem in problems:
        if (problem.key, problem.field) == (key, name):
            st.html(f'<div class="cai-problem cai-error">{escape(problem.message)}</div>')
