"""Asking a model what it thinks of a draft's principles: harm, and pairs that contradict."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cai_core.actions.opinions import ask_about_constitution
from cai_core.constitution.contradictions import MOST_PAIRS
from cai_core.constitution.draw import list_enabled
from cai_core.constitution.findings import Finding
from cai_core.constitution.opinions import Opinion, build_opinion_findings, count_unasked
from cai_core.errors import CaiError
from cai_core.jobs.qualifying import is_of_demo_world
from cai_core.records import Constitution
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.opinions import list_opinions
from ui import background, services
from ui.constitution_address import describe_count, describe_time
from ui.look import build_card, build_error, escape

_TICK_SECONDS = 2
_MODEL = "opinion_model"


def read_opinion_findings(constitution: Constitution) -> tuple[Finding, ...]:
    """What models said of the text as it stands."""
    opinions = list_opinions(services.workspace(), constitution.name)
    return build_opinion_findings(opinions, constitution)


def show_opinion(constitution: Constitution) -> None:
    """Render what was asked so far, the model to ask and the button."""
    st.html('<span class="cai-field">A model’s opinion</span>')
    opinions = list_opinions(services.workspace(), constitution.name)
    if opinions:
        st.html(f'<p class="cai-quiet">{escape(_tell(opinions[0]))}</p>')
    if not list_enabled(constitution):
        return
    names = list(read_endpoints(services.workspace()).book.endpoints)
    model = str(st.selectbox("Ask", names, key=_MODEL, filter_mode="contains") or "")
    if not model:
        return
    key = _build_key(services.workspace(), constitution, model)
    if problem := background.get_problem(key):
        st.html(build_error(f"{model} could not be asked", problem))
    if _is_demo(model):
        words = "It was never taught this question: what it says means nothing."
        st.html(build_card("note", "The demo model guesses here", escape(words), slim=True))
    if background.is_under_way(key):
        _wait_for(key, model)
        return
    st.button(
        f"Ask about {_describe_asking(constitution, opinions)}",
        key="ask_opinion",
        icon=":material/contact_support:",
        on_click=_begin,
        args=(key, constitution, model),
        help="Which principles may do harm, and which pairs no response can follow both. What it "
        "says stands among the remarks, as a suggestion.",
    )


def _tell(opinion: Opinion) -> str:
    """Who was asked last, about how much."""
    asked = describe_count(len(opinion.harm), "principle")
    pairs = f"{len(opinion.pairs)} of {describe_count(opinion.pairs_there_are, 'pair')}"
    missing = f" {opinion.unreadable} brought no answer." if opinion.unreadable else ""
    return (
        f"{opinion.model} was asked about {asked} and {pairs}, "
        f"{describe_time(opinion.at, clock=True)}.{missing}"
    )


def _describe_asking(constitution: Constitution, opinions: list[Opinion]) -> str:
    """`16 principles and 100 pairs`, and how many of them are new."""
    principles = list_enabled(constitution)
    count = len(principles)
    pairs = min(count * (count - 1) // 2, MOST_PAIRS)
    new = count_unasked(opinions, constitution)
    words = f"{describe_count(count, 'principle')} and {describe_count(pairs, 'pair')}"
    return f"{words} ({new} new)" if opinions and new else words


def _is_demo(model: str) -> bool:
    try:
        return is_of_demo_world(model, services.workspace())
    except CaiError:
        return False


def _build_key(workspace: Path, constitution: Constitution, model: str) -> tuple[object, ...]:
    return ("opinion", workspace, constitution.name, model)


def _begin(key: tuple[object, ...], constitution: Constitution, model: str) -> None:
    actor, workspace = services.actor(), services.workspace()
    background.begin(key, lambda: ask_about_constitution(actor, workspace, constitution, model))


def _wait_for(key: tuple[object, ...], model: str) -> None:
    """Say that the model is being asked, and draw the page anew when it has answered."""

    def tick() -> None:
        if not background.is_under_way(key):
            st.rerun()
        words = f"{model} is being asked. It goes on without this page."
        st.html(f'<p class="cai-quiet" role="status">{escape(words)}</p>')

    st.fragment(tick, run_every=_TICK_SECONDS)()
