"""Adding a prompt set: choose a file or a dataset, look at what it comes to, confirm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import streamlit as st

from cai_core.actions.prompt_sets import (
    add_prompt_set,
    drop_upload,
    keep_upload,
)
from cai_core.errors import CaiError
from cai_core.pipeline.prompt_preview import Import, PromptTally, check_new_name, preview_prompts
from cai_core.pipeline.prompt_sets import list_versions
from cai_core.pipeline.prompt_tables import COLUMNS, PromptSource, find_source
from cai_core.records import AccessRole, PromptKind
from cai_core.workspace.prompt_uploads import MAX_UPLOAD_BYTES, find_upload
from ui import services
from ui.constitution_address import describe_count, go, leave_message, show_message
from ui.explorer_filter import WORDS
from ui.harm import show_harmful_toggle
from ui.look import build_card, build_error, escape
from ui.prompts_detail import show_rejected
from ui.prompts_list import can_add
from ui.prompts_words import build_counts, build_prompts

_ENDINGS = ["jsonl", "txt", "csv", "parquet"]
_HUB, _PREVIEW = "prompts_hub_source", "prompts_preview"
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_FROM_FILE = "as the file says"


def upload_form() -> None:
    """The whole way from a file to a version."""
    st.button("All prompt sets", icon=":material/arrow_back:", on_click=go)
    if not can_add():
        st.html(
            build_card("note", "Adding takes the role editor", services.explain(AccessRole.EDITOR))
        )
        return
    left, right = st.columns([0.4, 0.6], gap="large")
    with left:
        source = _source_fields()
        show_message("upload")
        if source is None:
            _show_forms()
            return
        try:
            how, name = _settings(source)
        except CaiError as error:
            st.html(build_error("Not yet", str(error)))
            return
    with right:
        _check(source, how, name)


def _source_fields() -> PromptSource | None:
    """The file that was uploaded, or the dataset that was fetched; None before that."""
    upload = st.query_params.get("upload", "")
    path = find_upload(services.workspace(), upload)
    if path is not None:
        return _show_chosen(PromptSource(label=path.name, paths=(path,)), path)
    hub: PromptSource | None = st.session_state.get(_HUB)
    if hub is not None and st.query_params.get("hub", "") == hub.label:
        return _show_chosen(hub, None)
    if upload:
        words = "It was added, or is older than a day. Choose the file again."
        st.html(build_card("note", "That upload is gone", words, slim=True))
    kind = st.segmented_control(
        "From", ["A file", "A Hugging Face dataset"], default="A file", key="prompts_from"
    )
    if kind == "A Hugging Face dataset":
        _hub_fields()
    else:
        st.file_uploader(
            "Prompts",
            _ENDINGS,
            key="prompts_file",
            on_change=_keep,
            max_upload_size=MAX_UPLOAD_BYTES // 2**20,
            help="Larger files are added on the command line.",
        )
    return None


def _hub_fields() -> None:
    name = st.text_input(
        "Dataset",
        key="prompts_hub_name",
        placeholder="owner/name or owner/name:split",
        help="Its Parquet files are fetched from the Hugging Face hub, at one revision.",
    )
    if st.button("Fetch", key="prompts_fetch", disabled=not name.strip()):
        try:
            with st.spinner("Fetching the dataset. A large one takes minutes."):
                found = find_source(f"hf:{name.strip().removeprefix('hf:')}")
        except CaiError as error:
            st.html(build_error("Not fetched", str(error)))
            return
        st.session_state[_HUB] = found
        st.query_params["hub"] = found.label
        st.rerun()


def _keep() -> None:
    file = st.session_state.get("prompts_file")
    if file is None:
        return
    try:
        kept = keep_upload(services.actor(), services.workspace(), file.name, file.getvalue())
    except CaiError as error:
        leave_message("error", "Not uploaded", str(error), place="upload")
        return
    st.query_params["upload"] = kept


def _show_chosen(source: PromptSource, path: Path | None) -> PromptSource:
    size = f", {path.stat().st_size:,} bytes" if path is not None else ""
    st.html(build_card("prompt", source.label, escape(f"Chosen{size}"), slim=True))
    st.button("Choose another", key="prompts_other", icon=":material/close:", on_click=_leave)
    return source


def _leave() -> None:
    _drop()
    name = st.query_params.get("name", "")
    go(add="1", **({"name": name} if name else {}))


def _drop() -> None:
    st.session_state.pop(_HUB, None)
    st.session_state.pop(_PREVIEW, None)
    if upload := st.query_params.get("upload", ""):
        drop_upload(services.actor(), services.workspace(), upload)


def _settings(source: PromptSource) -> tuple[Import, str]:
    """How it is read, and the set's name. Raises PromptFileError."""
    stem = re.split(r"[:@]", source.label.removeprefix("hf:"))[0].rpartition("/")[2]
    default = st.query_params.get("name", "") or _NO_NAME.sub("-", Path(stem).stem).strip("-._")
    name = st.text_input(
        "Name of the set",
        value=default,
        max_chars=64,
        key=f"prompts_name_{source.label}",
        help="A name that is there already gets another version; the earlier ones stay.",
    )
    kind = st.selectbox(
        "Kind of every prompt",
        [_FROM_FILE, *(one.value for one in PromptKind)],
        format_func=lambda one: WORDS["kind"].get(one, one),
        key="prompts_kind_all",
    )
    share = st.slider(
        "Held out of training",
        0,
        50,
        format="%d%%",
        key="prompts_share",
        help="Share of the prompts without a split that only evaluation may use. 0: no split.",
    )
    tags = st.text_input(
        "Tags for every prompt", key="prompts_tags", placeholder="source:red-team-2026; urgent"
    )
    column = None
    if source.paths[0].suffix != ".txt":
        column = st.text_input(
            "Column with the prompt",
            key="prompts_column",
            placeholder="looked for: " + ", ".join(COLUMNS[:4]),
        )
    how = Import(
        column=(column or "").strip() or None,
        kind=None if kind == _FROM_FILE else PromptKind(kind),
        tags=tuple(tag.strip() for tag in tags.split(";") if tag.strip()),
        held_out=share / 100 or None,
    )
    return how, name.strip()


