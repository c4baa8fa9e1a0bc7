"""What people say of critiques, out of the journal: each reviewer's newest word of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cai_core.records import CritiqueVerdict
from cai_core.workspace.events import Topic
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.transaction import insert
from cai_core.workspace.review_folding import fold_reviews

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
