"""The labels page's address: which run, which labels, which one is open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from cai_core.evaluation.label_traits import (
    BIAS_BINS,
    CONFIDENCE_BINS,
    TRAITS,
    LabelFilter,
)
from cai_core.pipeline.label_records import LabelSource
from cai_core.records import PromptKind, Verdict
from ui.explorer_filter import MAX_VALUE
from ui.explorer_filter import WORDS as EXPLORER_WORDS
from ui.explorer_links import PLAYGROUND

LABELS_PAGE = PLAYGROUND.with_name("labels.py")
RUN, BESIDE, VIEW, LABEL, PAGE = "run", "beside", "view", "label", "page"
LIST = "list"
# Value → its word, of each field that has few.
WORDS: Mapping[str, Mapping[str, str]] = {
    "verdict": {
        Verdict.A: "A preferred",
        Verdict.B: "B preferred",
        Verdict.TIE: "Tie",
        Verdict.UNPARSED: "Unparsed",
    },
    "source": {
        "feedback-model": "Feedback model",
        "human": "A person",
        "revision": "By construction",
    },
    "kind": EXPLORER_WORDS["kind"],
    "only": {
        "same-position": "Same position in both orders",
        "near-tie": "Near-ties",
        "truth": "With a truth",
        "wrong": "Disagrees with the truth",
        "longer": "Longer one preferred",
        "shorter": "Shorter one preferred",
        "principles-differ": "Principles disagree",
        "runs-differ": "The other run disagrees",
        "held-out": "Held out of training",
    },
}
# Field of `LabelFilter` → its name in the address.
_TEXTS = {"verdict": "verdict", "principle": "principle", "source": "source", "kind": "kind"}
_ALLOWED: Mapping[str, frozenset[str]] = {
    "verdict": frozenset(Verdict),
    "source": frozenset(get_args(LabelSource)),
    "kind": frozenset(PromptKind),
}
_BINS = {"confidence": CONFIDENCE_BINS, "bias": BIAS_BINS}
_NUMBER = re.compile(r"[0-9]{1,6}")


def parse_label_filter(params: Mapping[str, str]) -> LabelFilter:
    """The filter that an address asks for; what cannot be a value of its field is ignored."""
    texts = {
        field: value
        for field, name in _TEXTS.items()
        if (value := params.get(name, "")[:MAX_VALUE])
        and value in _ALLOWED.get(field, frozenset({value}))
    }
    asked = params.get("only", "").split(",")
    return LabelFilter(
        **texts,
        only=tuple(trait for trait in TRAITS if trait in asked),
        confidence=_parse_number(params.get("confidence", ""), _BINS["confidence"]),
        bias=_parse_number(params.get("bias", ""), _BINS["bias"]),
        text=params.get("q", "").strip()[:MAX_VALUE],
    )


def build_label_params(chosen: LabelFilter) -> dict[str, str]:
    """The address that asks for the filter; `parse_label_filter` is the inverse."""
    told = {name: getattr(chosen, field) for field, name in _TEXTS.items()}
    told |= {"only": ",".join(chosen.only), "q": chosen.text}
    numbers = {name: getattr(chosen, name) for name in _BINS}
    told |= {name: str(value) for name, value in numbers.items() if value is not None}
    return {name: value for name, value in told.items() if value}


def read_page(pages: int) -> int:
    """The page that the address asks for, in [1, pages]."""
    asked = _parse_number(st.query_params.get(PAGE, ""), 10**6)
    return min(max(asked or 1, 1), pages)


def show_examples(chosen: LabelFilter) -> None:
    """Make the address ask for the list of these labels. For callbacks."""
    st.query_params.from_dict({**_keep(), VIEW: LIST, **build_label_params(chosen)})


def go_to(name: str, value: str) -> None:
    """Change one part of the address; another run begins anew. For callbacks."""
    if name == RUN:
        st.query_params.from_dict({RUN: value} if value else {})
        return
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def follow_bin(key: str, field: str, numbers: tuple[int, ...]) -> None:
    """From a bar or point of a chart to the labels in it. For callbacks.

    Args:
        numbers: the bin of each of its points.
    """
    selection: Any = st.session_state.get(key) or {}
    points = selection.get("selection", {}).get("points", [])
    # The line of a chart with points and a line has no bin.
    at = next((one["point_index"] for one in points if one.get("curve_number") == 0), None)
    if at is None or at >= len(numbers):
        return
    chosen = LabelFilter(**{field: numbers[at]})
    if key.startswith("labels_calibration"):
        chosen = replace(chosen, only=("truth",))
    show_examples(chosen)


def _keep() -> dict[str, str]:
    return {name: value for name in (RUN, BESIDE) if (value := st.query_params.get(name, ""))}


def _parse_number(text: str, below: int) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) < below else None
