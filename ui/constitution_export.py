"""A version as a file: YAML, JSON, Markdown, or a page to print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from cai_core.constitution.exports import SUFFIXES, export_constitution
from cai_core.constitution.imported import Provenance
from cai_core.errors import CaiError
from cai_core.pipeline.system_prompt import preview_system_prompt
from cai_core.records import Constitution
from cai_core.workspace.versions import SHORT
from ui.look import escape, make_showable

_FORMATS: dict[str, tuple[str, str]] = {
    "yaml": ("YAML", "application/yaml"),
    "json": ("JSON", "application/json"),
    "markdown": ("Markdown", "text/markdown"),
    "html": ("HTML, to print", "text/html"),
}


def export_popover(text: Constitution, provenance: Mapping[str, Mapping[str, Any]]) -> None:
    """Render a download for each format; a file is written when it is asked for."""
    with st.popover("Export", icon=":material/download:", key="export"):
        for name, (label, mime) in _FORMATS.items():
            write: Callable[[], str] = partial(_write, text, name, provenance)
            st.download_button(
                label,
                write,
                file_name=f"{text.name}-{text.hash[:SHORT]}{SUFFIXES[name]}",
                mime=mime,
                key=f"export_{name}",
                on_click="ignore",
                width="stretch",
            )
        _show_system_prompt(text)


def _show_system_prompt(text: Constitution) -> None:
    """The constitution as a system prompt, in a field that has a button to copy it."""
    try:
        prompt = preview_system_prompt(text)
    except CaiError as error:
        st.html(f'<div class="cai-quiet">{escape(str(error))}</div>')
        return
    st.html(
        '<span class="cai-field">As a system prompt, for any model that chats</span>'
        f'<div class="cai-quiet">{len(prompt.principle_ids)} principles, {prompt.words} words '
        f"({prompt.version}). Copy it with the button in its corner.</div>"
    )
    st.code(make_showable(prompt.text), language=None, wrap_lines=True, height=180)


def _write(text: Constitution, name: str, provenance: Mapping[str, Mapping[str, Any]]) -> str:
    return export_constitution(text, name, parse_provenance(provenance))


def parse_provenance(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Provenance]:
    """A version's provenance as the exporter takes it; what is damaged is left out."""
    found = {}
    for key, one in told.items():
        texts = {name: one.get(name) for name in ("source", "kind", "place")}
        if all(isinstance(text, str) for text in texts.values()):
            votes = one.get("votes")
            found[key] = Provenance(**texts, votes=votes if isinstance(votes, dict) else None)
    return found
