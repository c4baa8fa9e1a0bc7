"""Launching runs and imports: the folder is made, its recipe frozen, and the launch journalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.pipeline.import_samples import ImportReport, import_anthropic_samples
from cai_core.records import AccessRole, Actor, content_hash
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.runs import Run, create_run


def start_run(
    actor: Actor,
    workspace: Path,
    path: Path,
    *,
    kind: str,
    recipe: Mapping[str, Any],
    parents: Sequence[str] = (),
) -> Run:
    """Make the run folder, or open the one that holds this very recipe, and journal the launch.

    Args:
        workspace: whose journal keeps the launch.
        path: the run's folder; it may lie elsewhere.

    Raises:
        NotAllowedError: the actor may not launch.
        RunMismatchError, WorkspaceError: as `create_run`; or the journal cannot be written.
    """
    require(actor, AccessRole.EDITOR, f"start a {kind} run")
    goes_on = (path / "recipe.yaml").exists()
    run = create_run(path, kind=kind, recipe=recipe, parents=parents)
    fields = {
        "run": run.run_id,
        "kind": kind,
        "folder": str(path.absolute()),
        "recipe_hash": content_hash(dict(recipe)),
    }
    append_event(
        workspace, Topic.LAUNCHES, actor, "go on with run" if goes_on else "start run", fields
    )
    return run


def import_samples(actor: Actor, workspace: Path, path: Path, out: Path) -> ImportReport:
    """Import the paper's sample chains, and journal it; as `import_anthropic_samples`.

    Raises:
        NotAllowedError: the actor may not import.
    """
    require(actor, AccessRole.EDITOR, "import chains")
    report = import_anthropic_samples(path, out)
    fields = {
        "run": out.resolve().name,
        "folder": str(out.absolute()),
        "chains": report.chains,
        "added": report.added,
        "rejected": len(report.rejected),
    }
    append_event(workspace, Topic.LAUNCHES, actor, "import chains", fields)
    return report
