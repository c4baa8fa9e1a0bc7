"""How far each two reviewers agree on what both have judged. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from cai_core.evaluation.kappa import Kappa, Word, compute_kappa

# Two reviewers → how many both judged, and their kappa; None where both always say one word.
Pairs = dict[tuple[str, str], tuple[int, Kappa | None]]


def compare_reviewers(told: Iterable[tuple[str, str, str, Word]]) -> Pairs:
    """Compare reviewers two by two, those with most in common first.

    Args:
        told: (item, cluster, reviewer, word), one a reviewer and item; items of one cluster stand
            or fall together.
    """
    said: dict[str, dict[str, Word]] = defaultdict(dict)
    groups: dict[str, str] = {}
    for item, group, reviewer, word in told:
        said[item][reviewer] = word
        groups[item] = group
    common: dict[tuple[str, str], list[tuple[str, Word, Word]]] = defaultdict(list)
    for item, words in said.items():
        for first, second in combinations(sorted(words), 2):
            common[(first, second)].append((groups[item], words[first], words[second]))
    ranked = sorted(common.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return {two: (len(some), compute_kappa(some)) for two, some in ranked}
