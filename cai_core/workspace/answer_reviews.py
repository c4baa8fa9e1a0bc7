"""What people say of single answers of evaluations: whether one shows what a judge was asked.

A reviewer's newest word of an answer and a measure counts. Nothing here writes: see
`actions.answer_reviews`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.workspace.events import Topic, get_journal_path, read_events

REVIEWED = "review answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReview:
    """One reviewer's word.

    Attributes:
        run: the evaluation. prompt_id, sample: of the answer. measure: what was asked.
        shown: whether the answer shows it; None where the reviewer could not decide.
        blind: whether what the judge says was hidden, and had been all along.
        at: when (UTC, ISO 8601).
    """

    run: str
    prompt_id: str
    sample: int
    measure: str
    reviewer: str
    shown: bool | None
    reason: str
    blind: bool
    at: str


def read_answer_reviews(workspace: Path) -> tuple[AnswerReview, ...]:
    """What counts, in the order in which it was said; damaged events say nothing."""
    path = get_journal_path(workspace, Topic.REVIEWS)
    try:
        stat = path.stat()
    except OSError:
        return ()
    return _read(workspace, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(workspace: Path, _changed: int, _size: int) -> tuple[AnswerReview, ...]:
    found: dict[tuple[str, str, int, str, str], AnswerReview] = {}
    for event in read_events(workspace, Topic.REVIEWS):
        if event.get("action") == REVIEWED and (review := _parse(event)) is not None:
            key = (review.run, review.prompt_id, review.sample, review.measure, review.reviewer)
            found.pop(key, None)
            found[key] = review
    return tuple(found.values())


def _parse(event: Mapping[str, Any]) -> AnswerReview | None:
    texts = {key: event.get(key) for key in ("run", "prompt_id", "measure", "reason", "at")}
    sample, shown, actor = event.get("sample"), event.get("shown"), event.get("actor")
    whole = all(isinstance(text, str) for text in (*texts.values(), actor))
    if not whole or type(sample) is not int or not (shown is None or isinstance(shown, bool)):
        return None
    return AnswerReview(
        **{name: str(text) for name, text in texts.items()},
        sample=sample,
        reviewer=str(actor),
        shown=shown,
        blind=event.get("blind") is True,
    )
