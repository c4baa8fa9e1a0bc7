"""People's labels of comparisons, mixed in with a feedback model's: one JSON line each.

    {"comparison_id": "…", "verdict": "A", "reviewer": "Ada"}

A `label` run takes one line a comparison; a run that trains on labels takes what several people say
of each (`People`). A label belongs to the places of A and B that its id stands for; where a run has
the responses in each other's place, its verdict is mirrored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cai_core.errors import RecipeError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.records import Verdict, content_hash
from cai_core.workspace.journal import is_header, parse_line
from cai_core.workspace.review_votes import Vote

_MIRRORED = {Verdict.A: Verdict.B, Verdict.B: Verdict.A, Verdict.TIE: Verdict.TIE}
_KEYS = {"comparison_id", "verdict", "reviewer"}
# What becomes of a comparison on which no verdict has more than half of the people.
Disputed = Literal["drop", "tie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanLabel:
    """What a person prefers: A, B or a tie."""

    comparison_id: str
    verdict: Verdict
    reviewer: str

    def as_dict(self) -> dict[str, str]:
        """The line of human.jsonl."""
        return {
            "comparison_id": self.comparison_id,
            "verdict": self.verdict.value,
            "reviewer": self.reviewer,
        }


# Comparison → what each person says of it.
People = Mapping[str, tuple[HumanLabel, ...]]


def load_human_labels(path: Path) -> dict[str, HumanLabel]:
    """Read a file of human labels, by comparison.

    Raises:
        RecipeError: a line is none, or two people disagree about a comparison; lines are named.
    """
    labels: dict[str, HumanLabel] = {}
    if not path.exists():
        raise RecipeError(f"{path}: is not there. Give a file of human labels.")
    for number, label in _read(path):
        before = labels.setdefault(label.comparison_id, label)
        if before.verdict is not label.verdict:
            raise RecipeError(
                f"{path}:{number}: {label.reviewer!r} says {label.verdict} where "
                f"{before.reviewer!r} said {before.verdict}. Keep one line a comparison."
            )
    return labels


def human_labels_hash(labels: Iterable[HumanLabel]) -> str | None:
    """Hash of the labels whatever their order; None without any."""
    plain = sorted((label.as_dict() for label in labels), key=lambda one: one["comparison_id"])
    return content_hash(plain) if plain else None


def find_human_label(
    labels: Mapping[str, HumanLabel], comparison: FormedComparison
) -> HumanLabel | None:
    """The label of a comparison, mirrored where it was made of the swapped one."""
    if found := labels.get(comparison.comparison_id):
        return found
    if found := labels.get(comparison.swapped_id):
        return replace(found, verdict=_MIRRORED[found.verdict])
    return None


def load_people(path: Path) -> People:
    """Read a file of human labels, of any number of people, by comparison.

    Raises:
        RecipeError: a line is none, or a person says two things of a comparison.
    """
    if not path.exists():
        raise RecipeError(f"{path}: is not there. Give a file of human labels.")
    people: dict[str, dict[str, HumanLabel]] = {}
    for number, label in _read(path):
        told = people.setdefault(label.comparison_id, {})
        if told.setdefault(label.reviewer, label).verdict is not label.verdict:
            raise RecipeError(
                f"{path}:{number}: {label.reviewer!r} says {label.verdict} and said "
                f"{told[label.reviewer].verdict}. Keep one line a person and comparison."
            )
    return {name: tuple(told.values()) for name, told in people.items()}


def build_people(votes: Iterable[Vote]) -> People:
    """What people voted, as labels; a discarded comparison has none, `both bad` is a tie."""
    people: dict[str, list[HumanLabel]] = {}
    for vote in votes:
        if vote.verdict is not None:
            label = HumanLabel(
                comparison_id=vote.comparison, verdict=vote.verdict, reviewer=vote.reviewer
            )
            people.setdefault(vote.comparison, []).append(label)
    return {name: tuple(told) for name, told in people.items()}


def list_people(people: People) -> list[HumanLabel]:
    """Every label, in an order that depends on what they say alone."""
    every = [label for told in people.values() for label in told]
    return sorted(every, key=lambda one: (one.comparison_id, one.reviewer, one.verdict.value))


def people_hash(people: People) -> str | None:
    """Hash of what people say, whatever its order; None without any."""
    return content_hash([one.as_dict() for one in list_people(people)]) if people else None


def settle_verdict(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The verdict of more than half; None where there is none."""
    counts = Counter(verdicts)
    most = max(counts, key=counts.__getitem__, default=None)
    return most if most is not None and 2 * counts[most] > counts.total() else None


def settle_people(people: People, disputed: Disputed) -> dict[str, HumanLabel]:
    """One label a comparison: the verdict of more than half, with the names of those who gave it.

    Args:
        disputed: where there is none, `drop` leaves the comparison out, and `tie` makes it a tie
            with everybody's names.
    """
    settled = {}
    for name, told in people.items():
        verdict = settle_verdict(label.verdict for label in told)
        if verdict is None and disputed == "drop":
            continue
        names = sorted(one.reviewer for one in told if verdict in (one.verdict, None))
        settled[name] = HumanLabel(
            comparison_id=name, verdict=verdict or Verdict.TIE, reviewer=", ".join(names)
        )
    return settled


def find_people(people: People, comparison_id: str, swapped_id: str) -> tuple[HumanLabel, ...]:
    """What people say of a comparison, mirrored where it was said of the swapped one."""
    swapped = people.get(swapped_id, ())
    mirrored = (replace(one, verdict=_MIRRORED[one.verdict]) for one in swapped)
    return (*people.get(comparison_id, ()), *mirrored)


def _read(path: Path) -> Iterator[tuple[int, HumanLabel]]:
    # Not `read_lines`: a file from elsewhere may lack the last line's newline.
    for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
        line = parse_line(raw + b"\n")
        if not raw.strip() or is_header(line, path):
            continue
        try:
            if line.record is None:
                raise ValueError(line.damage)
            yield number, _parse(line.record)
        except ValueError as error:
            raise RecipeError(
                f"{path}:{number}: no human label: {error}. Write comparison_id, verdict "
                "(A, B or tie) and reviewer."
            ) from error


def _parse(record: Mapping[str, Any]) -> HumanLabel:
    if record.keys() != _KEYS or not all(isinstance(value, str) for value in record.values()):
        raise ValueError(f"its keys are {', '.join(sorted(map(str, record)))}")
    verdict = Verdict(record["verdict"])
    if verdict not in _MIRRORED:
        raise ValueError("a person's label is A, B or tie")
    return HumanLabel(**{**record, "verdict": verdict})
