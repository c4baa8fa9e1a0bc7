"""The export of what an explorer lists: all rows that match, as a file with its data card.

The file is written in the background, into the workspace's folder `exports`, a row at a time, so
that its size does not matter; what a browser can take is offered for download from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from cai_core.actions.exports import Exported, export_view
from cai_core.pipeline.export_card import ExportQuery
from cai_core.pipeline.exports import ExportFormat, ExportKind, ExportTally, Record
from cai_core.pipeline.matching import read_matching_labels, read_matching_rounds
from cai_core.records import AccessRole
from cai_core.workspace.index.comparison_views import ComparisonFilter
from ui import background, services
from ui.explorer_fields import Explorer, describe_filter
from ui.explorer_parts import Counted, build_total
from ui.look import build_card, build_error, escape

# Name, and what its file is to a browser.
FORMATS: dict[ExportFormat, tuple[str, str]] = {
    "jsonl": ("JSONL", "application/jsonl"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
    "csv": ("CSV", "text/csv"),
    "trl": ("JSONL with TRL’s columns", "application/jsonl"),
    "trl-sft": ("JSONL with TRL’s columns for SFT", "application/jsonl"),
}
# A browser gets a file through this process's memory: larger ones are taken from the folder.
MAX_DOWNLOAD = 100 * 2**20
TICK_SECONDS = 1.0
_FORMAT = "export_format"
_MOST_JOBS = 64


@dataclass(slots=True)
class Job:
    """One file that is made, or was."""

    tally: ExportTally = field(default_factory=ExportTally)
    done: Exported | None = None


# By workspace, page, format and filter. In memory alone: the files stay.
_jobs: dict[tuple[str, ...], Job] = {}


def show_export(explorer: Explorer, chosen: Any, page: Counted) -> None:
    """Render the popover.

    Args:
        chosen: the page's filter. page: what it finds.
    """
    with st.popover("Export", icon=":material/download:", disabled=not page.total):
        words = describe_filter(explorer, chosen)
        told = f"{build_total(explorer, page)}: {words}" if words else f"All {explorer.rows}."
        st.html(f'<div class="cai-quiet cai-wrap">{escape(told)}</div>')
        format: ExportFormat = st.selectbox(
            "Format", list(FORMATS), format_func=lambda one: FORMATS[one][0], key=_FORMAT
        )
        query = explorer.build(chosen)
        key = (str(services.workspace()), explorer.page, format, *map("=".join, query.items()))
        under_way = background.is_under_way(key)
        why = services.explain(AccessRole.REVIEWER)
        st.button(
            "Make the file",
            key="export_make",
            type="primary",
            disabled=under_way or bool(why),
            help=why or None,
            on_click=_begin,
            args=(key, explorer, chosen, format),
        )

        def state() -> None:
            _show_state(explorer, key)
            if under_way and not background.is_under_way(key):
                st.rerun()  # ends the ticking

        st.fragment(state, run_every=TICK_SECONDS if under_way else None)()


def _begin(key: tuple[str, ...], explorer: Explorer, chosen: Any, format: ExportFormat) -> None:
    # Who asks is told now: the file is made outside of the page's run.
    actor, workspace, index = services.actor(), services.workspace(), services.index()
    job = Job()
    ended = [one for one in _jobs if not background.is_under_way(one)]
    for old in ended[: max(0, len(ended) - _MOST_JOBS)]:
        del _jobs[old]
    _jobs[key] = job
    query = ExportQuery(
        words=describe_filter(explorer, chosen),
        document={"page": explorer.page, "query": explorer.build(chosen)},
    )
    kind: ExportKind = "comparisons" if isinstance(chosen, ComparisonFilter) else "rounds"
    read: Callable[..., Iterator[Record]] = (
        read_matching_labels if kind == "comparisons" else read_matching_rounds
    )

    def write() -> None:
        job.done = export_view(
            actor,
            workspace,
            read(index, chosen, job.tally),
            kind=kind,
            format=format,
            query=query,
            tally=job.tally,
        )

    background.begin(key, write)


def _show_state(explorer: Explorer, key: tuple[str, ...]) -> None:
    job = _jobs.get(key)
    if job is None:
        return
    if background.is_under_way(key):
        words = f"Writing: {job.tally.records:,} {explorer.rows} so far."
        st.html(f'<div class="cai-quiet" role="status">{words}</div>')
    elif job.done is None:
        st.html(build_error("Not made", background.get_problem(key)))
    else:
        _show_done(job.done, key[2])


def _show_done(done: Exported, format: str) -> None:
    tally, path = done.tally, done.path
    told = f"{tally.rows:,} rows, {tally.bytes:,} bytes, SHA-256 {tally.sha256[:12]}…"
    if tally.left_out:
        reasons = ", ".join(f"{count:,} {why}" for why, count in tally.left_out.most_common())
        told += f" Left out: {reasons}."
    body = f"{escape(told)}\nexports/{escape(path.name)} in the workspace, its card beside it."
    st.html(build_card("note", "The file is made", body, slim=True))
    if not path.exists() or not done.card.exists():
        st.html('<div class="cai-quiet">It has been deleted since.</div>')
        return
    if tally.bytes <= MAX_DOWNLOAD:
        st.download_button(
            "Download the file",
            path.read_bytes,
            file_name=path.name,
            mime=FORMATS[format][1],  # type: ignore[index]
            icon=":material/download:",
            on_click="ignore",
            key="export_download",
        )
    else:
        st.html('<div class="cai-quiet">Too large for a browser: take it from there.</div>')
    st.download_button(
        "Download its data card",
        done.card.read_bytes,
        file_name=done.card.name,
        mime="text/markdown",
        type="tertiary",
        on_click="ignore",
        key="export_card",
    )
