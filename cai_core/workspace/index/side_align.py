"""Two runs' chains or labels brought together by prompt, in SQL, as columns. No texts.

    chains    the same conversation, and in it the same sample
    labels    the same conversation and the same two responses, in either order; or, by prompt, the
              same conversation and the same number among its comparisons

What has no partner stands alone. Texts are numbers here, and equal numbers are equal texts.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cai_core.records import PromptKind, Verdict
from cai_core.workspace.index.blocks import Array, Bools
from cai_core.workspace.index.prepare_labels import PENDING
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.side_views import LEAST_MOVE, By, Holds

KINDS = tuple(kind.value for kind in PromptKind)
# 0 stands for a word that is none of them.
VERDICTS = ("", *(verdict.value for verdict in Verdict), PENDING)
_MIRROR = np.array([VERDICTS.index({"A": "B", "B": "A"}.get(word, word)) for word in VERDICTS])
_FINDINGS = ("", "found", "not_touched", "unparsed")
# Two bits a round in a number of 64.
_MOST_ROUNDS = 31
_MOVE_EDGE = LEAST_MOVE - 1e-9

# One line a chain. In `findings` each round's critique is two bits.
_CHAINS = f"""
create or replace temp table sided as
select run_number, chain_key as id,
    max(conversation_text) filter (kind = 'response') as conversation,
    list_position(?, max(prompt_kind) filter (kind = 'response')) as prompt_kind,
    min(epoch::bigint << 40 | position) as place,
    max(text) filter (kind = 'response') as response,
    arg_max(text, round) filter (kind <> 'critique' and text is not null) as final,
    coalesce(bit_or((coalesce(list_position(?, finding), 1) - 1)::bigint
        << 2 * (greatest(least(round, {_MOST_ROUNDS}), 1) - 1))
        filter (kind = 'critique' and round between 1 and {_MOST_ROUNDS}), 0) as findings,
    count(*) filter (kind = 'critique') as critiques
from rows where run_number in (?, ?) group by run_number, chain_key
"""
_DOUBLED = """
with doubled as (
    select run_number, conversation from sided where conversation is not null
    group by run_number, conversation having count(*) > 1
)
select s.run_number, s.id, n.folder, r.file, r.position, r.length
from sided s semi join doubled d using (conversation)
join rows r on r.run_number = s.run_number and r.chain_key = s.id and r.kind = 'response'
join runs n on n.number = s.run_number
where r.run_number in (?, ?)
order by n.folder, r.file, r.position
"""
_JOIN_CHAINS = """
with ranked as (
    select s.*, coalesce(t.sample, 0) as sample, row_number() over (
        partition by s.run_number, s.conversation, coalesce(t.sample, 0)
        order by t.prompt_id, s.place) as nth
    from sided s left join told t on t.run_number = s.run_number and t.id = s.id
), lefts as (select * from ranked where run_number = ?),
rights as (select * from ranked where run_number = ?)
select coalesce(l.place, -1) as left_place, coalesce(r.place, -1) as right_place,
    coalesce(l.id, -1) as left_id, coalesce(r.id, -1) as right_id,
    coalesce(l.conversation, r.conversation, 0) as conversation,
    coalesce(l.prompt_kind, r.prompt_kind, 0) as prompt_kind,
    coalesce(l.response, 0) as left_response, coalesce(r.response, 0) as right_response,
    coalesce(l.final, 0) as left_final, coalesce(r.final, 0) as right_final,
    coalesce(l.findings, 0) as left_findings, coalesce(r.findings, 0) as right_findings,
    coalesce(l.critiques, 0) as left_critiques, coalesce(r.critiques, 0) as right_critiques
from lefts l full join rights r on l.conversation = r.conversation and l.sample = r.sample
    and l.nth = r.nth
