"""What an import brings: a constitution, where each principle came from, and what was left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cai_core.constitution.model import NAME_PATTERN, with_hash
from cai_core.constitution.requests import build_principle
from cai_core.errors import ImportFormatError
from cai_core.records import Constitution, Principle

_WORDS_OF_ID = 5
_SMALL = frozenset(
    ("the", "a", "an", "response", "ai", "should", "must", "that", "is", "be", "to", "of", "it")
)
# More would bury whoever reads them.
MOST_WARNINGS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a principle came from. It stands beside a constitution and is no part of its hash.

    Attributes:
        source: the file's name.
        kind: of the format.
        place: within the file: `line 3`, `entry 2`, a key.
        votes: of people or of a model's agreement with them, by kind: `agree`, `disagree`,
            `pass`; None where the format has none.
    """

    source: str
    kind: str
    place: str
    votes: Mapping[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain form for a file or a journal."""
        votes = None if self.votes is None else dict(self.votes)
        return {"source": self.source, "kind": self.kind, "place": self.place, "votes": votes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was read of a file.

    Attributes:
        provenance: by principle id; every principle has one.
        warnings: everything of the file that is not in the constitution as it stood there.
    """

    constitution: Constitution
    provenance: Mapping[str, Provenance]
    warnings: tuple[str, ...]

    def provenance_as_dict(self) -> dict[str, Any]:
        """Plain form of the provenance, with the hash of the constitution it belongs to."""
        return {
            "format": 1,
            "constitution": self.constitution.name,
            "constitution_hash": self.constitution.hash,
            "principles": {key: told.as_dict() for key, told in self.provenance.items()},
        }


@dataclass(slots=True)
class Collector:
    """Gathers principles from one file under ids of their own."""

    source: str
    kind: str
    principles: list[Principle] = field(default_factory=list)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(
        self,
        text: str,
        place: str,
        *,
        wanted_id: str | None = None,
        requests: Mapping[str, str] | None = None,
        tags: tuple[str, ...] = (),
        enabled: bool = True,
        votes: Mapping[str, int] | None = None,
    ) -> None:
        """Take a principle in; its requests quote the rule where none are given."""
        if not text.strip():
            self.leave_out(place, "it is empty")
            return
        texts = (text, *(requests or {}).values(), *tags)
        if any(has_surrogates(one) for one in texts):
            self.leave_out(place, "it holds half a character (a lone surrogate)")
            return
        principle = build_principle(self._find_id(wanted_id, text, place), text, tags)
        if requests is not None:
            asked: dict[str, Any] = {"comparison_request": "", **requests}
            principle = replace(principle, **asked)
        self.principles.append(replace(principle, enabled=enabled))
        self.provenance[principle.id] = Provenance(
            source=self.source, kind=self.kind, place=place, votes=votes
        )

    def keep(self, principle: Principle, place: str) -> None:
        """Take a whole principle in as it is."""
        self.principles.append(principle)
        self.provenance[principle.id] = Provenance(source=self.source, kind=self.kind, place=place)

    def leave_out(self, place: str, why: str) -> None:
        """Note what is not in the constitution."""
        self.warn(place, f"left out: {why}")

    def warn(self, place: str, message: str) -> None:
        """Note something about a place of the file."""
        self.warnings.append(f"{self.source}: {place}: {message}")

    def build(self, name: str, description: str) -> Imported:
        """The import.

        Raises:
            ImportFormatError: nothing could be read; with the first things left out.
        """
        if not self.principles:
            told = "\n".join(self.warnings[:20])
            raise ImportFormatError(
                f"{self.source}: no principle could be read as {self.kind}. Name another kind, or "
                f"correct the file.{chr(10) if told else ''}{told}"
            )
        more = len(self.warnings) - MOST_WARNINGS
        rest = [f"{self.source}: … and {more} more of the kind"] if more > 0 else []
        return Imported(
            constitution=with_hash(
                Constitution(name=name, description=description, principles=tuple(self.principles))
            ),
            provenance=self.provenance,
            warnings=tuple(self.warnings[:MOST_WARNINGS] + rest),
        )

    def _find_id(self, wanted: str | None, text: str, place: str) -> str:
        stem = wanted if wanted and NAME_PATTERN.fullmatch(wanted) else build_id(wanted or text)
        found, number = stem, 2
        while found in self.provenance:
            found, number = f"{stem[:59]}-{number}", number + 1
        if wanted and found != wanted:
            self.warn(place, f"its name {wanted[:80]!r} becomes the id {found!r}")
        return found


def build_id(text: str) -> str:
    """An id of a text's first telling words: `say-why-it-declines`."""
    plain = unicodedata.normalize("NFKD", text[:400]).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    telling = [word for word in words if word not in _SMALL] or words
    return "-".join(telling[:_WORDS_OF_ID])[:48].strip("-") or "principle"


def has_surrogates(text: str) -> bool:
    """Whether a text cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
