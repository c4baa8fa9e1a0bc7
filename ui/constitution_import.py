"""A constitution from a file: what was read of it, what was left out, and the draft it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import streamlit as st

from cai_core.constitution.imported import Imported, build_id
from cai_core.constitution.importers import MAX_FILE_BYTES
from cai_core.constitution.imports import KINDS, ImportKind, import_constitution
from cai_core.constitution.model import with_hash
from cai_core.errors import CaiError
from cai_core.workspace.drafts import build_draft
from cai_core.workspace.versions import NameInfo
from ui.constitution_address import build_key, describe_count, go
from ui.constitution_list import begin
from ui.constitution_pager import show_part
from ui.look import build_badge, build_card, build_error, escape

_ENDINGS = ["yaml", "yml", "json", "md", "markdown", "txt", "csv", "tsv", "py"]
_NAMES: Mapping[str, str] = {
    "auto": "As the file looks",
    "yaml": "YAML of the workbench",
    "json": "JSON of the workbench",
    "markdown": "Markdown list",
    "text": "Plain list, a principle a line",
    "csv": "Votes: statement, agree, disagree",
    "langchain": "LangChain principles",
    "icai": "Inverse Constitutional AI",
    "official": "The paper's official file",
}
# An upload has no path: its ending says what content alone cannot.
_BY_ENDING: Mapping[str, ImportKind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".py": "langchain",
}
_SHOWN, _NEW = 10, ""
# What the reader calls content without a file, and a constitution without a name.
_UPLOAD, _UNNAMED = "upload", "imported"


def import_form(names: list[NameInfo]) -> None:
    """Render the whole way from a file to a draft; nothing is kept before the last button."""
    st.button(
        "All constitutions",
        key="back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=go,
    )
    left, right = st.columns([0.4, 0.6], gap="large")
    with left:
        upload = st.file_uploader(
            "Constitution",
            _ENDINGS,
            key="constitution_file",
            max_upload_size=MAX_FILE_BYTES // 2**20,
            help="What the workbench wrote, lists of principles in text or Markdown, LangChain's "
            "and Inverse Constitutional AI's, the paper's official file, or votes on statements.",
        )
        kind = st.selectbox(
            "Format", KINDS, format_func=lambda k: _NAMES.get(k, k), key="constitution_kind"
        )
        heads = {info.name: info.head for info in names if info.head is not None}
        target = st.selectbox(
            "It becomes",
            [_NEW, *heads],
            format_func=lambda name: f"a new text of {name}" if name else "a new constitution",
            key="constitution_target",
        )
    with right:
        if upload is None:
            words = "Choose a file to see what can be read of it. Nothing is saved yet."
            st.html(f'<p class="cai-lead">{escape(words)}</p>')
            return
        read = _read(upload.name, upload.getvalue(), str(kind))
        if read is None:
            return
        head = heads.get(str(target or _NEW))
        st.button(
            "Edit as a draft",
            key="import_go",
            type="primary",
            icon=":material/edit:",
            on_click=_begin,
            args=(read, upload.name, target or _NEW, head.hash if head else None, list(heads)),
        )
        _show_read(read)


def _read(file_name: str, raw: bytes, kind: str) -> Imported | None:
    ending = PurePath(file_name).suffix.lower()
    wanted: Any = _BY_ENDING.get(ending, "auto") if kind == "auto" else kind
    try:
        return _name_after_file(import_constitution(raw, wanted), file_name)
    except CaiError as error:
        message = str(error).replace(f"{_UPLOAD}:", f"{file_name}:")
        st.html(build_error("This file cannot be read as a constitution", message))
        return None


def _name_after_file(read: Imported, file_name: str) -> Imported:
    """What came of an upload, which has no name of its own, told as the file's."""
    text = read.constitution
    named = replace(
        text,
        name=build_id(PurePath(file_name).stem) if text.name == _UNNAMED else text.name,
        description=text.description.replace(f"from {_UPLOAD}:", f"from {file_name}:", 1),
    )
    provenance = {
        key: replace(told, source=file_name) if told.source == _UPLOAD else told
        for key, told in read.provenance.items()
    }
    warnings = tuple(told.removeprefix(f"{_UPLOAD}: ") for told in read.warnings)
    return Imported(constitution=with_hash(named), provenance=provenance, warnings=warnings)


def _show_read(read: Imported) -> None:
    text = read.constitution
    kinds = {told.kind for told in read.provenance.values()}
    badges = "".join(build_badge(_NAMES.get(kind, kind), quiet=True) for kind in sorted(kinds))
    count = describe_count(len(text.principles), "principle")
    st.html(
        f'<h2 class="cai-h2">{escape(text.name)} {badges}</h2>'
        f'<p class="cai-lead cai-wrap">{escape(text.description)}</p>'
        f'<div class="cai-quiet">{escape(count)} read</div>'
    )
    if read.warnings:
        told = escape("\n".join(read.warnings))
        title = f"{describe_count(len(read.warnings), 'remark')} on what was not read as it stood"
        st.html(build_card("note", title, told))
    key = build_key("import", text.hash)
    for _, principle in show_part(key, text.principles, _SHOWN):
        told = read.provenance[principle.id]
        quiet = f'<div class="cai-quiet">{escape(describe_origin(told.as_dict()))}</div>'
        body = escape(principle.text) + quiet
        st.html(build_card("principle", principle.id, body, slim=True))


def describe_origin(told: Mapping[str, Any]) -> str:
    """Where a principle came from, in words; votes where there are any."""
    votes = told.get("votes")
    counted = ""
    if isinstance(votes, Mapping):
        counted = ": " + ", ".join(f"{count} {name}" for name, count in votes.items())
    return f"{told.get('source', '')}, {told.get('place', '')}{counted}"


def _begin(
    read: Imported, file_name: str, target: str, base_hash: str | None, taken: list[str]
) -> None:
    name = target or _find_free(read.constitution.name, taken)
    draft = build_draft(read.constitution, base_hash=base_hash, name=name)
    provenance = {key: told.as_dict() for key, told in read.provenance.items()}
    begin(replace(draft, note=f"Imported from {file_name}.", provenance=provenance))


def _find_free(name: str, taken: list[str]) -> str:
    """The name, or the same with a number where a constitution has it."""
    held = {other.casefold() for other in taken}
    names = (name, *(f"{name[:60]}-{number}" for number in range(2, len(held) + 3)))
    return next(free for free in names if free.casefold() not in held)