order by l.place nulls last, r.place
"""
_JOIN_LABELS = """
with ranked as (
    select run_number, place, conversation_text as conversation, list_position(?, kind) as kind,
        coalesce(list_position(?, verdict), 1) - 1 as verdict, prob_a, a_text, b_text,
        case when ? then least(a_text, b_text) else 0 end as low,
        case when ? then greatest(a_text, b_text) else 0 end as high,
        row_number() over (partition by run_number, conversation, low, high order by place) as nth
    from comparisons where run_number in (?, ?)
), lefts as (select * from ranked where run_number = ?),
rights as (select * from ranked where run_number = ?)
select coalesce(l.place, -1) as left_place, coalesce(r.place, -1) as right_place,
    coalesce(l.place, -1) as left_id, coalesce(r.place, -1) as right_id,
    coalesce(l.conversation, r.conversation, 0) as conversation,
    coalesce(l.kind, r.kind, 0) as prompt_kind,
    coalesce(l.verdict, 0) as left_verdict, coalesce(r.verdict, 0) as right_verdict,
    coalesce(l.prob_a, 'nan'::double) as left_prob, coalesce(r.prob_a, 'nan'::double) as right_prob,
    coalesce(l.a_text, 0) as left_a, coalesce(l.b_text, 0) as left_b,
    coalesce(r.a_text, 0) as right_a, coalesce(r.b_text, 0) as right_b
from lefts l full join rights r on l.conversation = r.conversation and l.low = r.low
    and l.high = r.high and l.nth = r.nth
