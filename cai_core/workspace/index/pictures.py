"""What pictures of the lists show: sums over every row that a filter leaves, out of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cai_core.workspace.index.blocks import Array
from cai_core.workspace.index.facets import Field
from cai_core.workspace.index.finding import Rows
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.index.schema import Connection

# Points of a line over time.
_MOST_TIMES = 12
_REVIEWS = """
select r.seq, v.happened, v.verdict
from critique_reviews v join rounds r on r.chain = v.chain and r.round = v.round
where r.chain in (select chain from critique_reviews) order by v.happened, v.position
"""
# Of confidence and position bias, as in `prepare_labels.py`.
_BINS = (10, 20)
_TOLD = ("found", "not_touched", "unparsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean with what its interval takes.

    Attributes:
        n: numbers. prompts: they come from so many.
        mean: in the number's unit. variance: of the mean, robust against prompts that have several
            numbers (Liang and Zeger 1986, for a mean); None from fewer than two prompts.
    """

    n: int
    prompts: int
    mean: float
    variance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundMeans:
    """The rounds of one number, of every chain.

    Attributes:
        before, after: words of what was revised, and of the revision.
        distance: words that a revision took out or put in, as a share of the words of both, in
            [0, 1].
    """

    round: int
    before: Mean | None
    after: Mean | None
    distance: Mean | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictTime:
    """People's verdicts on critiques that were given one after the other.

    Attributes:
        at: when the middle one was given (UTC, ISO 8601).
        counts: a `CritiqueVerdict`'s word → how often.
    """

    at: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPictures:
    """Of the critiques and revisions.

    Attributes:
        found: principle → how many critiques with a finding it has, and how many found a problem.
        harm: category of harm → round → the same.
        rounds: by number.
        verdicts: in order of time.
        is_partial: some rows are left out: too many texts would have to be looked through.
    """

    total: int
    found: dict[str, OutcomeSums]
    harm: dict[str, dict[int, OutcomeSums]]
    rounds: tuple[RoundMeans, ...]
    verdicts: tuple[VerdictTime, ...]
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPictures:
    """Of the comparisons and their labels.

    Attributes:
        verdicts: principle → verdict → comparisons.
        longer: principle → of the labels that prefer a longer or shorter response, how many prefer
            the longer one.
        confidence, biases: labels in each bin (`prepare_labels.py`), the lowest first.
        is_partial: as in `RoundPictures`.
    """

    total: int
    verdicts: dict[str, dict[str, int]]
    longer: dict[str, OutcomeSums]
    confidence: tuple[int, ...] = field(default=())
    biases: tuple[int, ...] = field(default=())
    is_partial: bool = False


def picture_rounds(con: Connection, rows: Rows) -> RoundPictures:
    """Sum up rounds."""
    combinations = _take(rows, [block.combinations for block in rows.columns.blocks])
    prompts = _number(_take(rows, [block.texts[2] for block in rows.columns.blocks]))
    numbers = [
        _take(rows, column)
        for column in zip(*(block.measures for block in rows.columns.blocks), strict=True)
    ]
    told = [_choose(rows, "finding", value) for value in _TOLD]
    found, is_told = told[0][combinations], np.logical_or.reduce(told)[combinations]
    return RoundPictures(
        total=len(combinations),
        found=_sum_by(rows.fields["principle"], combinations, is_told, found, prompts),
        harm=_sum_harm(rows, combinations, is_told, found, prompts, numbers[0]),
        rounds=_average_rounds(numbers, prompts),
        verdicts=_list_verdicts(con, rows),
        is_partial=rows.is_partial,
    )


def picture_comparisons(rows: Rows) -> ComparisonPictures:
    """Sum up comparisons."""
    blocks = rows.columns.blocks
    counts = rows.columns.count(rows.masks)
    combinations = _take(rows, [block.combinations for block in blocks])
    prompts = _number(_take(rows, [block.texts[0] for block in blocks]))
    longer, shorter = (_choose(rows, "traits", value) for value in ("longer", "shorter"))
    principles = rows.fields["principle"]
    bins = []
    for at, size in enumerate(_BINS):
        column = _take(rows, [block.flags[at] for block in blocks])
        found = np.bincount(column[column >= 0], minlength=size).tolist()
        bins.append(tuple(found) if any(found) else ())
    return ComparisonPictures(
        total=len(combinations),
        verdicts=_cross(principles, rows.fields["verdict"], counts),
        longer=_sum_by(
            principles,
            combinations,
            (longer | shorter)[combinations],
            longer[combinations],
            prompts,
        ),
        confidence=bins[0],
        biases=bins[1],
        is_partial=rows.is_partial,
    )


def _take(rows: Rows, columns: Sequence[Array]) -> Array:
    """A column of the rows, of each block's."""
    return np.concatenate([one[mask] for one, mask in zip(columns, rows.masks, strict=True)])


def _number(prompts: Array) -> Array:
    """The prompts numbered without gaps."""
    held = np.zeros(int(prompts.max(initial=0)) + 1, bool)
    held[prompts] = True
    numbered: Array = (np.cumsum(held, dtype=np.int32) - 1)[prompts]
    return numbered


def _choose(rows: Rows, name: str, value: str) -> Array:
    """Whether each combination has a value of a field."""
    return rows.fields[name].choose(len(rows.columns.combinations) + 1, value)


