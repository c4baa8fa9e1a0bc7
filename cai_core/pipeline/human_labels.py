"""People's labels of comparisons, mixed in with a feedback model's: one JSON line each.

    {"comparison_id": "…", "verdict": "A", "reviewer": "Ada"}

A label belongs to the places of A and B that its id stands for; where a run has the responses in
each other's place, its verdict is mirrored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cai_core.errors import RecipeError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.records import Verdict, content_hash
from cai_core.workspace.journal import is_header, parse_line

_MIRRORED = {Verdict.A: Verdict.B, Verdict.B: Verdict.A, Verdict.TIE: Verdict.TIE}
_KEYS = {"comparison_id", "verdict", "reviewer"}


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