order by l.place nulls last, r.place
"""
_SAMPLE = re.compile(rb'"sample":\s*(\d+)')
_PROMPT = re.compile(rb'"prompt_id":\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """The pairs of two runs as columns of one length, in the order in which they are shown.

    Attributes:
        left_place, right_place: in the run, -1 where that side is missing.
        left_id, right_id: keys of chains, places of comparisons.
        conversation: number of the prompt's text. kind: place in KINDS, from 1; 0 for none.
        texts: numbers of every text that a search looks at.
        differs: aspect → where it differs; false where a side is missing.
        change: (left word's, right word's) code of each pair, into `words`.
        mirrored: where the right label has A and B exchanged.
    """

    holds: Holds
    by: By
    left_place: Array
    right_place: Array
    left_id: Array
    right_id: Array
    conversation: Array
    kind: Array
    texts: tuple[Array, ...]
    differs: dict[str, Bools]
    change: tuple[Array, Array]
    words: tuple[str, ...]
    mirrored: Bools

    @property
    def both(self) -> Bools:
        """Pairs that have both sides."""
        found: Bools = (self.left_place >= 0) & (self.right_place >= 0)
        return found


def align_chains(con: Connection, left: int, right: int) -> Aligned:
    """The chains of two runs (by number)."""
    con.execute(_CHAINS, [list(KINDS), list(_FINDINGS), left, right])
    con.register("told", _tell_samples(con.execute(_DOUBLED, [left, right]).fetchall()))
    try:
        found = _fetch(con, _JOIN_CHAINS, [left, right])
    finally:
        con.unregister("told")
        con.execute("drop table sided")
    both = (found["left_place"] >= 0) & (found["right_place"] >= 0)
    words, codes = _count_found(found)
    same_rounds = found["left_critiques"] == found["right_critiques"]
    same_findings = (found["left_findings"] == found["right_findings"]) & same_rounds
    return Aligned(
        holds="chains",
        by="prompt",
        **_shared(found),
        texts=tuple(
            found[name]
            for name in (
                "conversation",
                "left_response",
                "right_response",
                "left_final",
                "right_final",
            )
        ),
        differs={
            "final": both & (found["left_final"] != found["right_final"]),
            "findings": both & ~same_findings,
            "response": both & (found["left_response"] != found["right_response"]),
        },
        change=codes,
        words=words,
        mirrored=np.zeros(len(both), bool),
    )


def align_labels(con: Connection, left: int, right: int, by: By) -> Aligned:
    """The comparisons of two runs (by number)."""
    exact = by == "comparison"
    asked = [list(KINDS), list(VERDICTS), exact, exact, left, right, left, right]
    found = _fetch(con, _JOIN_LABELS, asked)
    both = (found["left_place"] >= 0) & (found["right_place"] >= 0)
    crossed = (found["left_a"] == found["right_b"]) & (found["left_b"] == found["right_a"])
    mirrored = both & crossed & (found["left_a"] != found["right_a"])
    verdicts = found["left_verdict"].astype(np.int64), found["right_verdict"].astype(np.int64)
    turned = np.where(mirrored, _MIRROR[verdicts[1]], verdicts[1])
    probs = found["left_prob"], found["right_prob"]
    moved = np.abs(probs[0] - np.where(mirrored, 1 - probs[1], probs[1])) >= _MOVE_EDGE
    moved |= np.isnan(probs[0]) != np.isnan(probs[1])
    texts = ("conversation", "left_a", "left_b", "right_a", "right_b")
    return Aligned(
        holds="labels",
        by=by,
        **_shared(found),
        texts=tuple(found[name] for name in texts),
        differs={"label": both & (verdicts[0] != turned), "confidence": both & moved},
        change=(verdicts[0], turned),
        words=VERDICTS,
        mirrored=mirrored,
    )


def _fetch(con: Connection, query: str, asked: Sequence[Any]) -> dict[str, Array]:
    found = con.execute(query, list(asked)).fetchnumpy()
    return {name: np.ma.getdata(column) for name, column in found.items()}


def _shared(found: dict[str, Array]) -> dict[str, Array]:
    names = ("left_place", "right_place", "left_id", "right_id", "conversation")
    return {**{name: found[name] for name in names}, "kind": found["prompt_kind"].astype(np.int8)}


def _count_found(found: dict[str, Array]) -> tuple[tuple[str, ...], tuple[Array, Array]]:
    """How many of a chain's critiques found a problem: words, and each side's codes into them."""
    low = np.uint64(0x5555555555555555)
    sides = []
    for side in ("left", "right"):
        told = found[f"{side}_findings"].astype(np.uint64)
        hits = told & ~(told >> np.uint64(1)) & low  # 01, of two bits each
        asked = np.minimum(found[f"{side}_critiques"], _MOST_ROUNDS)
        sides.append(np.bitwise_count(hits).astype(np.int64) << 8 | asked.astype(np.int64))
    numbers, codes = np.unique(np.concatenate(sides), return_inverse=True)
    words = (f"{one >> 8} of {one & 255}" if one else "none asked" for one in numbers.tolist())
    middle = len(sides[0])
    return tuple(words), (codes[:middle], codes[middle:])


def _tell_samples(doubled: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Of chains whose prompt has several in a run: which sample of which prompt each is.

    The index does not keep that; it stands in the row of the initial response.
    """
    told = list(_read_samples(doubled))
    return pa.table(
        {
            "run_number": pa.array([one[0] for one in told], pa.int32()),
            "id": pa.array([one[1] for one in told], pa.int64()),
            "sample": pa.array([one[2] for one in told], pa.int64()),
            "prompt_id": pa.array([one[3] for one in told], pa.string()),
        }
    )


def _read_samples(doubled: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, int, int, str]]:
    opened: tuple[Path, mmap.mmap] | None = None
    try:
        for run, key, folder, name, position, length in doubled:
            path = Path(folder) / "rows" / name
            if opened is None or opened[0] != path:
                if opened is not None:
                    opened[1].close()
                    opened = None
                with path.open("rb") as file:
                    opened = path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            end = position + length
            sample = _SAMPLE.search(opened[1], position, end)
            prompt = _PROMPT.search(opened[1], position, end)
            if sample and prompt:
                yield run, key, int(sample[1]), prompt[1].decode("utf-8", "replace")
    except (OSError, ValueError):
        return  # deleted just now: the places in the files decide
    finally:
        if opened is not None:
            opened[1].close()
