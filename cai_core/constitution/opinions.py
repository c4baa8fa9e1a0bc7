"""What a model said of a constitution, question by question, and what of it a lint tells.

Answers go with texts, not with ids or versions: what was said of a principle holds for as long
as its words stand, in whatever version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cai_core.constitution.contradictions import PairAnswer, build_pair_findings
from cai_core.constitution.findings import Finding
from cai_core.constitution.harm_asked import HarmAnswer, build_harm_findings
from cai_core.records import Constitution


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one model said, asked once.

    Attributes:
        constitution: its name.
        model: as a person chose it; `model_id` and `weights_hash` are what its server says.
        pairs_there_are: of the principles that were on; `pairs` may hold fewer of them.
        asked_by, at: who asked and when; empty until it is kept.
    """

    constitution: str
    model_id: str
    weights_hash: str | None
    harm: tuple[HarmAnswer, ...]
    pairs: tuple[PairAnswer, ...]
    pairs_there_are: int
    model: str = ""
    asked_by: str = ""
    at: str = ""

    @property
    def unreadable(self) -> int:
        """How many questions brought no answer; a pair counts once."""
        told = [answer.probability for answer in self.harm]
        return [*told, *(pair.probability for pair in self.pairs)].count(None)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for JSON; `parse_opinion` is the inverse."""
        return asdict(self)


def parse_opinion(document: Mapping[str, Any]) -> Opinion:
    """An opinion of its plain form. Raises TypeError or KeyError for anything else."""
    fields = dict(document)
    harm = tuple(HarmAnswer(**answer) for answer in fields.pop("harm"))
    pairs = tuple(PairAnswer(**answer) for answer in fields.pop("pairs"))
    return Opinion(**fields, harm=harm, pairs=pairs)


def build_opinion_findings(
    opinions: Sequence[Opinion], constitution: Constitution
) -> tuple[Finding, ...]:
    """What the opinions say of a constitution as it stands now.

    Args:
        opinions: the newest first: of the same question the newest answer holds.
    """
    harm: dict[tuple[str, str], HarmAnswer] = {}
    pairs: dict[frozenset[str], PairAnswer] = {}
    for opinion in opinions:
        for one in opinion.harm:
            harm.setdefault((one.text, one.asked), one)
        for pair in opinion.pairs:
            pairs.setdefault(frozenset((pair.first, pair.second)), pair)
    told = build_harm_findings(tuple(harm.values()), constitution)
    return told + build_pair_findings(tuple(pairs.values()), constitution)


def count_unasked(opinions: Sequence[Opinion], constitution: Constitution) -> int:
    """How many principles that are on no opinion was asked about as they stand."""
    known = {(one.text, one.asked) for opinion in opinions for one in opinion.harm}
    on = (p for p in constitution.principles if p.enabled)
    return sum((p.text, p.revision_request) not in known for p in on)
