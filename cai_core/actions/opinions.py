"""Asking models about constitutions, on somebody's behalf."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from cai_core.actions.check import require
from cai_core.constitution.contradictions import MOST_PAIRS
from cai_core.constitution.opinions import Opinion
from cai_core.pipeline.ask_opinion import ask_opinion
from cai_core.pipeline.connect import launch
from cai_core.records import AccessRole, Actor, Constitution
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.opinions import write_opinion
from cai_core.workspace.status import now


def ask_about_constitution(
    actor: Actor,
    workspace: Path,
    constitution: Constitution,
    model: str,
    *,
    most_pairs: int = MOST_PAIRS,
) -> Opinion:
    """Ask a model which principles may do harm or contradict each other, and keep it all. Blocks.

    Args:
        constitution: a version's or a draft's, as it stands.
        model: name of an endpoint, or what a recipe may name.

    Raises:
        NotAllowedError: the actor may not edit.
        CaiError: there is no such model, or it does not answer.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, "ask a model about a constitution")
    launched = launch(model, workspace)
    told = asyncio.run(ask_opinion(launched, constitution, most_pairs=most_pairs))
    opinion = replace(told, model=model, asked_by=actor.name, at=now())
    path = write_opinion(workspace, opinion)
    append_event(
        workspace,
        Topic.LAUNCHES,
        actor,
        "ask about constitution",
        {
            "constitution": constitution.name,
            "model": model,
            "model_id": opinion.model_id,
            "weights_hash": opinion.weights_hash,
            "principles": len(opinion.harm),
            "pairs": len(opinion.pairs),
            "unreadable": opinion.unreadable,
            "file": path.name,
        },
    )
    return opinion