def _check(source: PromptSource, how: Import, name: str) -> None:
    try:
        with st.spinner("Checking every line"):
            tally = _preview(source, how)
    except CaiError as error:
        words = str(error).replace(" (--column)", "")
        st.html(build_error("The file cannot be read as prompts", words))
        return
    st.html('<span class="cai-field">What it comes to</span>')
    st.html(build_counts(tally.prompts, len(tally.rejected), tally.kinds, tally.splits, tally.tags))
    _confirm(source, how, name, tally)
    if tally.rejected:
        told = [(line.line, line.reason) for line in tally.rejected]
        with st.expander(f"{describe_count(len(told), 'line')} rejected", expanded=True):
            show_rejected(told, f"{Path(source.label).stem}-rejected")
    if tally.first:
        st.html('<span class="cai-field">The first of them</span>')
        shown = show_harmful_toggle()
        st.html(build_prompts(tally.first, show_harmful=shown))


def _preview(source: PromptSource, how: Import) -> PromptTally:
    """Read once for each source and way of reading it, however often the page is drawn."""
    key = (source, how)
    held: tuple[Any, PromptTally] | None = st.session_state.get(_PREVIEW)
    if held is None or held[0] != key:
        held = (key, preview_prompts(source, how))
        st.session_state[_PREVIEW] = held
    return held[1]


def _confirm(source: PromptSource, how: Import, name: str, tally: PromptTally) -> None:
    try:
        check_new_name(name)
    except CaiError as error:
        st.html(build_error("Give it another name", str(error)))
        return
    if not tally.prompts:
        st.html(build_error("Nothing to add", "No line of it is a prompt; the reasons are below."))
        return
    there = list_versions(services.workspace(), name)
    if there:
        number = there[0].number + 1
        words = f"There is a set of that name. This becomes its newest version, number {number}."
        st.html(f'<div class="cai-quiet">{escape(words)}</div>')
    st.button(
        f"Add {describe_count(tally.prompts, 'prompt')}",
        key="prompts_confirm",
        type="primary",
        icon=":material/check:",
        on_click=_add,
        args=(source, how, name),
    )
    show_message("confirm")


def _add(source: PromptSource, how: Import, name: str) -> None:
    try:
        added = add_prompt_set(
            services.actor(),
            services.workspace(),
            name,
            source,
            column=how.column,
            kind=how.kind,
            tags=how.tags,
            held_out=how.held_out,
            seed=how.seed,
        )
        _drop()
    except CaiError as error:
        leave_message("error", "Not added", str(error), place="confirm")
        return
    go(set=name)
    words = f"{added.version.label} holds {describe_count(added.version.prompts, 'prompt')}."
    if not added.fresh:
        words = "It is the newest version already; nothing was added."
    leave_message("note", "Added" if added.fresh else "Nothing new", words)


def _show_forms() -> None:
    st.html(
        '<div class="cai-empty">A line is a prompt. In JSONL: <code>{"prompt": "…"}</code> or '
        '<code>{"messages": […]}</code>, and if you like <code>id</code>, <code>kind</code> '
        "(red-team, helpful, borderline) and <code>tags</code>. CSV and Parquet have the same as "
        "columns. A .txt file has one prompt a line.<br>Nothing is added before you confirm.</div>"
    )
