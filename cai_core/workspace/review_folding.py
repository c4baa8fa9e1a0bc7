"""What people say of critiques, folded out of the journal's events. Pure: no index is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cai_core.records import CritiqueVerdict
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.review_critiques import DISCARDED

# As the column of `critique_reviews` holds it.
_MOST_ROUNDS = 2**31 - 1


def is_review(event: Mapping[str, Any]) -> bool:
    """Whether an event of `reviews` is about one critique, and not about a chain as a whole."""
    return "round" in event


def fold_reviews(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What counts of the events of `reviews`, oldest first: rows of `critique_reviews`.

    A reviewer's newest word of a critique counts; taken back, the one before it does. Put aside, it
    has none of theirs. Events that are no reviews, or broken ones, say nothing.
    """
    said: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for event in events:
        place = (event.get("chain"), event.get("round"), event.get("actor"))
        if not _is_place(*place):
            continue
        key = (clean(str(place[0])), int(str(place[1])), clean(str(place[2])))
        reviews = said.setdefault(key, [])
        if isinstance(undone := event.get("undone"), str):
            reviews[:] = [review for review in reviews if review["review"] != clean(undone)]
        elif event.get("verdict") in [*CritiqueVerdict, DISCARDED]:
            reviews.append(_build_row(key, event))
    newest = (reviews[-1] for reviews in said.values() if reviews)
    return [review for review in newest if review["verdict"] != DISCARDED]


def _is_place(chain: Any, round_: Any, actor: Any) -> bool:
    numbered = type(round_) is int and 1 <= round_ <= _MOST_ROUNDS
    return numbered and isinstance(chain, str) and chain != "" and isinstance(actor, str)


def _build_row(key: tuple[str, int, str], event: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: clean(str(event.get(name) or "")) for name in ("review", "reason")}
    return {
        **dict(zip(("chain", "round", "reviewer"), key, strict=True)),
        **texts,
        "verdict": str(event["verdict"]),
        "blind": event.get("blind") is True,
        "happened": clean(str(event.get("at") or "")),
        "position": event.get("position", 0),
    }
