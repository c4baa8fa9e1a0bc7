"""Qualifications of feedback models: kept, and gone on without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.errors import WorkspaceError
from cai_core.jobs.qualifying import choose_known_set, is_of_demo_world
from cai_core.pipeline.connect import launch
from cai_core.pipeline.qualify import qualify
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.files import replace_file
from cai_core.workspace.qualifications import Standing, build_path, find_qualification, get_standing
from cai_core.workspace.status import now

_TOLD = ("model", "model_id", "weights_hash", "template", "reasoned", "set", "qualified", "below")
# Of a chain of thought; the demo model's context is short, and so are its thoughts.
_WORLD_TOKENS, _TOKENS = 128, 512


def qualify_model(
    actor: Actor,
    workspace: Path,
    model: str,
    *,
    template: TemplateName = "chat",
    reasoned: bool = False,
) -> Path:
    """Ask a feedback model as a label run would, and keep what it showed. Blocks.

    Args:
        model: as a recipe's `feedback_model` names it.

    Returns:
        Where the qualification is kept.

    Raises:
        NotAllowedError: the actor may not launch.
        CaiError: there is no such model, or it does not answer.
    """
    require(actor, AccessRole.EDITOR, "qualify a model")
    known = choose_known_set(model, workspace)
    tokens = _WORLD_TOKENS if is_of_demo_world(model, workspace) else _TOKENS
    asking = qualify(
        launch(model, workspace),
        model,
        known,
        template=template,
        reasoned=reasoned,
        max_tokens=tokens,
    )
    return save_qualification(actor, workspace, asyncio.run(asking).as_dict())


def save_qualification(actor: Actor, workspace: Path, document: Mapping[str, Any]) -> Path:
    """Keep what a model showed and journal it; an older one of the same is replaced.

    Args:
        document: `Qualified.as_dict`.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, "qualify a model")
    path = build_path(workspace, document)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path.parent}: cannot be made: {error.strerror}.") from error
    text = json.dumps({**document, "at": now()}, indent=1) + "\n"
    replace_file(path, [text.encode()])
    fields = {key: document.get(key) for key in _TOLD}
    append_event(workspace, Topic.LAUNCHES, actor, "qualify model", {**fields, "file": path.name})
    return path


def record_standing(
    actor: Actor, workspace: Path, run_id: str, recipe: Mapping[str, Any]
) -> Standing:
    """Journal how the feedback model of a `label` run that is handed in stands.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, "label")
    model = str(recipe.get("feedback_model"))
    found = find_qualification(
        workspace,
        model,
        template=str(recipe.get("template", "chat")),
        reasoned=bool(recipe.get("reasoned", False)),
    )
    standing = get_standing(found)
    if standing == "qualified":
        fields = {"run": run_id, "model": model, "qualification": standing}
        append_event(workspace, Topic.LAUNCHES, actor, "label by a qualified model", fields)
    else:
        record_unqualified(actor, workspace, run_id, model, found)
    return standing


def record_unqualified(
    actor: Actor, workspace: Path, run_id: str, model: str, found: Mapping[str, Any] | None
) -> None:
    """Journal that a run goes on with a model that is below the threshold, or was never asked.

    Args:
        found: its qualification; None where there is none.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, "label by a model that is not qualified")
    fields: dict[str, Any] = {"run": run_id, "model": model, "qualification": get_standing(found)}
    if found is not None:
        fields["below"] = found.get("below")
    append_event(workspace, Topic.LAUNCHES, actor, "go on unqualified", fields)
