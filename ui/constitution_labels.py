"""Labels of a constitution's versions: where each points, how it came there, and moving it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from cai_core.actions.check import MAX_NOTE
from cai_core.actions.constitution_labels import move_label, remove_label, set_approval_rule
from cai_core.errors import CaiError
from cai_core.records import AccessRole
from cai_core.workspace.version_history import SHORT, VersionInfo, find_authors
from cai_core.workspace.version_labels import (
    APPROVED,
    PRODUCTION,
    STANDARD,
    LabelMove,
    find_approver,
    list_moves,
    needs_other_person,
)
from ui import services
from ui.constitution_address import (
    build_key,
    can_edit,
    describe_time,
    describe_version,
    leave_message,
    name_version,
    show_message,
)
from ui.constitution_pager import show_part
from ui.look import build_badge, build_card, escape, escape_markdown

_MOVES_SHOWN = 20
_ACTIONS = {APPROVED: "Approve", PRODUCTION: "Put into production"}
_ICONS = {APPROVED: "verified", PRODUCTION: "rocket_launch"}


def find_next_label(version: VersionInfo, labels: Mapping[str, LabelMove]) -> str | None:
    """The label that a saved version is on its way to; None where it has them."""
    if version.shipped:
        return None
    for label in (APPROVED, PRODUCTION):
        if label not in labels or labels[label].hash != version.hash:
            return label
    return None


def label_popover(
    version: VersionInfo,
    versions: Sequence[VersionInfo],
    labels: Mapping[str, LabelMove],
    label: str,
    *,
    primary: bool,
) -> None:
    """Render the button that puts a standard label on a version."""
    with st.popover(
        _ACTIONS.get(label, f"Label as {label}"),
        icon=f":material/{_ICONS.get(label, 'label')}:",
        type="primary" if primary else "secondary",
        # Once it is done this is another button, and the pane is closed.
        key=f"label_{label}_{version.number}",
    ):
        if (refusal := _find_refusal(version, versions, label)) is not None:
            st.text(refusal)
        else:
            _move_form(version, labels, label)


def show_labels(
    version: VersionInfo, versions: Sequence[VersionInfo], labels: Mapping[str, LabelMove]
) -> None:
    """Render every label, the forms that move it to the shown version, and the history."""
    st.html(
        '<p class="cai-lead">A label points to one version. Runs and the Playground take '
        f"<code>{escape(version.name)}@production</code> wherever they take a name. Moving a label "
        "to an older version is the way back.</p>"
    )
    show_message("labels")
    for label in dict.fromkeys((*STANDARD, *labels)):
        _show_label(label, labels.get(label), version, versions, labels)
    if can_edit():
        _other_label(version, labels)
    _rule_toggle()
    _show_moves(version.name, versions)


def _show_label(
    label: str,
    move: LabelMove | None,
    version: VersionInfo,
    versions: Sequence[VersionInfo],
    labels: Mapping[str, LabelMove],
) -> None:
    if move is None:
        told = '<span class="cai-quiet">points nowhere yet</span>'
    else:
        found = next((v for v in versions if v.hash == move.hash), None)
        where = describe_version(found) if found else f"version {(move.hash or '')[:SHORT]}"
        by = f"{move.actor}, {describe_time(move.at)}"
        told = (
            f"{escape(where)} <code>{escape((move.hash or '')[:SHORT])}</code> "
            f'<span class="cai-quiet">{escape(by)}</span>'
            f'<div class="cai-wrap">{escape(move.note)}</div>'
        )
    with st.container(
        horizontal=True,
        border=True,
        vertical_alignment="center",
        key=build_key("cn_label", label),
    ):
        st.html(f"{build_badge(label)} {told}", width="stretch")
        if not can_edit():
            return
        if move is None or move.hash != version.hash:
            title = f"Point to {name_version(version)}"
            with st.popover(title, icon=":material/label:", key=build_key("point", label)):
                if (refusal := _find_refusal(version, versions, label)) is not None:
                    st.text(refusal)
                else:
                    _move_form(version, labels, label, at="list")
        if move is not None:
            with st.popover("Take away", key=build_key("take", label)):
                _remove_form(move)


def _move_form(
    version: VersionInfo, labels: Mapping[str, LabelMove], label: str, *, at: str = "head"
) -> None:
    key = build_key(f"label_note_{at}_{version.number}", label)
    st.text_area(
        "Why",
        key=key,
        max_chars=MAX_NOTE,
        height=90,
        placeholder="For whoever reads the history later",
    )
    move = labels.get(label)
    st.button(
        _ACTIONS.get(label, f"Point {escape_markdown(label)} here"),
        key=build_key(f"label_go_{at}", label),
        type="primary",
        on_click=_move,
        args=(version, label, key, move.hash if move else None, at),
    )
    show_message(f"label_{at}_{label}")


def _move(version: VersionInfo, label: str, note_key: str, expected: str | None, at: str) -> None:
    try:
        move_label(
            services.actor(),
            services.workspace(),
            version.name,
            label,
            version.hash,
            note=st.session_state.get(note_key) or "",
            expected=expected,
        )
    except CaiError as error:
        leave_message("error", "Not moved", str(error), place=f"label_{at}_{label}")
        return
    st.session_state.pop(note_key, None)
    words = f"{version.name}@{label} is {name_version(version)} from now on."
    leave_message("note", f"Label {label} moved", words, place="labels" if at == "list" else "page")


def _remove_form(move: LabelMove) -> None:
    key = build_key("remove_note", move.label)
    st.text_area("Why", key=key, max_chars=MAX_NOTE, height=90)
    st.button(
        "Take it away", key=build_key("remove", move.label), on_click=_remove, args=(move, key)
    )
    show_message(f"remove_{move.label}")


def _remove(move: LabelMove, note_key: str) -> None:
    note = st.session_state.get(note_key) or ""
    try:
        remove_label(
            services.actor(),
            services.workspace(),
            move.name,
            move.label,
            note=note,
            expected=move.hash or "",
        )
    except CaiError as error:
        leave_message("error", "Not taken away", str(error), place=f"remove_{move.label}")
        return
    words = f"{move.name}@{move.label} names nothing from now on."
    leave_message("note", "Label taken away", words, place="labels")


def _other_label(version: VersionInfo, labels: Mapping[str, LabelMove]) -> None:
    with st.popover("Another label", icon=":material/add:", key="label_other"):
        label = st.text_input("Label", key="label_name", placeholder="pilot, eu-2027, …").strip()
        if label:
            _move_form(version, labels, label, at="other")


def _rule_toggle() -> None:
    held = needs_other_person(services.workspace())
    st.session_state["label_rule"] = held
    st.toggle(
        "Another person has to approve",
        key="label_rule",
        disabled=not services.actor().role.includes(AccessRole.ADMIN),
        help="Who wrote in a version cannot approve it, and only a version that somebody else has "
        "approved goes into production. Holds for every constitution of the workspace.",
        on_change=_set_rule,
    )
    show_message("rule")


def _set_rule() -> None:
    try:
        set_approval_rule(
            services.actor(),
            services.workspace(),
            other_person=bool(st.session_state["label_rule"]),
        )
    except CaiError as error:
        leave_message("error", "Not changed", str(error), place="rule")


def _find_refusal(version: VersionInfo, versions: Sequence[VersionInfo], label: str) -> str | None:
    """Why this person cannot put the label on the version; None where they can."""
    if not needs_other_person(services.workspace()):
        return None
    if label == APPROVED and services.actor().name in find_authors(versions, version.hash):
        return "You wrote in this version: another person has to approve it."
    moves = list_moves(services.workspace(), version.name)
    if label == PRODUCTION and find_approver(moves, versions, version.hash) is None:
        return "Nobody but its authors has approved this version yet."
    return None


def _show_moves(name: str, versions: Sequence[VersionInfo]) -> None:
    moves = list_moves(services.workspace(), name)
    if not moves:
        return
    numbers = {v.hash: describe_version(v) for v in reversed(versions)}
    st.html('<h3 class="cai-part">What was moved</h3>')
    for _, move in show_part(build_key("moves", name), moves, _MOVES_SHOWN):
        was, now = (numbers.get(h, h[:SHORT]) if h else "nowhere" for h in (move.was, move.hash))
        by = f"{was} → {now} · {move.actor}, {describe_time(move.at)}"
        note = f'<div class="cai-wrap">{escape(move.note)}</div>'
        quiet = f'<span class="cai-quiet">{escape(by)}</span>'
        st.html(build_card("note", move.label, note + quiet, slim=True))
