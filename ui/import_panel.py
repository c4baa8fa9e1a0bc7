"""Importing what others made: choose a file, look at what it comes to, confirm.

One function for every page: `show_import`. The address keeps the upload (`import=`), so a reload or
a new session goes on where it was; nothing is in the workspace before the confirmation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from cai_core.actions.imports import UPLOADED, drop_import, import_data, keep_import
from cai_core.errors import CaiError
from cai_core.pipeline.import_formats import FORMAT_TABLE
from cai_core.pipeline.import_reading import ImportLook, ImportSource, look, open_source
from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import ImportReport
from cai_core.pipeline.import_sources import find_files
from cai_core.records import AccessRole, PromptKind
from cai_core.workspace.prompt_uploads import MAX_UPLOAD_BYTES, find_upload
from ui import services
from ui.constitution_address import can_edit, describe_count, leave_message, show_message
from ui.explorer_filter import WORDS
from ui.explorer_links import PLAYGROUND
from ui.harm import show_harmful_toggle
from ui.import_words import STYLE, build_look, build_records, build_refused
from ui.look import build_card, build_error, escape

# In the address: NEW until a file is chosen, then its upload's id.
PARAM, NEW, PLACE = "import", "new", "import"
_LOOK, _DONE = "import_look", "import_done"
_FOUND = "found by its content"
_FROM_FILE = "as the file says"
_ENCODINGS = {"UTF-8": None, "UTF-16": "utf-16", "Latin-1": "latin-1", "Windows-1252": "cp1252"}
_SOURCES = {"human": "a person", "feedback-model": "a model", "revision": "by construction"}


def is_importing() -> bool:
    """Whether the address asks for the panel."""
    return PARAM in st.query_params


def import_button(key: str) -> None:
    """The way to the panel, for who may import."""
    if can_edit():
        st.button("Import", key=key, icon=":material/upload_file:", on_click=_begin)


def show_import() -> None:
    """The whole way from a file to a run of the kind `import`."""
    st.html(STYLE)
    st.button(
        "Back to the list",
        key="import_back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=_end,
    )
    if not can_edit():
        why = services.explain(AccessRole.EDITOR)
        st.html(build_card("note", "Importing takes the role editor", why))
        return
    with st.container(key="import_panel"):
        show_message(PLACE)
        _show_done()
        path = find_upload(services.workspace(), st.query_params.get(PARAM, ""))
        if path is None:
            _choose_file()
            return
        left, right = st.columns([0.35, 0.65], gap="large")
        with left:
            settings = _show_settings(path)
        with right:
            _check(path, settings)


def _choose_file() -> None:
    if st.query_params.get(PARAM, "") not in ("", NEW):
        words = "It was imported, or is older than a day. Choose the file again."
        st.html(build_card("note", "That upload is gone", words, slim=True))
    st.file_uploader(
        "File to import",
        [ending.removeprefix(".") for ending in UPLOADED],
        key="import_file",
        on_change=_keep,
        max_upload_size=MAX_UPLOAD_BYTES // 2**20,
        help="Larger files and folders: `python -m cai_core import PATH`.",
    )
    formats = "".join(f"<li>{escape(one.words)}</li>" for one in FORMAT_TABLE.values())
    st.html(
        '<div class="cai-empty">JSON lines, JSON, CSV, Parquet or Arrow, packed as .gz or not. '
        f"What it holds is found by its content:<ul>{formats}</ul>"
        "Nothing is imported before you confirm.</div>"
    )


def _begin() -> None:
    st.query_params.from_dict({PARAM: NEW})


def _end() -> None:
    """Back to the page's list; a file that was only looked at is let go."""
    if (kept := st.query_params.get(PARAM, "")) != NEW:
        drop_import(services.actor(), services.workspace(), kept)
    for key in (_LOOK, _DONE):
        st.session_state.pop(key, None)
    st.query_params.pop(PARAM, None)


def _keep() -> None:
    file = st.session_state.get("import_file")
    if file is None:
        return
    st.session_state.pop(_DONE, None)
    try:
        kept = keep_import(services.actor(), services.workspace(), file.name, file.getvalue())
    except CaiError as error:
        leave_message("error", "Not uploaded", str(error), place=PLACE)
        return
    st.query_params[PARAM] = kept


def _leave() -> None:
    st.session_state.pop(_LOOK, None)
    drop_import(services.actor(), services.workspace(), st.query_params.get(PARAM, ""))
    st.query_params[PARAM] = NEW


