"""Taking records out of the workspace as a file with its data card; journalled."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError, WorkspaceError
from cai_core.pipeline.export_card import ExportQuery, RunFacts, build_export_card
from cai_core.pipeline.exports import (
    ExportFormat,
    ExportKind,
    ExportTally,
    Record,
    encode_export,
)
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import open_run

EXPORTS = "exports"
# Of a file's name.
ENDINGS: Mapping[ExportFormat, str] = {
    "jsonl": "jsonl",
    "parquet": "parquet",
    "csv": "csv",
    "trl": "trl.jsonl",
    "trl-sft": "trl-sft.jsonl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was written, its card beside it, and what went into it."""

    path: Path
    card: Path
    tally: ExportTally


def export_records(
    actor: Actor,
    workspace: Path,
    records: Iterable[Record],
    out: Path,
    *,
    kind: ExportKind,
    format: ExportFormat,
    query: ExportQuery,
    tally: ExportTally | None = None,
) -> Exported:
    """Write records into a file and a data card beside it, one at a time.

    Args:
        records: all of one kind: rounds, or labels. out: the file, anywhere; one that is there is
            replaced.
        tally: a new one that is filled meanwhile; whoever gives the records may count in it too.

    Raises:
        NotAllowedError: the actor may not export.
        CaiError: there is no such format.
        WorkspaceError: `out` cannot be written.
    """
    require(actor, AccessRole.REVIEWER, f"export {kind}")
    if not out.parent.is_dir():
        raise WorkspaceError(f"{out.parent}: no such folder. Make it, or choose another.")
    tally = ExportTally() if tally is None else tally
    replace_file(out, encode_export(records, kind, format, tally))
    card = out.with_name(f"{out.name}.md")
    text = build_export_card(
        tally,
        name=out.name,
        kind=kind,
        format=format,
        query=query,
        runs=[_load_run_facts(workspace, run) for run in {**tally.runs, **tally.sources_of}],
    )
    replace_file(card, [text.encode("utf-8", "replace")])
    fields = {
        "kind": kind,
        "format": format,
        "rows": tally.rows,
        "left_out": tally.left_out.total(),
        "selection": query.words,
        "query": dict(query.document),
        "file": str(out.absolute()),
        "sha256": tally.sha256,
    }
    append_event(workspace, Topic.LAUNCHES, actor, f"export {kind}", fields)
    return Exported(path=out, card=card, tally=tally)


def export_view(
    actor: Actor,
    workspace: Path,
    records: Iterable[Record],
    *,
    kind: ExportKind,
    format: ExportFormat,
    query: ExportQuery,
    tally: ExportTally,
) -> Exported:
    """As `export_records`, into a new file of the workspace's folder `exports`.

    Raises:
        NotAllowedError, CaiError, WorkspaceError: as `export_records`.
    """
    require(actor, AccessRole.REVIEWER, f"export {kind}")
    folder = workspace / EXPORTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{kind}-{moment}-{uuid.uuid4().hex[:6]}.{ENDINGS[format]}"
    return export_records(
        actor, workspace, records, folder / name, kind=kind, format=format, query=query, tally=tally
    )


def _load_run_facts(workspace: Path, run_id: str) -> RunFacts:
    """What a card says of a run; of one that is not here, its id alone."""
    folder = workspace / "runs" / run_id
    if run_id != Path(run_id).name:
        return RunFacts(run_id=run_id, kind="not here")
    try:
        run = open_run(folder)
    except CaiError:
        return RunFacts(run_id=run_id, kind="not here")
    files = run.recipe.get("files") if run.kind == "import" else None
    source = ""
    if isinstance(files, list):
        some = [f"{one.get('name')} (SHA-256 {one.get('sha256')})" for one in files[:3]]
        source = ", ".join(some) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return RunFacts(
        run_id=run_id,
        kind=run.kind,
        constitution=str(run.recipe.get("constitution") or ""),
        constitution_hash=str(run.recipe.get("constitution_hash") or ""),
        source=source,
    )
