"""Reading a constitution: its principles, and what can be done with the version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from cai_core.actions.check import MAX_NOTE
from cai_core.actions.constitutions import restore_version
from cai_core.errors import CaiError
from cai_core.records import Constitution, Principle
from cai_core.workspace.drafts import Draft, build_draft
from cai_core.workspace.version_labels import APPROVED, PRODUCTION, LabelMove, read_labels
from cai_core.workspace.versions import SHORT, VersionInfo, list_versions, load_version
from ui import services
from ui.constitution_address import (
    Address,
    build_facts,
    build_label_badges,
    can_edit,
    describe_count,
    find_version,
    go,
    leave_message,
    name_version,
    show_message,
)
from ui.constitution_coverage import show_coverage
from ui.constitution_diff import build_field
from ui.constitution_effect import show_effect
from ui.constitution_export import export_popover
from ui.constitution_history import show_changes, show_history
from ui.constitution_import import describe_origin
from ui.constitution_labels import find_next_label, label_popover, show_labels
from ui.constitution_list import begin
from ui.constitution_pager import show_part
from ui.constitution_tries import show_tries
from ui.explorer_links import PLAYGROUND, Place, show_link
from ui.look import build_badge, build_card, build_error, escape

_VIEWS = ("Principles", "Coverage", "Changes", "History", "Labels", "Tries", "Effect")
_REQUESTS = ("critique_request", "revision_request", "comparison_request")
_LABELS = ("Critique request", "Revision request", "Comparison request")
_SHOWN = 50


def show_constitution(name: str, address: Address, drafts: list[Draft]) -> None:
    """Render one constitution.

    Args:
        address: its version is the one that the URL names; empty for the newest.
        drafts: every open draft.
    """
    versions = list_versions(services.workspace(), name)
    head = versions[0]
    version = find_version(versions, address.version) if address.version else head
    if version is None:
        words = "The address names a version that this constitution does not have. Below is the "
        st.html(build_card("note", "No such version", escape(words + "newest one.")))
        version = head
    text = _load(version)
    labels = read_labels(services.workspace(), name)
    _show_head(version, versions, text, list(labels.values()))
    if version is not head:
        _show_old(version, versions, text)
    elif can_edit() and text is not None:
        _show_buttons(versions, labels, text, drafts)
    if text is None and len(versions) == 1:
        return
    view = _choose_view(f"{name} {address.version}", "Changes" if address.version else "Principles")
    if view == "History":
        show_history(versions, version, labels)
    elif view == "Labels":
        show_labels(version, versions, labels)
    elif text is not None and view == "Coverage":
        show_coverage(text)
    elif text is not None and view == "Tries":
        show_tries(version, versions, text)
    elif text is not None and view == "Effect":
        show_effect(text)
    elif text is not None and view == "Changes":
        show_changes(version, versions, text, address.against)
    elif text is not None:
        shown = show_part(f"principles_{version.hash[:SHORT]}", text.principles, _SHOWN)
        origins = find_provenance(versions, version)
        st.html(build_principles([principle for _, principle in shown], origins))


def build_principles(
    principles: Sequence[Principle], origins: Mapping[str, Mapping[str, Any]]
) -> str:
    """Every principle as a card, its requests folded away.

    Args:
        origins: principle id → where it was imported from.
    """
    cards = (
        build_card(
            "principle",
            p.id,
            escape(p.text) + _origin(origins.get(p.id)) + _requests(p),
            badges=_badges(p),
        )
        for p in principles
    )
    return f'<div class="cai-list">{"".join(cards)}</div>'


def find_provenance(
    versions: Sequence[VersionInfo], version: VersionInfo
) -> Mapping[str, Mapping[str, Any]]:
    """Where a version's principles were imported from: its own import, else the last before it."""
    older = (v for v in versions if v.number <= version.number and v.provenance)
    return next((v.provenance for v in older), {})


