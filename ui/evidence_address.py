"""The evidence page's address: which evaluations, whose word counts, what is open."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import streamlit as st

from cai_core.evaluation.measures import READERS, Reader

SUITE, AGAINST, MODELS, BY = "suite", "against", "models", "by"
PAIRS, ANCHOR = "pairs", "anchor"
RUN, MEASURE, PAIR = "run", "measure", "pair"
REVIEW, ASKED = "review", "asked"
_KEPT = (SUITE, AGAINST, MODELS, BY, PAIRS, ANCHOR)
# What another choice of this makes meaningless.
_BELOW = {SUITE: (AGAINST, MODELS, PAIRS, ANCHOR), PAIRS: (ANCHOR,)}


def read(name: str) -> str:
    """What the address says under that name; empty where nothing. It is not to be trusted."""
    return st.query_params.get(name, "")


def read_list(name: str) -> list[str]:
    """The same as a list of words."""
    return [word for word in read(name).split(",") if word]


def read_reader() -> Reader | None:
    """Whose word the address asks for; None for the first one that knows."""
    return next((reader for reader in READERS if reader == read(BY)), None)


def build_link(**more: str) -> str:
    """An address of this page beside what is chosen now; to be escaped in HTML."""
    return "?" + urlencode({**_keep(), **more}, errors="replace")


def choose(name: str, key: str) -> None:
    """Put a widget's value into the address. For callbacks."""
    value: Any = st.session_state.get(key)
    told = ",".join(value) if isinstance(value, list) else str(value or "")
    kept = {k: v for k, v in _keep().items() if k != name and k not in _BELOW.get(name, ())}
    st.query_params.from_dict({**kept, **({name: told} if told else {})})


def leave() -> None:
    """Close what is open. For callbacks."""
    st.query_params.from_dict(_keep())


def go(**more: str) -> None:
    """Open something beside what is chosen. For callbacks."""
    st.query_params.from_dict({**_keep(), **more})


def _keep() -> dict[str, str]:
    return {name: value for name in _KEPT if (value := read(name))}
