"""What people do with chains: start one in the playground, and mark one they have read."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.pipeline.interactive import build_run_id
from cai_core.pipeline.live import LiveChain, LiveHub, LiveRequest
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event

MAX_NOTE = 4000


def start_chain(actor: Actor, workspace: Path, hub: LiveHub, request: LiveRequest) -> LiveChain:
    """Start an interactive chain, and journal the launch.

    Raises:
        NotAllowedError: the actor may not launch.
        CaiError: too many chains are running.
        WorkspaceError: the journal cannot be written; the chain is stopped again.
    """
    require(actor, AccessRole.REVIEWER, "start a chain")
    chain = hub.start(request)
    try:
        append_event(
            workspace,
            Topic.LAUNCHES,
            actor,
            "start chain",
            {
                "run": build_run_id(chain.id),
                "prompt_hash": request.prompt.hash,
                "constitution": request.constitution.name,
                "constitution_hash": request.constitution.hash,
                "model": request.model,
            },
        )
    except CaiError:
        chain.stop()
        raise
    return chain


def mark_chain(
    actor: Actor,
    workspace: Path,
    *,
    chain: str,
    run: str,
    saved: bool | None = None,
    flagged: bool | None = None,
    note: str = "",
) -> None:
    """Save or flag a chain (or take that back), or add a note to it. None leaves a mark alone.

    Args:
        chain: row id of the chain's initial response; `run` is the run that holds it.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: nothing to mark, or the note is longer than MAX_NOTE characters.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "mark a chain")
    text = note.strip()
    if len(text) > MAX_NOTE:
        raise CaiError(f"The note has {len(text)} characters. Shorten it to {MAX_NOTE}.")
    marks: dict[str, bool | str] = {}
    if saved is not None:
        marks["saved"] = saved
    if flagged is not None:
        marks["flagged"] = flagged
    if text:
        marks["note"] = text
    if not marks:
        raise CaiError("There is nothing to mark. Write a note first.")
    fields = {"chain": chain, "run": run, **marks}
    append_event(workspace, Topic.REVIEWS, actor, "mark chain", fields)
