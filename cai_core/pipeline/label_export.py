"""Labels for others: JSONL, Parquet, or the columns that TRL's trainers read. Pure: gives bytes.

jsonl      every label, a LabelRecord a line
parquet    the same, one row each; conversation and sources as JSON text
trl        prompt, chosen, rejected (conversational), prob and margin, a JSON line each
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cai_core.errors import CaiError
from cai_core.pipeline.label_counts import LabelCounts, count_labels
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Message, Verdict
from cai_core.workspace.journal import encode_record

ExportFormat = Literal["jsonl", "parquet", "trl"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
HELD_OUT = "split:held-out"
_JSON_COLUMNS = ("conversation", "source_a", "source_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrlCounts:
    """What the `trl` format takes of a run's labels, and why it leaves the others out."""

    rows: int
    ties: int
    unparsed: int
    held_out: int


def build_export(labels: Iterable[LabelRecord], format: ExportFormat) -> bytes:
    """The labels as a file.

    With `trl` a row has `prob`, the (clamped) probability that `chosen` is preferred, in [0, 1]
    and mostly above 1/2, and `margin`, its distance to that of `rejected`, 2·prob − 1. Ties and
    unparsed labels have no chosen response and are left out, as are held-out prompts, which
    nothing may be trained on; the data card counts them.

    Raises:
        CaiError: there is no such format.
    """
    match format:
        case "jsonl":
            return b"".join(encode_record(label.as_dict()) for label in labels)
        case "parquet":
            return _build_parquet(labels)
        case "trl":
            return b"".join(encode_record(_build_pair(label)) for label in labels if trains(label))
    raise CaiError(f"export format {format!r}: known are {', '.join(FORMATS)}.")


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
    if format == "trl":
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


def _build_pair(label: LabelRecord) -> dict[str, Any]:
    prob_a = label.prob_a_clamped if label.prob_a_clamped is not None else 0.5
    first = label.verdict is Verdict.A
    prob = prob_a if first else 1.0 - prob_a
    chosen, rejected = label.response_a, label.response_b
    if not first:
        chosen, rejected = rejected, chosen
    return {
        "prompt": [turn.as_dict() for turn in label.conversation],
        "chosen": [Message("assistant", chosen).as_dict()],
        "rejected": [Message("assistant", rejected).as_dict()],
        "prob": prob,
        "margin": 2.0 * prob - 1.0,
        "comparison_id": label.comparison_id,
        "label_source": label.label_source,
    }


def _build_parquet(labels: Iterable[LabelRecord]) -> bytes:
    import pyarrow as pa  # slow to load, and no other format needs it
    import pyarrow.parquet as pq

    rows = []
    for label in labels:
        row = label.as_dict()
        for name in _JSON_COLUMNS:
            row[name] = json.dumps(row[name], ensure_ascii=True)
        rows.append({**row, "tags": list(label.tags), "principle_ids": list(label.principle_ids)})
    texts, numbers = pa.list_(pa.string()), pa.float64()
    types = {
        "tags": texts,
        "principle_ids": texts,
        "reasoned": pa.bool_(),
        **dict.fromkeys(_NUMBERS, numbers),
    }
    names = list(LabelRecord.__dataclass_fields__)
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return file.getvalue()


_NUMBERS = ("prob_a", "prob_a_clamped", "prob_a_first", "prob_a_second", "position_bias")


def _describe(format: ExportFormat) -> str:
    return {
        "jsonl": "JSON lines",
        "parquet": "Parquet",
        "trl": "JSON lines with the columns that TRL's RewardTrainer and DPOTrainer read",
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
