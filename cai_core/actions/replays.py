"""Running a stored chain or label again. The rows are kept nowhere; the journal has both ends."""

from __future__ import annotations

import logging
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.pipeline.replay_live import LiveReplay, ReplayHub, ReplayRequest
from cai_core.pipeline.replay_report import ReplayReport
from cai_core.pipeline.replay_targets import ChainTarget, Target, describe_target
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event

log = logging.getLogger(__name__)


def start_replay(
    actor: Actor,
    workspace: Path,
    hub: ReplayHub,
    target: Target,
    recordings: Path | None = None,
) -> LiveReplay:
    """Start a replay, and journal that; its end is journalled with what it came to.

    Raises:
        NotAllowedError: the actor may not launch.
        CaiError: too many replays are running.
        WorkspaceError: the journal cannot be written; the replay is stopped again.
    """
    require(actor, AccessRole.REVIEWER, "start a replay")
    what = "chain" if isinstance(target, ChainTarget) else "label"
    fields = describe_target(target)

    def tell_end(report: ReplayReport) -> None:
        first = report.first
        told = {"same": first is None, "first_difference": first.name if first else None}
        try:
            append_event(workspace, Topic.LAUNCHES, actor, f"replayed {what}", {**fields, **told})
        except CaiError as error:  # the person has the answer all the same
            log.warning("the end of a replay is not in the journal: %s", error)

    replay = hub.start(
        ReplayRequest(target=target, workspace=workspace, recordings=recordings, tell_end=tell_end)
    )
    try:
        append_event(workspace, Topic.LAUNCHES, actor, f"replay {what}", fields)
    except CaiError:
        replay.stop()
        raise
    return replay
