"""Reading a constitution: its principles, what a version changed, and its history."""

from __future__ import annotations

import streamlit as st

from cai_core.actions.constitutions import MAX_NOTE, restore_version
from cai_core.errors import CaiError
from cai_core.records import Constitution, Principle
from cai_core.workspace.drafts import Draft, build_draft
from cai_core.workspace.versions import SHORT, VersionInfo, list_versions, load_version
from ui import services
from ui.constitution_address import (
    build_facts,
    can_edit,
    describe_count,
    describe_version,
    find_version,
    go,
    leave_message,
    show_message,
)
from ui.constitution_diff import build_changes, build_field
from ui.constitution_list import begin
from ui.look import build_badge, build_card, build_error, escape

_VIEWS = ("Principles", "Changes", "History")
_REQUESTS = ("critique_request", "revision_request", "comparison_request")
_LABELS = ("Critique request", "Revision request", "Comparison request")


def show_constitution(name: str, wanted: str, drafts: list[Draft]) -> None:
    """Render one constitution.

    Args:
        wanted: the version that the URL names; empty for the newest.
        drafts: every open draft.
    """
    versions = list_versions(services.workspace(), name)
    head = versions[0]
    version = find_version(versions, wanted) if wanted else head
    if version is None:
        words = "The address names a version that this constitution does not have. Below is the "
        st.html(build_card("note", "No such version", escape(words + "newest one.")))
        version = head
    text = _load(version)
    _show_head(version, versions, text)
    if version is not head:
        _show_old(version, head, text)
    elif can_edit() and text is not None:
        _show_buttons(head, text, drafts)
    if text is None and len(versions) == 1:
        return
    view = _choose_view(f"{name} {wanted}", "Changes" if wanted else "Principles")
    if view == "History":
        _show_history(versions, version)
    elif text is not None and view == "Changes":
        _show_changes(version, versions, text)
    elif text is not None:
        st.html(build_principles(text))


def build_principles(constitution: Constitution) -> str:
    """Every principle as a card, its requests folded away."""
    cards = (
        build_card("principle", p.id, escape(p.text) + _requests(p), badges=_tags(p))
        for p in constitution.principles
    )
    return f'<div class="cai-list">{"".join(cards)}</div>'


def _requests(principle: Principle) -> str:
    texts = [getattr(principle, name) for name in _REQUESTS]
    fields = "".join(
        build_field(label, escape(text)) for label, text in zip(_LABELS, texts, strict=True) if text
    )
    return f'<details class="cai-more"><summary>Requests</summary>{fields}</details>'


def _tags(principle: Principle) -> str:
    return "".join(build_badge(tag, quiet=True) for tag in principle.tags)


