"""The filter of the comparisons: its fields, its words, and its address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from cai_core.evaluation.label_traits import BIAS_BINS, CONFIDENCE_BINS, LabelFilter
from cai_core.evaluation.label_traits import TRAITS as LABEL_TRAITS
from cai_core.records import PromptKind
from cai_core.workspace.comparison_votes import AGREES, DISPUTED, OPEN
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.prepare_labels import PENDING, TRAITS
from ui import explorer_fields
from ui.explorer_fields import Explorer, Facets, build_texts, parse_texts, put
from ui.labels_address import WORDS as LABEL_WORDS

# Field of `ComparisonFilter` → its name in the address; where the labels page has one, the same.
PARAMS = {
    "text": "q",
    "constitution": "constitution",
    "constitution_hash": "version",
    "principle": "principle",
    "verdict": "verdict",
    "source": "source",
    "kind": "kind",
    "review": "review",
    "model": "model",
    "run": "run",
}
_ONLY, _CONFIDENCE, _BIAS = "only", "confidence", "bias"
WORDS: dict[str, dict[str, str]] = {
    "verdict": {
        **{str(value): name for value, name in LABEL_WORDS["verdict"].items()},
        PENDING: "No label yet",
    },
    "source": dict(LABEL_WORDS["source"]),
    "kind": {kind.value: LABEL_WORDS["kind"][kind] for kind in PromptKind},
    "review": {
        OPEN: "Not judged yet",
        AGREES: "People agree with the label",
        DISPUTED: "Disputed",
    },
    "only": {**LABEL_WORDS["only"], "reasoned": "With reasons"},
}
_SELECTS = {
    "constitution": "Constitution",
    "principle": "Principle",
    "verdict": "Verdict",
    "source": "Labelled by",
    "kind": "Prompt kind",
    "review": "Judged by people",
    "model": "Feedback model",
    "run": "Run",
}
_NUMBER = re.compile(r"[0-9]{1,3}")


def parse_filter(params: Mapping[str, str]) -> ComparisonFilter:
    """The filter that an address asks for; what cannot be a value of its field is ignored."""
    asked = params.get(_ONLY, "")[: explorer_fields.MAX_VALUE].split(",")
    return ComparisonFilter(
        **parse_texts(params, PARAMS, WORDS),
        traits=tuple(trait for trait in TRAITS if trait in asked),
        confidence=_parse_bin(params.get(_CONFIDENCE, ""), CONFIDENCE_BINS),
        bias=_parse_bin(params.get(_BIAS, ""), BIAS_BINS),
    )


def build_params(chosen: ComparisonFilter) -> dict[str, str]:
    """The address that asks for the filter; `parse_filter` is the inverse."""
    params = build_texts(chosen, PARAMS)
    if chosen.traits:
        params[_ONLY] = ",".join(chosen.traits)
    bins = {_CONFIDENCE: chosen.confidence, _BIAS: chosen.bias}
    return params | {name: str(value) for name, value in bins.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """The same labels as the pages about one run's labels know them.

    Attributes:
        run: its id; empty where the filter means several runs.
        chosen: which of its labels.
        lost: what those pages cannot filter by, in words.
    """

    run: str
    chosen: LabelFilter
    lost: tuple[str, ...]


def find_run_view(asked: ComparisonFilter, facets: Facets) -> RunView:
    """Of a filter with a run, or that one run alone has something for."""
    runs = [run for run, count in facets.get("run", ()) if count]
    run = asked.run or (runs[0] if len(runs) == 1 else "")
    verdict = "" if asked.verdict == PENDING else asked.verdict
    lost = {
        "no label yet": asked.verdict == PENDING,
        WORDS["only"]["reasoned"]: "reasoned" in asked.traits,
        _SELECTS["review"]: bool(asked.review),
        _SELECTS["model"]: bool(asked.model),
    }
    chosen = LabelFilter(
        verdict=verdict,
        principle=asked.principle,
        source=asked.source,
        kind=asked.kind,
        only=tuple(trait for trait in LABEL_TRAITS if trait in asked.traits),
        confidence=asked.confidence,
        bias=asked.bias,
        text=asked.text,
    )
    return RunView(
        run=run, chosen=chosen, lost=tuple(name for name, is_lost in lost.items() if is_lost)
    )


def filter_fields(chosen: ComparisonFilter, facets: Facets) -> None:
    """Render the fields; a change goes into the address, and back to the first page."""
    counts = dict(facets.get("traits", ()))

    def below(change: Callable[[], None]) -> None:
        shown = [one for one in TRAITS if counts.get(one) or one in chosen.traits]
        if shown:
            st.pills(
                "Only",
                shown,
                selection_mode="multi",
                format_func=lambda one: f"{WORDS['only'][one]} ({counts.get(one, 0):,})",
                key=put(_ONLY, [one for one in shown if one in chosen.traits]),
                on_change=change,
            )
        if told := _describe_bins(chosen):
            words = ", ".join(f"{name} {value}" for name, value in told)
            st.html(f'<div class="cai-quiet">From a chart: {words}.</div>')

    explorer_fields.filter_fields(EXPLORER, chosen, facets, below=below)


def _describe_bins(chosen: ComparisonFilter) -> list[tuple[str, str]]:
    told = []
    for name, number, low, width in (
        ("confidence", chosen.confidence, 0.0, 0.5 / CONFIDENCE_BINS),
        ("position bias", chosen.bias, -1.0, 2.0 / BIAS_BINS),
    ):
        if number is not None:
            edges = (low + number * width, low + (number + 1) * width)
            told.append((name, f"{edges[0]:.2f} to {edges[1]:.2f}"))
    return told


def _describe_more(chosen: ComparisonFilter) -> list[tuple[str, str]]:
    only = [("only", " and ".join(WORDS["only"][one] for one in chosen.traits))]
    return (only if chosen.traits else []) + _describe_bins(chosen)


def _read_more() -> dict[str, object]:
    asked = st.session_state.get(f"filter_{_ONLY}") or ()
    return {"traits": tuple(trait for trait in TRAITS if trait in asked)}


def _parse_bin(text: str, below: int) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) < below else None


EXPLORER = Explorer(
    page="preferences",
    row="comparison",
    rows="comparisons",
    params=PARAMS,
    selects=_SELECTS,
    words=WORDS,
    uncounted=frozenset({"review"}),
    placeholder="Words in a prompt, a response or a reason",
    parse=parse_filter,
    build=build_params,
    read_more=_read_more,
    describe_more=_describe_more,
)
