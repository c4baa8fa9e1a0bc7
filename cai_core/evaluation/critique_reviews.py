"""What people say of critiques: how often they are right, and how far two people agree. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import combinations

from cai_core.evaluation.kappa import Kappa, compute_kappa
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.records import CritiqueVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSummary:
    """Reviews of critiques, one a reviewer and critique.

    Attributes:
        counts: of each verdict, in the order of `CritiqueVerdict`.
        right: share of the reviews that say `right`; what several say of one critique is one
            cluster. None without reviews. Partly right is not counted as half: see `counts`.
        critiques: how many were reviewed.
        kappas: of each two reviewers with critiques in common where it is defined, those with
            most in common first.
    """

    counts: dict[CritiqueVerdict, int]
    right: Rate | None
    critiques: int
    kappas: dict[tuple[str, str], Kappa]

    @property
    def n(self) -> int:
        """Reviews."""
        return sum(self.counts.values())


def summarize_reviews(
    reviews: Iterable[tuple[Hashable, str, CritiqueVerdict]],
) -> ReviewSummary:
    """Sum up (critique, reviewer, verdict), at most one of each critique and reviewer."""
    told = list(reviews)
    said: dict[Hashable, dict[str, CritiqueVerdict]] = defaultdict(dict)
    for critique, reviewer, verdict in told:
        said[critique][reviewer] = verdict
    common: dict[tuple[str, str], list[tuple[Hashable, CritiqueVerdict, CritiqueVerdict]]]
    common = defaultdict(list)
    for critique, verdicts in said.items():
        for one, other in combinations(sorted(verdicts), 2):
            common[(one, other)].append((critique, verdicts[one], verdicts[other]))
    counts = Counter(verdict for _, _, verdict in told)
    ranked = sorted(common.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    kappas = {two: compute_kappa(pairs) for two, pairs in ranked}
    return ReviewSummary(
        counts={verdict: counts[verdict] for verdict in CritiqueVerdict},
        right=compute_clustered_rate(
            (critique, verdict is CritiqueVerdict.RIGHT) for critique, _, verdict in told
        ),
        critiques=len(said),
        kappas={two: kappa for two, kappa in kappas.items() if kappa is not None},
    )
