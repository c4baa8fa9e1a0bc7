"""Overview: what runs, what is new, what waits to be read, and what has been done."""

from datetime import UTC, datetime

import streamlit as st

from cai_core.errors import CaiError
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.versions import list_names
from ui import services
from ui.look import build_error, show_title
from ui.overview_drift import show_drift
from ui.overview_flow import STYLE, build_flow, show_first_chain, show_flow, show_story_link
from ui.overview_lists import (
    count_queued,
    show_chains,
    show_events,
    show_health,
    show_runs,
    show_waiting,
)

TICK_SECONDS = 3
LATEST = 24  # rounds, of which several may belong to one chain
RUNS = 100
EVENTS = 8


def overview() -> None:
    """Everything below the title, from the index as it is now."""
    try:
        index = services.index()
        if not index.report().rows:
            index.ingest()  # a server that has just started may not have looked yet
        report, runs, events = index.report(), index.list_runs(RUNS), index.list_events(EVENTS)
        latest = index.list_rounds(RoundFilter(), limit=LATEST)
        marked = index.count_marked()
    except CaiError as error:
        st.html(build_error("The workspace cannot be read", str(error)))
        return
    now = datetime.now(UTC)
    show_flow(
        build_flow(
            constitutions=len(list_names(services.workspace())),
            models=len(latest.facets.get("model", ())),
            report=report,
        )
    )
    show_story_link()
    if all(run.recorded for run in runs):
        show_first_chain(recorded=bool(runs))
    left, right = st.columns(2, gap="large")
    with left:
        show_waiting(marked, queued)
        show_drift(now)
        show_runs(runs, now)
        show_health(report)
    with right:
        show_chains(latest)
        show_events(events, now)


st.html(STYLE)
show_title(
    "Overview", "What runs, what is new, and what waits to be read, from constitution to model."
)
# Not at every tick: the votes of every queue are read for it.
queued = count_queued()
st.fragment(overview, run_every=TICK_SECONDS)()
