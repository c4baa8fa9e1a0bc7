"""Starting a comparison of ways in the playground."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.pipeline.ways_live import LiveWays, WaysHub, WaysRequest
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event


def start_ways(actor: Actor, workspace: Path, hub: WaysHub, request: WaysRequest) -> LiveWays:
    """Start a comparison, and journal the launch.

    Raises:
        NotAllowedError: the actor may not launch.
        CaiError: too many comparisons are running.
        WorkspaceError: the journal cannot be written; the comparison is stopped again.
    """
    require(actor, AccessRole.REVIEWER, "start a comparison")
    ways = hub.start(request)
    recipe = request.recipe
    fields = {
        "run": ways.run_id,
        "prompt_hash": request.prompt.hash,
        "constitution": recipe.constitution,
        "constitution_hash": recipe.constitution_hash,
        "ways": [way.value for way in recipe.ways],
        "model": recipe.model,
        "other_model": recipe.other_model,
        "feedback_model": recipe.feedback_model,
    }
    try:
        append_event(workspace, Topic.LAUNCHES, actor, "compare ways", fields)
    except CaiError:
        ways.stop()
        raise
    return ways
