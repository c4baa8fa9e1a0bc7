"""A constitution's history, and the words that differ between any two of its versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import Constitution
from cai_core.workspace.version_labels import LabelMove
from cai_core.workspace.versions import (
    SHORT,
    VersionInfo,
    load_version,
    resolve_constitution,
)
from ui import services
from ui.constitution_address import (
    build_facts,
    build_key,
    build_label_badges,
    describe_count,
    describe_version,
    find_version,
    go,
    name_version,
)
from ui.constitution_diff import build_changes
from ui.constitution_pager import show_part
from ui.look import build_error, escape

_SHOWN, _CHANGES_SHOWN = 25, 50


def show_history(
    versions: Sequence[VersionInfo], shown: VersionInfo, labels: Mapping[str, LabelMove]
) -> None:
    """Render every version with its note, who saved it and its labels, newest first."""
    place = next(i for i, v in enumerate(versions) if v.number == shown.number)
    key = build_key("history", shown.name)
    for _, version in show_part(key, versions, _SHOWN, at=place):
        on = version.number == shown.number
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
            badges = build_label_badges(labels.values(), version.hash)
            st.html(f'<div class="cai-note">{badges}{note}{build_facts(version)}</div>')


def show_changes(
    version: VersionInfo, versions: Sequence[VersionInfo], text: Constitution, against: str
) -> None:
    """Render what differs between a version and another one.

    Args:
        against: the other one, as an address names it; empty for the one it was saved on.
    """
    if version.note:
        st.html(f'<p class="cai-wrap">{escape(version.note)}</p>')
    choices = _list_choices(version, versions)
    if not choices:
        words = "This is the first version: there is nothing before it to compare it with."
        st.html(f'<p class="cai-lead">{words}</p>')
        return
    chosen = _choose(version, versions, choices, against)
    try:
        before = _load(version.name, chosen)
    except CaiError as error:
        st.html(build_error("The other version cannot be read", str(error)))
        return
    changes = build_changes(before, text)
    told = describe_count(len(changes), "change") if changes else "Nothing but white space differs"
    st.html(f'<p class="cai-lead">Against {escape(choices[chosen])}: {escape(told)}</p>')
    key = f"changes_{version.hash[:SHORT]}_{chosen[-SHORT:]}"
    shown = [card for _, card in show_part(key, changes, _CHANGES_SHOWN)]
    st.html(f'<div class="cai-list cai-changes">{"".join(shown)}</div>')


def _list_choices(version: VersionInfo, versions: Sequence[VersionInfo]) -> dict[str, str]:
    """Hash or `NAME@HASH` → what it is called: what to compare with, the version before first."""
    older = versions[versions.index(version) + 1 :]
    named = {v.hash: name_version(v) for v in reversed(versions)}
    first: dict[str, str] = {}
    if version.parent is not None:
        at = next((name_version(v) for v in older if v.hash == version.parent), None)
        first[version.parent] = at or f"version {version.parent[:SHORT]}"
    if version.forked_from is not None:
        name, _, origin = version.forked_from.partition("@")
        first[version.forked_from] = f"the text it was forked from, {name} {origin[:SHORT]}"
    rest = {v.hash: named[v.hash] for v in versions if v.hash != version.hash}
    return first | {key: told for key, told in rest.items() if key not in first}


def _choose(
    version: VersionInfo, versions: Sequence[VersionInfo], choices: dict[str, str], against: str
) -> str:
    wanted = find_version(list(versions), against) if against else None
    options = list(choices)
    key = f"against_{version.number}_{version.hash[:SHORT]}"
    if wanted is not None and wanted.hash in choices:
        st.session_state.setdefault(key, wanted.hash)
    chosen = st.selectbox(
        "Compare with",
        options,
        format_func=lambda h: choices.get(h, h[:SHORT]),
        key=key,
        filter_mode="contains",
    )
    return str(chosen or options[0])


def _load(name: str, chosen: str) -> Constitution:
    if "@" in chosen:
        return resolve_constitution(services.workspace(), chosen)
    return load_version(services.workspace(), name, chosen)
