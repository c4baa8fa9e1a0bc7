"""What came of each principle: counts over all rounds that drew it, and rounds to read closer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.records import CritiqueVerdict
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.transaction import snapshot

# Outcome → what it is counted among. Rounds of one prompt stand or fall together; a prompt that
# the index does not know (the row of its initial response is missing) is one of its own.
_OUTCOMES = {"found": "told", "not_touched": "told", "unparsed": "told", "changed": "revised"}
_SUMS = (
    "sum({n}), count(*) filter ({n} > 0), sum({y}), sum({y} * {y}), sum({y} * {n}), sum({n} * {n})"
)
_COUNTS = f"""
with cells as (
    select r.principle, coalesce(r.conversation_text, -1 - (hash(r.chain) >> 1)::bigint) as prompt,
        count(*) as drawn, count(*) filter (r.finding = 'direct') as direct,
        count(*) filter (r.finding = '') as untold,
        count(*) filter (r.finding = 'found') as found,
        count(*) filter (r.finding = 'not_touched') as not_touched,
        count(*) filter (r.finding = 'unparsed') as unparsed,
        found + not_touched + unparsed as told,
        count(r.changed) as revised, count(*) filter (r.changed) as changed
    from rounds r join runs n on n.number = r.run_number
    where n.constitution = ? and (? = '' or r.constitution_hash = ?)
    group by all
)
select principle, sum(drawn), sum(direct), sum(untold),
    {", ".join(_SUMS.format(n=n, y=y) for y, n in _OUTCOMES.items())}
from cells group by principle
"""
_REVIEWS = """
select r.principle, v.chain, v.round, v.reviewer, v.verdict
from critique_reviews v
join rounds r on r.chain = v.chain and r.round = v.round
join runs n on n.number = r.run_number
where n.constitution = ? and (? = '' or r.constitution_hash = ?) and r.finding <> 'direct'
order by v.chain, v.round, v.reviewer
"""
# The lowest hashes are a fair draw, and new rounds hardly change it.
_SAMPLE = """
with drawn as (
    select unnest(arg_min(r.rowid, hash(r.chain, r.round), ?)) as place
    from rounds r join runs n on n.number = r.run_number
    where n.constitution = ? and (? = '' or r.constitution_hash = ?)
        and r.principle in (select unnest(?::varchar[])) and r.changed is not null
    group by r.principle
)
select d.principle, d.chain, d.round, d.constitution_hash, d.changed, d.prompt_text,
    case when d.round = 1 then d.response_text else b.revision_text end, d.revision_text
from rounds d
left join rounds b on b.run_number = d.run_number and b.chain = d.chain and b.round = d.round - 1
where d.rowid in (select place from drawn)
order by d.principle, d.chain, d.round
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSums:
    """How often something was so, with what its interval takes: sums over prompts.

    With n_c rounds of prompt c, y_c of them so.

    Attributes:
        n, yes: Σ n_c and Σ y_c. prompts: how many have n_c > 0.
        yes_squared, crossed, n_squared: Σ y_c², Σ y_c n_c, Σ n_c².
    """

    n: int = 0
    prompts: int = 0
    yes: int = 0
    yes_squared: int = 0
    crossed: int = 0
    n_squared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleCounts:
    """The rounds that drew one principle.

    Attributes:
        principle: empty for rounds that name none (imported chains).
        drawn: rounds. direct: of these, revised without a critique.
        untold: critiques whose finding nobody kept (imported ones).
        found, not_touched, unparsed: of the critiques with a finding.
        changed: of the rounds with a revision, those whose text it changed.
    """

    principle: str
    drawn: int
    direct: int
    untold: int
    found: OutcomeSums
    not_touched: OutcomeSums
    unparsed: OutcomeSums
    changed: OutcomeSums


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleReview:
    """What a reviewer says of one critique made under a principle."""

    principle: str
    chain: str
    round: int
    reviewer: str
    verdict: CritiqueVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleRows:
    """What the index knows of a constitution's rounds, at one moment.

    Attributes:
        counts: by principle id, those that were drawn.
    """

    counts: dict[str, PrincipleCounts]
    reviews: tuple[PrincipleReview, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRound:
    """One round with its texts.

    Attributes:
        constitution_hash: of the version that it was made under.
        prompt: the last user turn.
        before, after: the response that was revised, and the revision.
    """

    principle: str
    chain: str
    round: int
    constitution_hash: str
    changed: bool
    prompt: str
    before: str
    after: str


def count_principles(con: Connection, constitution: str, constitution_hash: str) -> PrincipleRows:
    """Count a constitution's rounds by principle.

    Args:
        constitution: its name. constitution_hash: of one version; empty for all of them.
    """
    values = [clean(constitution), constitution_hash, constitution_hash]
    with snapshot(con):
        counted = con.execute(_COUNTS, values).fetchall()
        reviews = con.execute(_REVIEWS, values).fetchall()
    counts = {row[0]: _build_counts(row) for row in counted}
    return PrincipleRows(
        counts=counts,
        reviews=tuple(
            PrincipleReview(
                principle=principle,
                chain=chain,
                round=round_,
                reviewer=reviewer,
                verdict=CritiqueVerdict(verdict),
            )
            for principle, chain, round_, reviewer, verdict in reviews
        ),
    )


def sample_rounds(
    con: Connection,
    texts: TextStore,
    constitution: str,
    constitution_hash: str,
    principles: Sequence[str],
    limit: int,
) -> tuple[SampledRound, ...]:
    """Rounds with a revision, up to `limit` of each principle: always the same ones.

    Rounds of which a text is missing are left out.
    """
    names = [clean(principle) for principle in principles]
    values = [limit, clean(constitution), constitution_hash, constitution_hash, names]
    rows = con.execute(_SAMPLE, values).fetchall()
    loaded = texts.load({number for row in rows for number in row[5:] if number is not None})
    return tuple(
        SampledRound(
            principle=principle,
            chain=chain,
            round=round_,
            constitution_hash=version,
            changed=changed,
            prompt=loaded[prompt],
            before=loaded[before],
            after=loaded[after],
        )
        for principle, chain, round_, version, changed, prompt, before, after in rows
        if prompt in loaded and before in loaded and after in loaded
    )


def _build_counts(row: tuple[Any, ...]) -> PrincipleCounts:
    principle, drawn, direct, untold, *sums = row
    outcomes = {
        name: _build_sums(sums[6 * place : 6 * place + 6]) for place, name in enumerate(_OUTCOMES)
    }
    return PrincipleCounts(
        principle=principle, drawn=int(drawn), direct=int(direct), untold=int(untold), **outcomes
    )


def _build_sums(told: Sequence[Any]) -> OutcomeSums:
    n, prompts, yes, yes_squared, crossed, n_squared = map(int, told)
    return OutcomeSums(
        n=n,
        prompts=prompts,
        yes=yes,
        yes_squared=yes_squared,
        crossed=crossed,
        n_squared=n_squared,
    )
