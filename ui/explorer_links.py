"""Where the pages' links lead: files by their full path, for the app's script lies elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from cai_core.pipeline.interactive import KIND
from ui.look import escape_markdown

_PAGES = Path(__file__).resolve().parents[1] / "pages"
CONSTITUTIONS = _PAGES / "constitutions.py"
CRITIQUES = _PAGES / "critiques.py"
LABELS = _PAGES / "labels.py"
MODELS = _PAGES / "models.py"
PLAYGROUND = _PAGES / "playground.py"
PREFERENCES = _PAGES / "preferences.py"
REVIEW = _PAGES / "review.py"
RUNS = _PAGES / "runs.py"
CHAIN = "chain"
# The open comparison, and the run whose label of it is meant: several runs may have it.
COMPARISON, OF = "comparison", "of"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a link leads: a page, and what its address says."""

    page: Path
    params: dict[str, str] = field(default_factory=dict)


def find_chain_place(chain: str) -> Place:
    """The drawer of that chain."""
    return Place(page=CRITIQUES, params={CHAIN: chain})


def find_comparison_place(run: str, comparison: str) -> Place:
    """The drawer of that comparison, as that run has it."""
    return Place(page=PREFERENCES, params={COMPARISON: comparison, OF: run})


def find_run_place(run: str) -> Place:
    """The playground for a chain that was run there, else what the run wrote."""
    if live := find_live_id(run):
        return Place(page=PLAYGROUND, params={"run": live})
    return Place(page=CRITIQUES, params={"run": run})


def find_live_id(run: str) -> str:
    """The playground's own id of a run that it started; empty for other runs."""
    prefix = f"{KIND}-"
    return run.removeprefix(prefix) if run.startswith(prefix) else ""


def show_link(place: Place, label: str, *, icon: str = "") -> None:
    """A link that keeps the session; the label is plain text."""
    st.page_link(
        place.page, label=escape_markdown(label), icon=icon, query_params=place.params or None
    )


def go_button(place: Place, label: str, *, key: str, icon: str = "") -> None:
    """The same as a button, for an address with texts that a person or a model wrote.

    No page then holds a link whose target is somebody's words.
    """
    if st.button(escape_markdown(label), key=key, icon=icon, type="tertiary"):
        st.switch_page(place.page, query_params=place.params)
