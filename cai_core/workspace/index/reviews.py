"""What people say of critiques, out of the journal: each reviewer's newest word of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cai_core.records import CritiqueVerdict
from cai_core.workspace.events import Topic
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.transaction import insert

_SCHEMA = pa.schema(
    [
        ("chain", pa.string()),
        ("round", pa.int32()),
        *((name, pa.string()) for name in ("reviewer", "review", "verdict", "reason")),
        ("blind", pa.bool_()),
        ("happened", pa.string()),
        ("position", pa.int64()),
    ]
)
_MOST_ROUNDS = 2**31 - 1
# What people's verdicts on a critique come to, where it is not one of the verdicts itself.
OPEN, DISPUTED = "open", "disputed"
_STATES = f"""
select chain, round, count(*) as people,
    case when count(distinct verdict) = 1 then min(verdict) else '{DISPUTED}' end as state
from critique_reviews group by chain, round
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueReview:
    """What a reviewer says of one critique.

    Attributes:
        review: its id, by which it is taken back.
        blind: whether they saw neither the finding nor what others say.
        at: when (UTC, ISO 8601). place: in the journal; later ones have higher numbers.
    """

    chain: str
    round: int
    reviewer: str
    review: str
    verdict: CritiqueVerdict
    reason: str
    blind: bool
    at: str
    place: int


def load_reviews(con: Connection, chain: str) -> tuple[CritiqueReview, ...]:
    """What is said of a chain's critiques: by round, the oldest first."""
    found = con.execute(
        "select chain, round, reviewer, review, verdict, reason, blind, happened, position "
        "from critique_reviews where chain = ? order by round, position",
        [clean(chain)],
    ).fetchall()
    return tuple(
        CritiqueReview(
            chain=row[0],
            round=row[1],
            reviewer=row[2],
            review=row[3],
            verdict=CritiqueVerdict(row[4]),
            reason=row[5],
            blind=row[6],
            at=row[7],
            place=row[8],
        )
        for row in found
    )


def load_states(con: Connection, chains: Iterable[str]) -> dict[tuple[str, int], tuple[str, int]]:
    """Chain and round → what people's verdicts come to, and how many people; without open ones.

    The state is a verdict where all say it, else DISPUTED.
    """
    found = con.execute(
        f"select chain, round, state, people from ({_STATES}) "
        "where chain in (select unnest(?::varchar[]))",
        [sorted(chains)],
    ).fetchall()
    return {(chain, round_): (state, people) for chain, round_, state, people in found}


def find_judged(con: Connection, state: str) -> npt.NDArray[np.int64]:
    """`seq` of the rounds whose critiques are in that state; of OPEN, of those that are not."""
    found = con.execute(
        f"select r.seq from rounds r join ({_STATES}) s on s.chain = r.chain and s.round = r.round "
        "where s.state = $state or $state = $open",
        {"state": clean(state), "open": OPEN},
    ).fetchall()
    return np.array([seq for (seq,) in found], np.int64)


def is_review(event: Mapping[str, Any]) -> bool:
    """Whether an event of `reviews` is about one critique, and not about a chain as a whole."""
    return "round" in event


def save_reviews(con: Connection, chains: Iterable[str]) -> None:
    """Derive the reviews of these chains anew from the events that the index holds."""
    wanted = sorted(chains)
    if not wanted:
        return
    found = con.execute(
        "select position, record from events "
        "where topic = ? and chain in (select unnest(?::varchar[])) order by position",
        [Topic.REVIEWS.value, wanted],
    ).fetchall()
    con.execute(
        "delete from critique_reviews where chain in (select unnest(?::varchar[]))", [wanted]
    )
    events = ({**json.loads(record), "position": position} for position, record in found)
    if reviews := fold_reviews(events):
        insert(con, "critique_reviews", pa.Table.from_pylist(reviews, schema=_SCHEMA))


def fold_reviews(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What counts of the events of `reviews`, oldest first: rows of `critique_reviews`.

    A reviewer's newest word of a critique counts; taken back, the one before it does. Events that
    are no reviews, or broken ones, say nothing.
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
        elif event.get("verdict") in list(CritiqueVerdict):
            reviews.append(_build_row(key, event))
    return [reviews[-1] for reviews in said.values() if reviews]


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
