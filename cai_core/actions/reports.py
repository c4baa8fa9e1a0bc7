"""Writing a report on evaluations; journalled."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cai_core.actions.check import require
from cai_core.errors import CaiError, WorkspaceError
from cai_core.records import AccessRole, Actor
from cai_core.reports.build import build_html, build_markdown
from cai_core.reports.load import load_report
from cai_core.reports.report import Report
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.files import replace_file
from cai_core.workspace.status import now

ReportFormat = Literal["html", "markdown"]
_BUILD = {"html": build_html, "markdown": build_markdown}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """Files that were written, and the runs that they are about."""

    html: Path
    markdown: Path | None
    runs: tuple[str, ...]


def write_report(
    actor: Actor,
    workspace: Path,
    names: Sequence[str],
    out: Path,
    *,
    markdown: Path | None = None,
) -> WrittenReport:
    """Write a report on a baseline and its candidates as HTML, and as Markdown where asked.

    Args:
        names: as `load_report`. out, markdown: files, anywhere; those that are there are replaced.

    Raises:
        NotAllowedError: the actor may not export.
        RecipeError, WorkspaceError: as `load_report`, or a file cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "export report")
    files = [path for path in (out, markdown) if path is not None]
    for path in files:
        if not path.parent.is_dir():
            raise WorkspaceError(f"{path.parent}: no such folder. Make it, or choose another.")
    if len({path.absolute() for path in files}) < len(files):
        raise CaiError(f"{out}: named for HTML and for Markdown. Name two files.")
    report = load_report(workspace, names, made=now())
    page = build_html(report).encode()
    replace_file(out, [page])
    if markdown is not None:
        replace_file(markdown, [build_markdown(report).encode()])
    _log(actor, workspace, report, "export report", page, [str(path.absolute()) for path in files])
    return WrittenReport(html=out, markdown=markdown, runs=_list_runs(report))


def download_report(
    actor: Actor, workspace: Path, names: Sequence[str], format: ReportFormat
) -> bytes:
    """A report as a file for a browser, and journal it.

    Raises:
        NotAllowedError: the actor may not export.
        RecipeError, WorkspaceError: as `load_report`.
    """
    require(actor, AccessRole.REVIEWER, "export report")
    report = load_report(workspace, names, made=now())
    file = _BUILD[format](report).encode()
    _log(actor, workspace, report, "download report", file, [format])
    return file


def _log(
    actor: Actor, workspace: Path, report: Report, action: str, file: bytes, files: Sequence[str]
) -> None:
    fields = {
        "runs": list(_list_runs(report)),
        "gates": [drift.gate.status for drift in report.drifts],
        "files": list(files),
        "sha256": hashlib.sha256(file).hexdigest(),
    }
    append_event(workspace, Topic.LAUNCHES, actor, action, fields)


def _list_runs(report: Report) -> tuple[str, ...]:
    return tuple(one.run for one in report.sides)
