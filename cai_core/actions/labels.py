"""Taking labels out of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import WorkspaceError
from cai_core.pipeline.label_export import ExportFormat, build_data_card, build_export
from cai_core.pipeline.label_records import LabelRecord, read_labels
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import open_run


def export_labels(
    actor: Actor, workspace: Path, run_id: str, format: ExportFormat, out: Path
) -> Path:
    """Write a run's labels into a file and a data card beside it, and journal it.

    Args:
        out: the file, anywhere; one that is there is replaced.

    Returns:
        The data card: `out` with `.md` at its end.

    Raises:
        NotAllowedError: the actor may not export.
        WorkspaceError: the run made no labels, or `out` cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "export labels")
    run = open_run(workspace / "runs" / run_id)
    labels = list(read_labels(run.path))
    if not out.parent.is_dir():
        raise WorkspaceError(f"{out.parent}: no such folder. Make it, or choose another.")
    card = out.with_name(f"{out.name}.md")
    replace_file(out, [build_export(labels, format)])
    text = build_data_card(labels, format, run=run_id, recipe=run.recipe)
    replace_file(card, [text.encode("utf-8", "replace")])
    fields = {"run": run_id, "format": format, "labels": len(labels), "file": str(out.absolute())}
    append_event(workspace, Topic.LAUNCHES, actor, "export labels", fields)
    return card


def download_labels(
    actor: Actor,
    workspace: Path,
    run_id: str,
    labels: Sequence[LabelRecord],
    format: ExportFormat,
    *,
    selection: str = "",
) -> bytes:
    """Labels of a run as a file for a browser, and journal it.

    Args:
        labels: the run's, or some of them. selection: which, in words; empty where all.

    Raises:
        NotAllowedError: the actor may not export.
        CaiError: there is no such format.
    """
    require(actor, AccessRole.REVIEWER, "export labels")
    file = build_export(labels, format)
    fields = {"run": run_id, "format": format, "labels": len(labels), "selection": selection}
    append_event(workspace, Topic.LAUNCHES, actor, "download labels", fields)
    return file
