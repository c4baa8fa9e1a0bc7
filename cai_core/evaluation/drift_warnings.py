"""Why two evaluations may differ for another reason than their models. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cai_core.evaluation.drift_side import Side

# Cautions that matter only where the judge's word counts.
_OF_JUDGES = frozenset({"judge is model", "judge taught model", "unparsed"})


def list_warnings(baseline: Side, candidate: Side, *, judged: bool = True) -> list[str]:
    """Why two evaluations may differ for another reason than their models.

    Args:
        judged: whether the judges' word counts; where it does not, who they are does not matter.
    """
    one, two = baseline.header, candidate.header
    told = []
    held, other = one["suite"]["hash"], two["suite"]["hash"]
    if held != other and not _is_part(baseline, candidate):
        told.append(
            f"the suites differ: {one['suite']['name']}@{held[:12]} and "
            f"{two['suite']['name']}@{other[:12]}; only prompts that both have are compared"
        )
    if judged:
        told += _compare_judges(one.get("judge"), two.get("judge"))
    if one["sampling"] != two["sampling"]:
        told.append(f"the sampling differs: {_tell(one['sampling'])} and {_tell(two['sampling'])}")
    if one["samples"] != two["samples"]:
        told.append(
            f"{one['samples']} and {two['samples']} samples of each prompt: those that both have "
            "are compared"
        )
    if one.get("constitution") != two.get("constitution"):
        told.append("adherence was asked by different constitutions")
    for side in (baseline, candidate):
        told += [
            f"{side.name}: {caution['text']}"
            for caution in side.header.get("cautions", ())
            if judged or caution["kind"] not in _OF_JUDGES
        ]
    return told


def _is_part(baseline: Side, candidate: Side) -> bool:
    """Whether one asked some of the other's prompts, word for word: a spot check, and no doubt."""
    if baseline.header["suite"]["name"] != candidate.header["suite"]["name"]:
        return False
    few, many = (
        {key: _tell_prompt(line) for key, line in side.lines.items()}
        for side in sorted((baseline, candidate), key=lambda side: len(side.lines))
    )
    names = {name for name, _ in many}
    return len({name for name, _ in few}) < len(names) and all(
        name in names and told == many.get((name, sample), told)
        for (name, sample), told in few.items()
    )


def _tell_prompt(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What was asked, without the model's own answers."""
    said = tuple(turn["content"] for turn in line["conversation"] if turn["role"] != "assistant")
    return line["kind"], line["intent"], said


def _compare_judges(one: Mapping[str, Any] | None, two: Mapping[str, Any] | None) -> list[str]:
    if one is None and two is None:
        return []
    if one is None or two is None:
        return ["only one of them was judged"]
    told = []
    same = one["model_id"] == two["model_id"]
    if one["weights_hash"] is not None and two["weights_hash"] is not None:
        same = one["weights_hash"] == two["weights_hash"]
    if not same:
        told.append(f"the judges differ: {one['name']} and {two['name']}")
    if one["template"] != two["template"]:
        told.append(f"the judge's templates differ: {one['template']} and {two['template']}")
    if one["rubric_hash"] != two["rubric_hash"]:
        told.append(f"the rubrics differ: {one['rubric']} and {two['rubric']}")
    return told


def _tell(sampling: Mapping[str, Any]) -> str:
    """`temperature 1.0, max_tokens 128`."""
    return ", ".join(f"{name} {value}" for name, value in sampling.items())