def _show_settings(path: Path) -> ImportSettings:
    size = f"Chosen, {path.stat().st_size:,} bytes"
    st.html(build_card("prompt", path.name, escape(size), slim=True))
    st.button("Choose another", key="import_other", icon=":material/close:", on_click=_leave)
    format = st.selectbox(
        "What it holds",
        [_FOUND, *FORMAT_TABLE],
        format_func=lambda one: FORMAT_TABLE[one].words if one in FORMAT_TABLE else one,
        key="import_format",
    )
    kind = st.selectbox(
        "Kind of every prompt",
        [_FROM_FILE, *(one.value for one in PromptKind)],
        format_func=lambda one: WORDS["kind"].get(one, one),
        key="import_prompt_kind",
        help="Where the file says a prompt’s kind itself, that one counts.",
    )
    source = st.selectbox(
        "Who prefers",
        list(_SOURCES),
        format_func=_SOURCES.__getitem__,
        key="import_label_source",
        help="Of preferences where the file does not say it.",
    )
    encoding = st.selectbox(
        "Encoding of the text",
        list(_ENCODINGS),
        key="import_encoding",
        help="It is never guessed: a line that is not in it is refused.",
    )
    return ImportSettings(
        format=None if format == _FOUND else format,
        prompt_kind=None if kind == _FROM_FILE else PromptKind(kind),
        label_source=None if source == "human" else source,
        encoding=_ENCODINGS[encoding],
    )


def _check(path: Path, settings: ImportSettings) -> None:
    try:
        with st.spinner("Reading every line"):
            source, found = _look(path, settings)
    except CaiError as error:
        st.html(build_error("The file cannot be read", str(error)))
        return
    st.html('<span class="cai-field">What it comes to</span>')
    st.html(build_look(source, found))
    if found.records:
        st.button(
            f"Import {describe_count(found.records, 'record')}",
            key="import_confirm",
            type="primary",
            icon=":material/check:",
            on_click=_import,
            args=(path, settings),
        )
    else:
        st.html(build_error("Nothing to import", "No line of it can be taken; why is said below."))
    if found.rejected:
        _show_refused(path, found)
    if found.first:
        st.html('<span class="cai-field">The first of them</span>')
        shown = show_harmful_toggle("import_show_harmful")
        st.html(build_records(found.first, show_harmful=shown))


def _show_refused(path: Path, found: ImportLook) -> None:
    with st.expander(f"{describe_count(found.rejected, 'line')} refused", expanded=True):
        st.html(build_refused(found.told, found.rejected))
        lines = [json.dumps(one.as_dict()) for one in found.told]
        st.download_button(
            "Download the refused lines",
            "\n".join(lines) + "\n",
            file_name=f"{path.stem}-refused.jsonl",
            icon=":material/download:",
            on_click="ignore",
            key="import_refused_download",
        )


def _look(path: Path, settings: ImportSettings) -> tuple[ImportSource, ImportLook]:
    """Read once for each file and way of reading it, however often the page is drawn."""
    key = (path, settings)
    held: tuple[Any, tuple[ImportSource, ImportLook]] | None = st.session_state.get(_LOOK)
    if held is None or held[0] != key:
        source = open_source(find_files(path), settings)
        held = (key, (source, look(source)))
        st.session_state[_LOOK] = held
    return held[1]


def _import(path: Path, settings: ImportSettings) -> None:
    try:
        report = import_data(services.actor(), services.workspace(), path, settings)
        _leave()
    except CaiError as error:
        leave_message("error", "Not imported", str(error), place=PLACE)
        return
    words = f"{describe_count(report.records, 'record')} in the run {report.run_id}."
    if report.rejected:
        words += f" {describe_count(report.rejected, 'line')} refused; the run lists them."
    if not report.added:
        words = f"The run {report.run_id} holds this file already; nothing was added."
    st.session_state[_DONE] = (_find_page(report), report.run_id)
    leave_message("note", "Imported" if report.added else "Nothing new", words, place=PLACE)


def _find_page(report: ImportReport) -> str:
    """The page that shows such records; empty where none does (answers without critiques)."""
    if report.kind == "preferences" and report.counts.get("labels"):
        return "labels.py"
    rounds = report.counts.get("critiques", 0) or report.counts.get("revisions", 0)
    return "critiques.py" if report.kind == "chains" and rounds else ""


def _show_done() -> None:
    """The way to what was imported last."""
    page, run = st.session_state.get(_DONE, ("", ""))
    if page and st.button("Look at them", key="import_open", icon=":material/arrow_forward:"):
        st.switch_page(PLAYGROUND.with_name(page), query_params={"run": run})
