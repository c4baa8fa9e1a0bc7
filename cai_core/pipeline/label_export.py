"""Labels for others, with a data card of what they are worth. Pure: gives bytes.

The formats, and how each is written, are those of every export (`exports.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.pipeline.exports import FORMATS, HELD_OUT, ExportFormat, ExportTally, encode_export
from cai_core.pipeline.label_counts import LabelCounts, count_labels
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Verdict

__all__ = [
    "FORMATS",
    "HELD_OUT",
    "ExportFormat",
    "TrlCounts",
    "build_data_card",
    "build_export",
    "count_trl",
    "trains",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrlCounts:
    """What the `trl` format takes of a run's labels, and why it leaves the others out."""

    rows: int
    ties: int
    unparsed: int
    held_out: int


def build_export(labels: Iterable[LabelRecord], format: ExportFormat) -> bytes:
    """The labels as a file; see `exports.encode_export`.

    With `trl` a row has `prob`, the (clamped) probability that `chosen` is preferred, in [0, 1]
    and mostly above 1/2, and `margin`, its distance to that of `rejected`, 2·prob − 1. Ties and
    unparsed labels have no chosen response and are left out, as are held-out prompts, which
    nothing may be trained on; the data card counts them.

    Raises:
        CaiError: there is no such format.
    """
    return b"".join(encode_export(labels, "comparisons", format, ExportTally()))


def trains(label: LabelRecord) -> bool:
    """Whether a label makes a preference pair to train on."""
    return label.verdict in (Verdict.A, Verdict.B) and HELD_OUT not in label.tags


def count_trl(labels: Iterable[LabelRecord]) -> TrlCounts:
    """What `trl` takes; each label that it leaves out is counted once, held-out ones first."""
    rows = ties = unparsed = held_out = 0
    for label in labels:
        if HELD_OUT in label.tags:
            held_out += 1
        elif label.verdict is Verdict.TIE:
            ties += 1
        elif label.verdict is Verdict.UNPARSED:
            unparsed += 1
        else:
            rows += 1
    return TrlCounts(rows=rows, ties=ties, unparsed=unparsed, held_out=held_out)


def build_data_card(
    labels: Sequence[LabelRecord],
    format: ExportFormat,
    *,
    run: str,
    recipe: dict[str, Any],
    selection: str = "",
    run_labels: int | None = None,
    measured: Sequence[tuple[str, object]] = (),
) -> str:
    """A Markdown card that says what the file holds, how it was made, and what it is not.

    Args:
        run: id of the `label` run.
        recipe: its recipe in plain form.
        selection: in words, which of the run's labels these are; empty where they are all.
        run_labels: how many the run has.
        measured: more (name, value) of what these labels come to.
    """
    counts = count_labels(labels)
    lines = [
        "---",
        "task_categories: [text-generation]",
        "tags: [preference, constitutional-ai]",
        "---",
        "",
        f"# Preference labels of run {run}",
        "",
        (
            f"{counts.comparisons} comparisons, as {_describe(format)}. Each holds a prompt and "
            "two responses, and which of them is preferred under a principle of a constitution."
        ),
        "",
        *_describe_selection(len(labels), selection, run_labels),
        "## How they were made",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in _list_facts(labels, recipe)),
        "",
        "## What they come to",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in (*_list_counts(counts), *measured)),
        "",
    ]
    if format in ("trl", "trl-sft"):
        lines += _describe_trl(count_trl(labels))
    lines += [
        "## Limits",
        "",
        (
            "- Labels of a feedback model are its opinion, not a person's; `label_source` says "
            "whose each one is. Check some before you train on them."
        ),
        (
            "- `prob_a` is raw; `prob_a_clamped` is what trains. They differ for labels with a "
            "chain of thought alone, whose probabilities saturate."
        ),
        (
            "- The responses may be harmful: red-team prompts ask for it, and the worse response "
            "of a pair may give it."
        ),
        "- Prompts tagged `split:held-out` are for evaluation and not to be trained on.",
        "",
    ]
    return "\n".join(lines)


def _describe(format: ExportFormat) -> str:
    return {
        "jsonl": "JSON lines",
        "parquet": "Parquet",
        "csv": "CSV",
        "trl": "JSON lines with the columns that TRL's RewardTrainer and DPOTrainer read",
        "trl-sft": "JSON lines with the columns that TRL's SFTTrainer reads",
    }[format]


def _list_facts(labels: Sequence[LabelRecord], recipe: dict[str, Any]) -> list[tuple[str, object]]:
    models = sorted({label.feedback_model for label in labels if label.feedback_model})
    clamp = recipe.get("clamp") if recipe.get("reasoned") else None
    return [
        ("feedback model", ", ".join(models) or "none"),
        ("constitution", f"{recipe.get('constitution')}@{recipe.get('constitution_hash')!s:.12}"),
        ("principles", recipe.get("principles")),
        ("template", recipe.get("template")),
        ("orders asked", recipe.get("orders")),
        ("chain of thought", recipe.get("reasoned")),
        ("clamped to", clamp or "not clamped"),
        ("responses from", ", ".join(str(s.get("run")) for s in recipe.get("sources", []))),
        ("seed", recipe.get("seed")),
    ]


def _list_counts(counts: LabelCounts) -> list[tuple[str, object]]:
    same = counts.same_position_rate
    return [
        ("A / B / tie / unparsed", f"{counts.a} / {counts.b} / {counts.ties} / {counts.unparsed}"),
        ("by the feedback model", counts.by_model),
        ("by people", counts.human),
        ("by construction (the revision is preferred)", counts.by_revision),
        ("same place preferred in both orders", "–" if same is None else f"{same:.1%}"),
        ("about held-out prompts", counts.held_out),
    ]


def _describe_selection(count: int, selection: str, run_labels: int | None) -> list[str]:
    if not selection:
        return []
    of = "the run's labels" if run_labels is None else f"the run's {run_labels} labels"
    return [
        "## A selection",
        "",
        f"These are {count} of {of}, chosen by: {_cell(selection)}. A selection is no sample.",
        "",
    ]


def _describe_trl(counts: TrlCounts) -> list[str]:
    return [
        (
            f"The file has {counts.rows} rows. Left out: {counts.ties} ties, {counts.unparsed} "
            f"unparsed, {counts.held_out} about held-out prompts."
        ),
        "",
        "`prob` is the probability that `chosen` is preferred, `margin` is 2·prob − 1.",
        "",
    ]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
