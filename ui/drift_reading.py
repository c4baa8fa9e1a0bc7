"""How far a first look at evaluations is; nothing where all was computed before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from cai_core.jobs.drift_matrix import Tell


@contextmanager
def show_reading() -> Iterator[Tell]:
    """Give the function that is told how many evaluations were read, of how many."""
    place = st.empty()

    def tell(done: int, total: int) -> None:
        words = f"Reading the evaluations: {done} of {total}. They are remembered afterwards."
        place.progress(done / total, words)

    try:
        yield tell
    finally:
        place.empty()
