"""One prompt set: its versions, what each changed, its prompts page by page, its rejected lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.registry import list_set_uses
from cai_core.pipeline.prompt_preview import SetChange, compare_versions, export_prompts
from cai_core.pipeline.prompt_sets import (
    SHIPPED,
    count_tags,
    list_versions,
    load_version,
    select_prompts,
)
from cai_core.records import Prompt
from cai_core.workspace.prompt_sets import (
    SHORT,
    PromptSetVersion,
    get_prompt_set_path,
    load_rejected,
)
from ui import services
from ui.constitution_address import build_key, describe_count, go
from ui.explorer_filter import WORDS
from ui.explorer_links import PLAYGROUND
from ui.harm import show_harmful_toggle
from ui.look import build_card, build_error, escape, escape_markdown
from ui.prompts_list import can_add, find_uses
from ui.prompts_words import build_counts, build_prompts, build_rejected, build_set_head

RUNS = PLAYGROUND.with_name("runs.py")
PAGE_SIZE, MOST_REJECTED, MOST_RUNS = 25, 100, 20


def set_detail(name: str) -> None:
    """The set that the address names, or that there is none."""
    st.button("All prompt sets", icon=":material/arrow_back:", on_click=go)
    versions = list_versions(services.workspace(), name)
    if not versions:
        words = "It may have been added in another workspace."
        st.html(build_card("note", "No such prompt set", words))
        return
    wanted = st.query_params.get("version", "")
    version = next((v for v in versions if wanted and v.hash.startswith(wanted)), versions[0])
    st.html(
        build_set_head(version, len(versions))
        + build_counts(
            version.prompts, version.rejected, version.kinds, version.splits, version.tags
        )
        + f'<div class="cai-quiet cai-wrap">hash <code>{version.hash}</code></div>'
    )
    if len(versions) > 1:
        _version_field(versions, version)
    try:
        prompts = load_prompts(version)
        _show_change(versions, version)
    except CaiError as error:
        st.html(build_error("This version cannot be read", str(error)))
        return
    _ways(version, prompts)
    _show_uses(versions)
    _show_rejected(version)
    _show_prompts(prompts)


def load_prompts(version: PromptSetVersion) -> Sequence[Prompt]:
    """A version's prompts, compared with its hash once for each state of its file.

    Raises:
        PromptFileError: its file is gone, damaged, or was changed by hand.
    """
    workspace = services.workspace()
    path = SHIPPED / f"{version.name}.jsonl"
    if version.number:
        path = get_prompt_set_path(workspace, version.name, version.hash)
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _load(workspace, version.name, version.hash, version.number, stamp)


@lru_cache(maxsize=8)
def _load(workspace: Path, name: str, hash_: str, number: int, stamp: int) -> Sequence[Prompt]:
    versions = list_versions(workspace, name)
    version = next(v for v in versions if (v.hash, v.number) == (hash_, number))
    return load_version(workspace, version)


@lru_cache(maxsize=32)
def _compare(workspace: Path, name: str, old: str, new: str) -> SetChange:
    found = {version.hash: version for version in list_versions(workspace, name)}
    return compare_versions(*(load_version(workspace, found[one]) for one in (old, new)))


def _version_field(versions: list[PromptSetVersion], version: PromptSetVersion) -> None:
    labels = {v.hash: _describe(v) for v in reversed(versions)}
    st.session_state["prompts_version"] = version.hash
    st.selectbox(
        "Version",
        [*dict.fromkeys(v.hash for v in versions)],
        format_func=lambda one: f"{one[:SHORT]} · {labels[one]}",
        key="prompts_version",
        on_change=_apply,
        args=("version",),
    )


def _describe(version: PromptSetVersion) -> str:
    if not version.number:
        return "shipped"
    return f"version {version.number}, {describe_count(version.prompts, 'prompt')}"


def _show_change(versions: list[PromptSetVersion], version: PromptSetVersion) -> None:
    place = versions.index(version)
    if place + 1 == len(versions):
        return
    before = versions[place + 1]
    if before.hash == version.hash:
        words = "The same prompts as the version before it; its source differs in rejected lines."
    else:
        change = _compare(services.workspace(), version.name, before.hash, version.hash)
        words = (
            f"Against {_describe(before)} ({before.hash[:SHORT]}): {change.added:,} added, "
            f"{change.removed:,} removed, {change.relabelled:,} with another kind or other tags, "
            f"{change.kept:,} unchanged."
        )
    st.html(f'<div class="cai-quiet">{escape(words)}</div>')


def _ways(version: PromptSetVersion, prompts: Sequence[Prompt]) -> None:
    with st.container(horizontal=True):
        st.download_button(
            "Download as JSONL",
            # Built when somebody asks for it, not at each view of the page.
            lambda: b"".join(export_prompts(prompts)),
            file_name=f"{version.name}-{version.hash[:SHORT]}.jsonl",
            mime="application/jsonl",
            icon=":material/download:",
            on_click="ignore",
            key="prompts_download",
        )
        st.button(
            "Add a version",
            key="prompts_add_version",
            icon=":material/upload:",
            disabled=not can_add(),
            on_click=go,
            kwargs={"add": "1", "name": version.name},
        )


def _show_uses(versions: list[PromptSetVersion]) -> None:
    runs = find_uses(versions, list_set_uses(services.workspace()))
    if not runs:
        return
    with st.expander(f"Used by {describe_count(len(runs), 'run')}"):
        st.html('<div class="cai-quiet">Each holds a copy of what it worked on.</div>')
        for run in runs[:MOST_RUNS]:
            key = build_key("set_use", run)
            if st.button(escape_markdown(run), key=key, type="tertiary"):
                st.switch_page(RUNS, query_params={"run": run})
        if len(runs) > MOST_RUNS:
            st.html(f'<div class="cai-quiet">and {len(runs) - MOST_RUNS} more</div>')


def _show_rejected(version: PromptSetVersion) -> None:
    if not version.rejected:
        return
    with st.expander(f"{describe_count(version.rejected, 'line')} rejected"):
        try:
            lines = load_rejected(services.workspace(), version)
        except CaiError as error:
            st.html(build_error("The rejected lines cannot be read", str(error)))
            return
        told = [(int(line["line"]), str(line["reason"])) for line in lines]
        show_rejected(told, f"{version.name}-rejected")


def show_rejected(told: Sequence[tuple[int, str]], name: str) -> None:
    """The first rejected lines, and all of them as a download."""
    st.html(build_rejected(told[:MOST_REJECTED], len(told)))
    lines = [json.dumps({"line": line, "reason": why}) for line, why in told]
    st.download_button(
        "Download the rejected lines",
        "\n".join(lines) + "\n",
        file_name=f"{name}.jsonl",
        icon=":material/download:",
        on_click="ignore",
        key="rejected_download",
    )


def _show_prompts(prompts: Sequence[Prompt]) -> None:
    kinds, tags = _count(prompts)
    with st.container(horizontal=True, vertical_alignment="bottom", key="prompts_filter"):
        kind = _select("Kind", "kind", kinds, WORDS["kind"])
        tag = _select("Tag", "tag", tags, {})
        shown = show_harmful_toggle()
    chosen = select_prompts(prompts, tags=(tag,) if tag else (), kinds=(kind,) if kind else ())
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    asked = st.query_params.get("page", "1")
    numeric = asked.isascii() and asked.isdecimal() and len(asked) < 9
    page = min(max(int(asked), 1), pages) if numeric else 1
    first = (page - 1) * PAGE_SIZE
    some = list(chosen[first : first + PAGE_SIZE])
    where = f"{first + 1:,} to {first + len(some):,} of " if pages > 1 else ""
    st.html(
        f'<div class="cai-quiet" role="status">{where}'
        f"{describe_count(len(chosen), 'prompt')}</div>{build_prompts(some, show_harmful=shown)}"
    )
    if pages > 1:
        # A key for each page: the address says where it stands, whatever was pressed before.
        key = f"prompts_page_{page}"
        st.pagination(pages, default=page, key=key, on_change=_apply, args=("page", key))


def _count(prompts: Sequence[Prompt]) -> tuple[Counter[str], Counter[str]]:
    """Kinds and tags, splits among them, with how many prompts have each."""
    held: tuple[object, Counter[str], Counter[str]] | None = st.session_state.get("prompts_counts")
    if held is not None and held[0] is prompts:
        return held[1], held[2]
    kinds, tags = Counter[str](), Counter[str]()
    for prompt in prompts:
        kinds[prompt.kind.value] += 1
        count_tags(prompt, tags)
        tags.update(tag for tag in set(prompt.tags) if tag.startswith("split:"))
    st.session_state["prompts_counts"] = (prompts, kinds, tags)
    return kinds, tags


def _select(label: str, param: str, counts: Counter[str], words: dict[str, str]) -> str:
    """A choice that the address holds; empty where none is made, or one that is not there."""
    options = [one for one, _ in counts.most_common()]
    wanted = st.query_params.get(param, "")
    key = f"prompts_{param}"
    st.session_state[key] = wanted if wanted in counts else None
    st.selectbox(
        label,
        options,
        index=None,
        format_func=lambda one: f"{words.get(one, one)} ({counts[one]:,})",
        key=key,
        on_change=_apply,
        args=(param,),
        placeholder="all",
    )
    return wanted if wanted in counts else ""


def _apply(param: str, key: str = "") -> None:
    value = st.session_state.get(key or f"prompts_{param}")
    if value is None:
        st.query_params.pop(param, None)
    else:
        st.query_params[param] = str(value)
    if param != "page":
        st.query_params.pop("page", None)
