"""Try a constitution's text against another: two runs into the queue, and a journal's line."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.actions.jobs import submit
from cai_core.jobs.try_specs import TryRequest, build_try
from cai_core.records import AccessRole, Actor, Constitution
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.tries import TRY, Try, find_try


def try_constitution(
    actor: Actor,
    workspace: Path,
    before: Constitution,
    after: Constitution,
    request: TryRequest,
    *,
    accept_risk: bool = False,
) -> Try:
    """Hand in both runs, and remember them with the texts' hashes.

    The same try again goes on with the same runs.

    Args:
        before, after: checked texts with their hashes; neither needs to be a saved version.

    Raises:
        NotAllowedError: the actor may not launch.
        CaiError: as `build_try` and `submit`.
    """
    require(actor, AccessRole.EDITOR, TRY)
    specs = build_try(workspace, before, after, request)
    for spec in (specs.before, specs.after):
        submit(actor, workspace, spec, accept_risk=accept_risk)
    fields = {
        "name": after.name,
        "version": after.hash,
        "against_name": before.name,
        "against": before.hash,
        "before_run": specs.before.run_id,
        "run": specs.after.run_id,
        "prompts": specs.label,
        "count": specs.count,
        "principle": request.principle,
    }
    append_event(workspace, Topic.LAUNCHES, actor, TRY, fields)
    tried = find_try(workspace, specs.before.run_id, specs.after.run_id)
    assert tried is not None
    return tried