def _origin(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return ""
    return f'<div class="cai-quiet">from {escape(describe_origin(told))}</div>'


def _requests(principle: Principle) -> str:
    texts = [getattr(principle, name) for name in _REQUESTS]
    fields = "".join(
        build_field(label, escape(text)) for label, text in zip(_LABELS, texts, strict=True) if text
    )
    return f'<details class="cai-more"><summary>Requests</summary>{fields}</details>'


def _badges(principle: Principle) -> str:
    badges = [build_badge(tag, quiet=True) for tag in principle.tags]
    if not principle.enabled:
        badges.insert(0, build_badge("off", dashed=True))
    if principle.weight != 1:
        badges.insert(0, build_badge(f"weight {principle.weight:g}"))
    return "".join(badges)


def _choose_view(place: str, default: str) -> str:
    """What to show; another constitution or version begins at its default."""
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
    version: VersionInfo,
    versions: list[VersionInfo],
    text: Constitution | None,
    labels: list[LabelMove],
) -> None:
    badges = build_badge("shipped" if versions[0].shipped else "edited", quiet=True)
    badges += " " + build_label_badges(labels, version.hash)
    description = f'<p class="cai-lead cai-wrap">{escape(text.description)}</p>' if text else ""
    number = "" if version.shipped else f"Version {version.number} · "
    st.html(
        f'<h2 class="cai-h2">{escape(version.name)} {badges}</h2>{description}'
        f'<div class="cai-quiet">{number}{describe_count(version.principles, "principle")} · '
        f"{describe_count(len(versions), 'version')}</div>{build_facts(version)}"
    )


def _show_buttons(
    versions: list[VersionInfo],
    labels: dict[str, LabelMove],
    text: Constitution,
    drafts: list[Draft],
) -> None:
    """What is to be done next is the one that stands out."""
    head, own = versions[0], services.actor().name
    mine = next((d for d in drafts if d.actor == own and d.base_hash and d.name == head.name), None)
    following = None if mine is not None else find_next_label(head, labels)
    with st.container(horizontal=True, vertical_alignment="center"):
        if mine is not None:
            st.button(
                "Continue your draft",
                key="continue",
                type="primary",
                icon=":material/edit:",
                on_click=go,
                kwargs={"draft": mine.draft_id},
            )
        if following is not None:
            label_popover(head, versions, labels, following, primary=True)
        # Beside an open draft too: without a login, two people are one actor.
        st.button(
            "Edit" if mine is None else "Begin another draft",
            key="edit",
            type="primary" if mine is None and following is None else "secondary",
            icon=":material/edit:",
            on_click=_edit,
            args=(text,),
        )
        _fork_button(text)
        export_popover(text, find_provenance(versions, head))
        label = next((name for name in (PRODUCTION, APPROVED) if _points(labels, name, head)), None)
        ref = f"{head.name}@{label}" if label else head.name
        place = Place(page=PLAYGROUND, params={"constitution": ref})
        show_link(place, "Use in the Playground", icon=":material/play_circle:")


def _points(labels: dict[str, LabelMove], label: str, version: VersionInfo) -> bool:
    return label in labels and labels[label].hash == version.hash


def _edit(text: Constitution) -> None:
    draft = build_draft(text, base_hash=text.hash)
    begin(draft, principle=draft.principles[0].key)


def _fork_button(text: Constitution) -> None:
    st.button(
        "Fork",
        key="fork",
        icon=":material/fork_right:",
        on_click=_fork,
        args=(text,),
        help="Begin a constitution of your own with a copy of this text.",
    )


def _fork(text: Constitution) -> None:
    draft = build_draft(text, base_hash=None, name=f"{text.name[:59]}-copy")
    begin(replace(draft, forked_from=f"{text.name}@{text.hash}"))


def _show_old(
    version: VersionInfo, versions: Sequence[VersionInfo], text: Constitution | None
) -> None:
    head = versions[0]
    words = f"You are reading an older text; the newest is {name_version(head)}."
    st.html(build_card("note", f"This is {name_version(version)}", escape(words)))
    with st.container(horizontal=True):
        st.button(
            "Show the newest",
            key="newest",
            icon=":material/arrow_forward:",
            on_click=go,
            kwargs={"constitution": head.name},
        )
        if text is not None:
            export_popover(text, find_provenance(versions, version))
        if not can_edit() or text is None:
            return
        if version.hash != head.hash:
            with st.popover("Restore this version", icon=":material/history:"):
                _restore_form(version, head)
        _fork_button(text)


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
    words = f"Saved as version {saved.number}, with the text of {name_version(version)}."
    leave_message("note", "Restored", words)
    go(constitution=version.name)
