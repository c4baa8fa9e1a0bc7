"""The data card of a queue's votes, whatever the queue is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cai_core.workspace.review_queues import ReviewQueue

Facts = Sequence[tuple[str, object]]
_LIMITS = (
    "Each reviewer's newest vote counts; those taken back are left out.",
    "A vote is an opinion. Reasons are a person's own words and may quote harmful text.",
    "The file holds names of reviewers. Ask them before you publish it.",
)


def build_card(queue: ReviewQueue, *, told: str, counts: Facts, limits: Iterable[str] = ()) -> str:
    """A Markdown card that says what the file holds, how it was made, and what it is not.

    Args:
        told: what a line is. counts: what the votes come to.
        limits: sentences of what it is not, before those of every file of votes.
    """
    return "\n".join(
        [
            "---",
            "task_categories: [text-generation]",
            f"tags: [{'preference' if queue.kind == 'comparisons' else 'critique'}, human-review]",
            "---",
            "",
            f"# Votes of people in the review queue {_cell(queue.name)}",
            "",
            told,
            "",
            "## How they were made",
            "",
            *_build_table(_list_facts(queue)),
            "",
            "## What they come to",
            "",
            *_build_table(counts),
            "",
            "## Limits",
            "",
            *(f"- {sentence}" for sentence in (*limits, *_LIMITS)),
            "",
        ]
    )


def describe_draw(queue: ReviewQueue) -> str:
    """How a queue was drawn of its selection."""
    if queue.width is None:
        return "all of them"
    return (
        f"a random sample of {len(queue.items)} of {queue.population} (seed {queue.seed}), for a "
        f"95 % interval at most {queue.width:g} wide"
    )


def _list_facts(queue: ReviewQueue) -> Facts:
    of = "labels of run" if queue.kind == "comparisons" else "critiques of run"
    return [
        ("queue", f"{queue.name}, {queue.queue_id}"),
        (of, queue.run or "several"),
        (f"{queue.kind} chosen by", queue.selection or "nothing: any there was"),
        ("of these", describe_draw(queue)),
        ("reviewers wanted for each", queue.overlap),
        ("blind", "yes" if queue.blind else "no"),
    ]


def _build_table(rows: Iterable[tuple[str, object]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
