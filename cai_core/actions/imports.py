"""Bringing in what others made: the run is made, its files copied into it, and it is journalled."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import ImportReport, import_files
from cai_core.pipeline.import_sources import ENDINGS
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.prompt_uploads import MAX_UPLOAD_BYTES, delete_upload, write_upload

UPLOADED = (*ENDINGS, ".gz")


def import_data(
    actor: Actor,
    workspace: Path,
    path: Path,
    settings: ImportSettings | None = None,
    *,
    out: Path | None = None,
) -> ImportReport:
    """Import a file or a folder as a run, and journal it; as `import_files`.

    Importing the same files with the same settings again opens the same run and doubles nothing.

    Args:
        out: the run's folder; None is one of the workspace's, named by what is imported.

    Raises:
        NotAllowedError: the actor may not import.
        ImportFormatError: nothing to import at `path`, or it holds several kinds of things.
        WorkspaceError: the disk is full or refuses, or another process imports the same.
    """
    require(actor, AccessRole.EDITOR, "import data")
    report = import_files(path, workspace / "runs", settings or ImportSettings(), out=out)
    fields = {
        "run": report.run_id,
        "folder": str(report.folder),
        "source": path.resolve().name,
        "kind": report.kind,
        "records": report.records,
        "added": report.added,
        "rejected": report.rejected,
    }
    append_event(workspace, Topic.LAUNCHES, actor, "import data", fields)
    return report


def keep_import(actor: Actor, workspace: Path, name: str, content: bytes) -> str:
    """Keep a file until it is decided whether to import it, at most a day. Not journalled.

    Returns:
        Its id, for `find_upload`.

    Raises:
        NotAllowedError: the actor may not import.
        ImportFormatError: it is too large, or of no known kind.
        WorkspaceError: the disk is full or refuses.
    """
    require(actor, AccessRole.EDITOR, "import data")
    if not name.lower().endswith(UPLOADED):
        raise ImportFormatError(f"{name!r:.80}: must end in {', '.join(UPLOADED)}.")
    if len(content) > MAX_UPLOAD_BYTES:
        raise ImportFormatError(
            f"{name:.80}: has {len(content):,} bytes; {MAX_UPLOAD_BYTES:,} can be uploaded. Import "
            "it on the command line: `python -m cai_core import FILE`."
        )
    return write_upload(workspace, name, content)


def drop_import(actor: Actor, workspace: Path, upload_id: str) -> None:
    """Forget a file that was kept. Not journalled.

    Raises:
        NotAllowedError: the actor may not import.
    """
    require(actor, AccessRole.EDITOR, "import data")
    delete_upload(workspace, upload_id)
