"""The data card of an export: what the file holds, how it was chosen, its limits. Pure."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cai_core.pipeline.exports import ExportFormat, ExportKind, ExportTally

_FORMATS: Mapping[ExportFormat, str] = {
    "jsonl": "JSON lines",
    "parquet": "Parquet",
    "csv": "CSV in UTF-8",
    "trl": "JSON lines with the columns of TRL's RewardTrainer and DPOTrainer",
    "trl-sft": "JSON lines with the columns of TRL's SFTTrainer",
}
_KINDS: Mapping[ExportKind, tuple[str, str, str]] = {
    "rounds": (
        "critique–revision rounds",
        (
            "Each holds a prompt, the response that the round began with, what a model said of it "
            "under a principle of a constitution, and its revision."
        ),
        "constitutional-ai, critique",
    ),
    "comparisons": (
        "preference labels",
        "Each holds a prompt and two responses, and which of them is preferred.",
        "constitutional-ai, preference",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportQuery:
    """What was asked for.

    Attributes:
        words: the filter in words; empty where everything was asked for.
        document: the same as plain JSON values, from which the view can be opened again.
    """

    words: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run that records come from.

    Attributes:
        source: of an import: its file, with its hash; empty for others.
    """

    run_id: str
    kind: str
    constitution: str = ""
    constitution_hash: str = ""
    source: str = ""


def build_export_card(
    tally: ExportTally,
    *,
    name: str,
    kind: ExportKind,
    format: ExportFormat,
    query: ExportQuery,
    runs: Sequence[RunFacts] = (),
) -> str:
    """A Markdown card to lie beside the file.

    Args:
        tally: of the whole file. name: of the file. runs: that its records come from.
    """
    what, each, tags = _KINDS[kind]
    lines = [
        "---",
        f"tags: [{tags}]",
        "license: unknown",
        "---",
        "",
        f"# {tally.rows:,} {what}",
        "",
        f"`{_code(name)}`, {_FORMATS[format]}: {tally.rows:,} rows, {tally.bytes:,} bytes. {each}",
        "",
        f"SHA-256 of the file: `{tally.sha256}`",
        "",
        "## What was asked for",
        "",
        f"{_words(query.words) or 'Everything.'} {tally.records:,} records match.",
        "",
        "```json",
        # ASCII, and no mark that would end the block.
        json.dumps(dict(query.document), indent=1, sort_keys=True).replace("`", "\\u0060"),
        "```",
        "",
        "## Where they come from",
        "",
        "| | |",
        "|---|---|",
        *(f"| {label} | {_cell(value)} |" for label, value in _list_facts(tally)),
        "",
        *_describe_runs(runs),
        *_describe_left_out(tally),
        "## Limits",
        "",
        *(f"- {line}" for line in _list_limits(kind, format)),
        "",
    ]
    return "\n".join(lines)


def _list_facts(tally: ExportTally) -> list[tuple[str, str]]:
    facts = [
        ("runs", _name(tally.runs)),
        ("responses from the runs", _name(tally.sources_of)),
        ("models", _name(tally.models)),
        ("constitution versions (hashes)", _name(tally.constitutions)),
        ("who prefers", _name(tally.sources)),
        ("about held-out prompts", f"{tally.held_out:,}"),
    ]
    return [(label, told) for label, told in facts if told]


def _name(counter: Counter[str]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counter.most_common())


def _describe_runs(runs: Sequence[RunFacts]) -> list[str]:
    if not runs:
        return []
    rows = [
        f"| {_cell(run.run_id)} | {_cell(run.kind)} | {_cell(run.constitution or '–')} "
        f"| {_cell(run.constitution_hash[:12] or '–')} | {_cell(run.source or '–')} |"
        for run in runs
    ]
    head = ["| run | kind | constitution | version | imported from |", "|---|---|---|---|---|"]
    return [*head, *rows, ""]


def _describe_left_out(tally: ExportTally) -> list[str]:
    if not tally.left_out:
        return []
    told = ", ".join(f"{count:,} for “{why}”" for why, count in tally.left_out.most_common())
    return ["## Left out", "", f"{tally.left_out.total():,} records: {told}.", ""]


def _list_limits(kind: ExportKind, format: ExportFormat) -> list[str]:
    limits = [
        (
            "Licence: unknown. Texts are models' and people's; imported ones belong to whoever "
            "made them. Find out before you pass the file on."
        ),
        "A filter is no sample: rates of these records say nothing about the rest.",
        (
            "The texts may be harmful: red-team prompts ask for it, and a response may give it "
            "before it is revised."
        ),
        "Prompts tagged `split:held-out` are for evaluation and not to be trained on.",
    ]
    if kind == "rounds":
        limits.append("A critique is a model's text and may be wrong; a finding is read from it.")
    else:
        limits.append(
            "Labels of a feedback model are its opinion, not a person's; `label_source` says whose "
            "each one is. `prob_a` is raw, `prob_a_clamped` is what trains."
        )
    if format in ("csv", "parquet"):
        limits.append(
            "The column `escaped` names the cells whose text is not as it was: `name` has an "
            "apostrophe in front (a spreadsheet would take it for a formula), `name:json` is "
            "written as JSON. An import of the workbench undoes both."
        )
    if format in ("trl", "trl-sft"):
        limits.append(
            "`prob` is the probability that `chosen` is preferred, `margin` is 2·prob − 1; a "
            "completion is the better text of two."
        )
    return limits


def _words(text: str) -> str:
    """Words of a person's, which are no markup."""
    return html.escape(" ".join(text.split())) + "." if text.strip() else ""


def _cell(value: object) -> str:
    return html.escape(" ".join(str(value).split())).replace("|", "\\|")


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