def _cross(first: Field, second: Field, counts: Array) -> dict[str, dict[str, int]]:
    """Value of the first field → value of the second → rows."""
    crossed = {}
    for code, value in enumerate(first.values):
        mine = np.zeros(len(counts), np.int64)
        here = first.combinations[first.codes == code]
        mine[here] = counts[here]
        if mine.any():
            crossed[value] = dict(second.count(mine))
    return crossed


def _sum_by(
    named: Field, combinations: Array, is_told: Array, yes: Array, prompts: Array
) -> dict[str, OutcomeSums]:
    """Value of a field → of its rows that tell, those with a yes, with sums over prompts."""
    combinations, yes, prompts = combinations[is_told], yes[is_told], prompts[is_told]
    if not len(combinations):
        return {}
    sums = {}
    for codes in _split(named, int(combinations.max()) + 1):
        here = codes[combinations]
        # Sorted as one number each, what belongs together lies together: quicker than any look-up.
        packed = (here.astype(np.int64) << 33) | (prompts.astype(np.int64) << 1) | yes
        packed = packed[here >= 0]
        if not len(packed):
            continue
        packed.sort()
        ones, cells = packed & 1, packed >> 1
        starts = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
        y = np.add.reduceat(ones, starts)
        n = np.diff(np.append(starts, len(cells)))
        of = cells[starts] >> 32
        firsts = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
        told = [np.add.reduceat(column, firsts) for column in (n, y, y * y, y * n, n * n)]
        prompts_each = np.diff(np.append(firsts, len(of)))
        for at, code in enumerate(of[firsts].tolist()):
            count, one, squared, crossed, n_squared = (int(column[at]) for column in told)
            sums[named.values[code]] = OutcomeSums(
                n=count,
                prompts=int(prompts_each[at]),
                yes=one,
                yes_squared=squared,
                crossed=crossed,
                n_squared=n_squared,
            )
    return sums


def _split(named: Field, size: int) -> list[Array]:
    """Each combination's values, as codes: one array where it has one, more where it has more.

    An array has −1 for combinations that have no (further) value. A value is in one array alone.
    """
    fits = named.combinations < size
    arrays: list[Array] = []
    for code in np.unique(named.codes[fits]).tolist():
        mine = named.combinations[fits & (named.codes == code)]
        free = next((one for one in arrays if (one[mine] < 0).all()), None)
        if free is None:
            free = np.full(size, -1, np.int32)
            arrays.append(free)
        free[mine] = code
    return arrays


def _sum_harm(
    rows: Rows, combinations: Array, is_told: Array, found: Array, prompts: Array, rounds: Array
) -> dict[str, dict[int, OutcomeSums]]:
    named = rows.fields["category"]
    by_round = {
        number: _sum_by(named, combinations, is_told & (rounds == number), found, prompts)
        for number in (np.unique(rounds).tolist() if named.values else ())
    }
    categories = sorted({category for sums in by_round.values() for category in sums})
    return {
        category: {number: sums[category] for number, sums in by_round.items() if category in sums}
        for category in categories
    }


def _average_rounds(numbers: Sequence[Array], prompts: Array) -> tuple[RoundMeans, ...]:
    told = []
    for number in np.flatnonzero(np.bincount(numbers[0].clip(min=0))).tolist():
        here = np.flatnonzero(numbers[0] == number)
        mine = prompts[here]
        before, after, moved = (_average(column[here], mine) for column in numbers[1:])
        share = None if moved is None else _scale(moved, 1 / 1000)
        told.append(RoundMeans(round=number, before=before, after=after, distance=share))
    return tuple(told)


def _average(values: Array, prompts: Array) -> Mean | None:
    known = values >= 0
    if not known.all():
        values, prompts = values[known], prompts[known]
    if not len(values):
        return None
    mean = float(values.mean())
    residuals = np.bincount(prompts, weights=values - mean)
    count = int(np.count_nonzero(np.bincount(prompts)))
    variance = None
    if count > 1:
        variance = count / (count - 1) * float((residuals**2).sum()) / len(values) ** 2
    return Mean(n=len(values), prompts=count, mean=mean, variance=variance)


def _scale(mean: Mean, factor: float) -> Mean:
    variance = None if mean.variance is None else mean.variance * factor**2
    return Mean(n=mean.n, prompts=mean.prompts, mean=mean.mean * factor, variance=variance)


def _list_verdicts(con: Connection, rows: Rows) -> tuple[VerdictTime, ...]:
    reviews = con.execute(_REVIEWS).fetchall()
    asked = np.array([seq for seq, _, _ in reviews], np.int64)
    held = np.zeros(len(asked), bool)
    for block, mask in zip(rows.columns.blocks, rows.masks, strict=True):
        if len(asked):
            seqs = block.seqs[np.isin(block.seqs, asked) & mask]
            held |= np.isin(asked, seqs)
    kept = [(at, verdict) for (_, at, verdict), here in zip(reviews, held, strict=True) if here]
    size = -(-len(kept) // _MOST_TIMES) or 1
    told = []
    for start in range(0, len(kept), size):
        some = kept[start : start + size]
        verdicts = [verdict for _, verdict in some]
        counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
        told.append(VerdictTime(at=some[len(some) // 2][0], counts=counts))
    return tuple(told)
