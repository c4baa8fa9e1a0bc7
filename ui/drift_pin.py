"""What others are held against: the choice of a baseline, and its pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from cai_core.actions.baselines import pin_baseline
from cai_core.errors import CaiError
from cai_core.evaluation.measures import READERS
from cai_core.records import AccessRole
from cai_core.workspace.baselines import Baseline, find_baseline
from ui import services
from ui.constitution_address import describe_time, leave_message, show_message
from ui.drift_address import AGAINST, BY, JOB, SUITE, choose, open_form, read, read_reader
from ui.drift_data import Evaluation
from ui.look import escape
from ui.runs_list import can

_READERS = {
    "": "The first that knows",
    "oracle": "The oracle",
    "judge": "The judge",
    "phrases": "Phrases",
}
_NOTE = "drift_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What the address, else the newest pin, says is compared.

    Attributes:
        same: the evaluations of the baseline's suite, in order of time; the baseline is one.
        suites: all there are, the newest first.
        pinned: the newest pin of one of `same`.
    """

    baseline: Evaluation
    same: Sequence[Evaluation]
    suites: Sequence[str]
    pinned: Baseline | None


def find_sides(evaluations: Sequence[Evaluation]) -> Sides:
    """The baseline; without a pin the oldest evaluation of the suite.

    Args:
        evaluations: at least one, in order of time.
    """
    workspace, asked = services.workspace(), read(SUITE)
    by_run = {one.run: one for one in evaluations}
    suites = list(dict.fromkeys(one.suite for one in reversed(evaluations)))
    newest = find_baseline(workspace, by_run)
    suite = by_run[newest.run].suite if newest is not None else suites[0]
    if (made := by_run.get(read(JOB))) is not None:
        suite = made.suite  # what somebody has just evaluated
    suite = asked if asked in suites else suite
    same = [one for one in evaluations if one.suite == suite]
    runs = {one.run for one in same}
    pinned = find_baseline(workspace, runs)
    chosen = pinned.run if pinned is not None else same[0].run
    wanted = read(AGAINST)
    baseline = by_run[wanted if wanted in runs else chosen]
    return Sides(baseline=baseline, same=same, suites=suites, pinned=pinned)


def choose_sides(sides: Sides) -> None:
    """Render the choices, the way to the form, and the pin."""
    runs, pinned, chosen = {one.run: one for one in sides.same}, sides.pinned, sides.baseline.run
    suite, suites = sides.baseline.suite, sides.suites
    keys = {"drift_suite": suite, "drift_against": chosen, "drift_by": read_reader() or ""}
    for key, value in keys.items():
        st.session_state[key] = value
    with st.container(horizontal=True, vertical_alignment="bottom", key="drift_choices"):
        st.selectbox(
            "Suite", suites, key="drift_suite", on_change=choose, args=(SUITE, "drift_suite")
        )
        st.selectbox(
            "Baseline",
            list(runs),
            format_func=lambda run: _name(runs, run, pinned),
            key="drift_against",
            on_change=choose,
            args=(AGAINST, "drift_against"),
        )
        st.selectbox(
            "Read by",
            ["", *READERS],
            format_func=lambda name: _READERS.get(name, name),
            key="drift_by",
            on_change=choose,
            args=(BY, "drift_by"),
            help="Whose word counts: the demo world’s oracle, the judge, or phrases.",
        )
        if can(AccessRole.EDITOR):
            st.button(
                "Evaluate a model",
                key="drift_form",
                icon=":material/science:",
                type="primary" if len(runs) == 1 else "secondary",
                on_click=open_form,
            )
            if pinned is None or pinned.run != chosen:
                _pin(chosen)
    show_message("drift")
    st.html(f'<p class="cai-quiet">{escape(_tell(runs[chosen], pinned))}</p>')


def _pin(run: str) -> None:
    with st.popover("Pin this baseline", icon=":material/keep:", key="drift_pin_open"):
        st.text_input("Why", key=_NOTE, placeholder="in production since today")
        st.button(
            "Pin",
            key="drift_pin",
            type="primary",
            on_click=_do,
            args=(run,),
        )


def _do(run: str) -> None:
    try:
        pin_baseline(services.actor(), services.workspace(), run, st.session_state.get(_NOTE, ""))
    except (CaiError, OSError) as error:
        leave_message("error", "Not pinned", str(error), place="drift")
        return
    st.query_params.pop(AGAINST, None)


def _name(runs: Mapping[str, Evaluation], run: str, pinned: Baseline | None) -> str:
    one = runs.get(run)
    if one is None:
        return run
    mark = ", pinned" if pinned is not None and pinned.run == run else ""
    return f"{one.name} ({one.run}{mark})"


def _tell(chosen: Evaluation, pinned: Baseline | None) -> str:
    if pinned is None:
        return "No baseline is pinned for this suite; the oldest evaluation stands in."
    told = f"pinned by {pinned.actor}, {describe_time(pinned.at)}: {pinned.note}"
    if pinned.run == chosen.run:
        return f"Baseline {chosen.name}, {told}"
    return f"Looked at against {chosen.name}; the pinned baseline is another one, {told}"
