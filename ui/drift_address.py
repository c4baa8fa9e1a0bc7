"""The drift page's address: which suite and baseline, whose word counts, which cell is open."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import streamlit as st

from cai_core.evaluation.measures import READERS, Reader

SUITE, AGAINST, BY, LINE = "suite", "against", "by", "line"
RUN, MEASURE = "run", "measure"
FORM, JOB = "evaluate", "job"
_KEPT = (SUITE, AGAINST, BY, LINE)


def read(name: str) -> str:
    """What the address says under that name; empty where nothing. It is not to be trusted."""
    return st.query_params.get(name, "")


def read_reader() -> Reader | None:
    """Whose word the address asks for; None for the first one that knows."""
    return next((reader for reader in READERS if reader == read(BY)), None)


def build_link(run: str, measure: str) -> str:
    """The address of a cell, beside what is chosen now; to be escaped in HTML."""
    return "?" + urlencode({**_keep(), RUN: run, MEASURE: measure}, errors="replace")


def choose(name: str, key: str) -> None:
    """Put a widget's value into the address; another suite begins anew. For callbacks."""
    value: Any = st.session_state.get(key)
    kept = _keep()
    if name == SUITE:
        kept = {field: told for field, told in kept.items() if field == BY}
    kept.pop(name, None)
    st.query_params.from_dict({**kept, **({name: str(value)} if value else {})})


def open_form() -> None:
    """Ask for the form. For callbacks."""
    st.query_params.from_dict({**_keep(), FORM: "1"})


def leave(**more: str) -> None:
    """Close the form or the cell. For callbacks."""
    st.query_params.from_dict({**_keep(), **more})


def _keep() -> dict[str, str]:
    return {name: value for name in _KEPT if (value := read(name))}
