"""Review queues, votes and runs of labels to review, small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cai_core.actions.comparison_reviews import make_queue, vote_comparison
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.jobs.label_study import load_study
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, PromptKind
from cai_core.workspace.review_queues import ReviewQueue
from cai_core.workspace.review_votes import Vote, VoteChoice
from tests.label_workspace import write_labels
from tests.training.labels import make_label

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob", role=AccessRole.REVIEWER)
VIEWER = Actor(name="vic", role=AccessRole.VIEWER)
RUN = "labels"


def make_labels(count: int, **changes: Any) -> list[LabelRecord]:
    """Labels about helpful prompts, A and B preferred in turn, by two principles in turn."""
    return [
        make_label(
            n,
            0.9 if n % 2 == 0 else 0.2,
            **{
                "prompt_kind": PromptKind.HELPFUL,
                "principle_ids": (f"p{n // 2 % 2}",),
                "feedback_model": "fm-7b",
                **changes,
            },
        )
        for n in range(count)
    ]


def make_workspace(workspace: Path, labels: Sequence[LabelRecord] | int = 6) -> None:
    """Write a run of labels."""
    told = make_labels(labels) if isinstance(labels, int) else labels
    write_labels(workspace, RUN, told)


def queue_up(workspace: Path, chosen: LabelFilter | None = None, **settings: Any) -> ReviewQueue:
    """Make a queue of the run's labels."""
    study = load_study(workspace / "runs" / RUN)
    return make_queue(
        LOCAL_ACTOR, workspace, study=study, chosen=chosen or LabelFilter(), **settings
    )


def say(
    workspace: Path, queue: str, actor: Actor, comparison: str, choice: VoteChoice, **more: Any
) -> str:
    """Vote."""
    told = {"blind": True, "shown_first": "A", **more}
    return vote_comparison(
        actor, workspace, queue=queue, comparison=comparison, choice=choice, **told
    )


def make_vote(comparison: str, choice: VoteChoice, reviewer: str = "ada", **changes: Any) -> Vote:
    """A vote outside of any workspace."""
    return Vote(
        **{
            "vote": f"v-{comparison}-{reviewer}",
            "queue": "q",
            "comparison": comparison,
            "reviewer": reviewer,
            "at": "2026-01-31T12:00:00.000+00:00",
            "choice": choice,
            "reason": "",
            "blind": True,
            "shown_first": "A",
            "seconds": 3.5,
            "exposed": False,
            **changes,
        }
    )