def _choose_view(place: str, default: str) -> str:
    """Principles, changes or history; another constitution or version begins at its default."""
    if st.session_state.get("constitution_place") != place:
        st.session_state["constitution_place"] = place
        st.session_state["constitution_view"] = default
    view = st.segmented_control(
        "What to show",
        _VIEWS,
        key="constitution_view",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    return str(view)


def _load(version: VersionInfo) -> Constitution | None:
    try:
        return load_version(services.workspace(), version.name, version.hash)
    except CaiError as error:
        st.html(build_error("This version cannot be read", str(error)))
        return None


def _show_head(
    version: VersionInfo, versions: list[VersionInfo], text: Constitution | None
) -> None:
    badges = build_badge("shipped" if versions[0].shipped else "edited", quiet=True)
    description = f'<p class="cai-lead cai-wrap">{escape(text.description)}</p>' if text else ""
    number = "" if version.shipped else f"Version {version.number} · "
    st.html(
        f'<h2 class="cai-h2">{escape(version.name)} {badges}</h2>{description}'
        f'<div class="cai-quiet">{number}{describe_count(version.principles, "principle")} · '
        f"{describe_count(len(versions), 'version')}</div>{build_facts(version)}"
    )


def _show_buttons(head: VersionInfo, text: Constitution, drafts: list[Draft]) -> None:
    own = services.actor().name
    mine = next((d for d in drafts if d.actor == own and d.base_hash and d.name == head.name), None)
    with st.container(horizontal=True):
        if mine is not None:
            st.button(
                "Continue your draft",
                key="continue",
                type="primary",
                icon=":material/edit:",
                on_click=go,
                kwargs={"draft": mine.draft_id},
            )
        # Beside an open draft too: without a login, two people are one actor.
        st.button(
            "Edit" if mine is None else "Begin another draft",
            key="edit",
            type="primary" if mine is None else "secondary",
            icon=":material/edit:",
            on_click=_edit,
            args=(text,),
        )
        _duplicate_button(text)


def _edit(text: Constitution) -> None:
    draft = build_draft(text, base_hash=text.hash)
    begin(draft, principle=draft.principles[0].key)


def _duplicate_button(text: Constitution) -> None:
    st.button(
        "Duplicate",
        key="duplicate",
        icon=":material/content_copy:",
        on_click=lambda: begin(build_draft(text, base_hash=None, name=f"{text.name[:59]}-copy")),
        help="Begin a new constitution with a copy of this text.",
    )


def _show_old(version: VersionInfo, head: VersionInfo, text: Constitution | None) -> None:
    words = f"You are reading an older text; the newest is {describe_version(head)}."
    st.html(build_card("note", f"This is the {describe_version(version)}", escape(words)))
    with st.container(horizontal=True):
        st.button(
            "Show the newest",
            key="newest",
            icon=":material/arrow_forward:",
            on_click=go,
            kwargs={"constitution": head.name},
        )
        if not can_edit() or text is None:
            return
        if version.hash != head.hash:
            with st.popover("Restore this version", icon=":material/history:"):
                _restore_form(version, head)
        _duplicate_button(text)


def _restore_form(version: VersionInfo, head: VersionInfo) -> None:
    st.text("Its text becomes the newest version. Nothing is lost: all others stay in the history.")
    key = f"restore_note_{version.hash[:SHORT]}"
    st.text_area("Why", key=key, max_chars=MAX_NOTE, placeholder="What made you go back")
    st.button(
        "Restore", key="restore", type="primary", on_click=_restore, args=(version, head, key)
    )
    show_message("restore")


def _restore(version: VersionInfo, head: VersionInfo, note_key: str) -> None:
    try:
        saved = restore_version(
            services.actor(),
            services.workspace(),
            version.name,
            version.hash,
            note=st.session_state.get(note_key) or "",
            onto=head.hash,
        )
    except CaiError as error:
        leave_message("error", "Not restored", str(error), place="restore")
        return
    words = f"Saved as version {saved.number}, with the text of the {describe_version(version)}."
    leave_message("note", "Restored", words)
    go(constitution=version.name)


def _show_changes(version: VersionInfo, versions: list[VersionInfo], text: Constitution) -> None:
    if version.note:
        st.html(f'<p class="cai-wrap">{escape(version.note)}</p>')
    if version.parent is None:
        words = "This is the first version: there is nothing before it to compare it with."
        st.html(f'<p class="cai-lead">{words}</p>')
        return
    try:
        before = load_version(services.workspace(), version.name, version.parent)
    except CaiError as error:
        st.html(build_error("The version before cannot be read", str(error)))
        return
    older = [v for v in versions[versions.index(version) + 1 :] if v.hash == version.parent]
    name = describe_version(older[0]) if older else f"version {version.parent[:SHORT]}"
    st.html(f'<p class="cai-lead">Against the {escape(name)}:</p>')
    st.html(f'<div class="cai-list">{"".join(build_changes(before, text))}</div>')


def _show_history(versions: list[VersionInfo], shown: VersionInfo) -> None:
    for version in versions:
        on = version is shown
        with st.container(
            gap=None, key=f"{'cn_row_on' if on else 'cn_row'}_version_{version.number}"
        ):
            label = describe_version(version).capitalize()
            st.button(
                label + (" (newest)" if version is versions[0] else ""),
                key=f"version_{version.number}",
                type="tertiary",
                on_click=go,
                kwargs={"constitution": version.name, "version": str(version.number)},
            )
            note = f'<div class="cai-wrap">{escape(version.note)}</div>' if version.note else ""
            st.html(f'<div class="cai-note">{note}{build_facts(version)}</div>')
