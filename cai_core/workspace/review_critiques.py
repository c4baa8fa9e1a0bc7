"""What a person says of a critique in a review queue: a verdict, perhaps a revision of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cai_core.records import CritiqueVerdict
from cai_core.workspace.review_fields import (
    MAX_REASON,
    check_flags,
    check_round,
    check_seconds,
    check_texts,
    parse_moment,
)

REVIEW, PUT_ASIDE, UNDO_REVIEW = "review critique", "discard critique", "undo review"
# In files and events, where a verdict would stand.
DISCARDED = "discarded"
MAX_REVISION = 20_000
_TEXTS = ("vote", "queue", "chain", "reviewer", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueVote:
    """One reviewer's word of one critique.

    Attributes:
        vote: its id. at: when (ISO 8601, with its zone).
        chain: row id of the chain's initial response. round: of the critique, from 1.
        verdict: None where the reviewer cannot or will not judge it.
        revision: what the reviewer would have the revision say; empty where they wrote none. It
            stands beside the model's, which no one changes.
        blind, seconds, exposed, imported_by: as in `review_votes.Vote`.
    """

    vote: str
    queue: str
    chain: str
    round: int
    reviewer: str
    at: str
    verdict: CritiqueVerdict | None
    reason: str
    revision: str
    blind: bool
    seconds: float
    exposed: bool
    imported_by: str | None = None

    @property
    def item(self) -> str:
        """The critique's id in a queue."""
        return build_item(self.chain, self.round)

    @property
    def discarded(self) -> bool:
        """Whether it was put aside."""
        return self.verdict is None

    @property
    def moment(self) -> datetime:
        """When."""
        return parse_moment(self.at)

    def as_dict(self) -> dict[str, Any]:
        """The line of an export; `parse_critique_vote` is the inverse."""
        plain = {**asdict(self), "verdict": self.verdict.value if self.verdict else DISCARDED}
        del plain["imported_by"]
        return plain


CRITIQUE_FIELDS = tuple(name for name in CritiqueVote.__dataclass_fields__ if name != "imported_by")


def build_item(chain: str, round: int) -> str:
    """A critique's id in a queue; `parse_item` is the inverse."""
    return f"{chain}.{round}"


def parse_item(item: str) -> tuple[str, int]:
    """Chain and round of a critique's id.

    Raises:
        ValueError: it is none.
    """
    chain, _, round_ = item.rpartition(".")
    if not chain or not (round_.isascii() and round_.isdigit()):
        raise ValueError(f"{item!r:.60} is no critique's id")
    return chain, int(round_)


def parse_critique_vote(
    record: Mapping[str, Any], *, imported_by: str | None = None
) -> CritiqueVote:
    """Read the plain form of a vote.

    Raises:
        ValueError: it is none; the message says which key is wrong.
    """
    limits = {"reason": MAX_REASON, "revision": MAX_REVISION}
    check_texts(record, CRITIQUE_FIELDS, _TEXTS, (*limits, "verdict"), limits)
    check_flags(record, ("blind", "exposed"))
    check_seconds(record["seconds"])
    check_round(record["round"])
    parse_moment(record["at"])
    known = [*CritiqueVerdict, DISCARDED]
    if record["verdict"] not in known:
        raise ValueError(f"verdict is {record['verdict']!r:.40}, not one of {', '.join(known)}")
    verdict = record["verdict"]
    told = {name: record[name] for name in CRITIQUE_FIELDS}
    return CritiqueVote(
        **{
            **told,
            "verdict": None if verdict == DISCARDED else CritiqueVerdict(verdict),
            "seconds": float(told["seconds"]),
        },
        imported_by=imported_by,
    )
