"""Queues of critiques, small: chains in real run folders, found as the index finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cai_core.actions.critique_queues import make_critique_queue, vote_critique
from cai_core.records import LOCAL_ACTOR, Actor, CritiqueVerdict, Finding, PromptKind
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_queues import QueuedRound, ReviewQueue
from cai_core.workspace.review_rounds import find_rounds
from tests.chain_workspace import Round, Texts, write_chains

RUN = "chains"


def make_texts(number: int, **changes: Any) -> Texts:
    """A chain of two rounds: a problem found under p0, none under p1."""
    rounds = (
        Round(critique=f"It is unkind {number}.", revision=f"Better {number}.", principle="p0"),
        Round(
            critique="Not touched.",
            finding=Finding.NOT_TOUCHED,
            revision=f"Better {number}.",
            principle="p1",
        ),
    )
    return Texts(
        **{
            "prompt": f"How do I do thing {number}?",
            "response": f"Go away {number}.",
            "kind": PromptKind.HELPFUL,
            "rounds": rounds,
            **changes,
        }
    )


def make_chains(workspace: Path, count: int = 3, **changes: Any) -> list[str]:
    """Write a run of such chains; their ids."""
    return write_chains(workspace, RUN, [make_texts(n, **changes) for n in range(count)])


@contextmanager
def open_index(workspace: Path) -> Iterator[WorkspaceIndex]:
    """The workspace's index, up to date."""
    index = WorkspaceIndex.open(workspace)
    try:
        index.ingest()
        yield index
    finally:
        index.close()


def queue_critiques(
    workspace: Path, chosen: RoundFilter | None = None, **settings: Any
) -> ReviewQueue:
    """Make a queue of the critiques that a filter finds. The index must be nobody's."""
    with open_index(workspace) as index:
        found = find_rounds(index.list_rounds, chosen or RoundFilter())
    return make_critique_queue(LOCAL_ACTOR, workspace, found=found, **settings)


def judge(
    workspace: Path, queue: str, actor: Actor, item: str, verdict: CritiqueVerdict, **more: Any
) -> str:
    """Say what a critique is worth."""
    told = {"blind": True, **more}
    return vote_critique(actor, workspace, queue=queue, item=item, verdict=verdict, **told)


def make_round(number: int, **changes: Any) -> QueuedRound:
    """A round outside of any workspace."""
    return QueuedRound(
        **{
            "chain": f"chain{number}",
            "round": 1,
            "run": RUN,
            "principle": f"p{number % 2}",
            "model": "model-a",
            "finding": "found",
            "kind": "helpful",
            **changes,
        }
    )


def make_critique_vote(
    number: int, verdict: CritiqueVerdict | None, reviewer: str = "ada", **changes: Any
) -> CritiqueVote:
    """A vote outside of any workspace."""
    return CritiqueVote(
        **{
            "vote": f"v-{number}-{reviewer}",
            "queue": "q",
            "chain": f"chain{number}",
            "round": 1,
            "reviewer": reviewer,
            "at": "2026-01-31T12:00:00.000+00:00",
            "verdict": verdict,
            "reason": "",
            "revision": "",
            "blind": True,
            "seconds": 3.5,
            "exposed": False,
            **changes,
        }
    )
