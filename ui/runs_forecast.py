"""What runs will need, before they are handed in; forecast and actual side by side afterwards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.forecast import Forecast, describe, describe_formulas
from cai_core.jobs.forecast_machine import Machine, read_machine
from cai_core.jobs.forecast_runs import check_plan, compare_forecast, forecast_runs
from cai_core.jobs.spec import RunSpec
from ui import services
from ui.look import build_card, build_error, escape
from ui.runs_words import build_facts, build_table

_MAKES = ("examples", "completions")
_HEAD = ["run", "makes", "tokens", "time", "memory", "disk", "cost"]
# nvidia-smi takes a second, and a page is drawn at every key.
_MACHINE_SECONDS = 10
# So many runs are told one by one without asking.
_FEW = 8
_HASH = re.compile(r"-[0-9a-f]{8}$")


def show_plan_forecast(specs: Sequence[RunSpec]) -> bool:
    """Draw what each run of a plan will need; whether all of them fit this machine."""
    workspace = services.workspace()
    machine = _look_at_machine(str(workspace))
    forecasts = forecast_runs(specs, workspace, machine)
    refusals = check_plan(forecasts, machine)
    st.html('<span class="cai-field">Forecast, before anything runs</span>')
    names = name_shortly([forecast.run_id for forecast in forecasts])
    rows = [_build_row(forecast, names[forecast.run_id]) for forecast in forecasts]
    if len(forecasts) > 1:
        st.html(build_facts(_sum_up(forecasts)))
    if len(forecasts) > _FEW:
        with st.expander("Of each run", icon=":material/table_rows:"):
            st.html(build_table(_HEAD, rows))
    else:
        st.html(build_table(_HEAD, rows))
    for forecast in forecasts:
        for warning in forecast.warnings:
            st.html(build_card("note", forecast.run_id, escape(warning), slim=True))
    if refusals:
        st.html(build_error("This machine cannot do it", "\n".join(refusals)))
    with st.expander("How it is reckoned", icon=":material/function:"):
        for forecast in forecasts:
            st.html(f'<span class="cai-field">{escape(forecast.run_id)}</span>')
            rows = [list(line) for line in describe_formulas(forecast)]
            st.html(build_table(["figure", "forecast", "formula", "basis"], rows))
    return not refusals


def show_forecast(run_folder: Path) -> None:
    """Draw a run's forecast and what it came to, side by side, or that it has none."""
    try:
        compared = compare_forecast(run_folder)
    except CaiError as error:
        st.html(build_error("The forecast cannot be read", str(error)))
        return
    if not compared:
        st.html('<div class="cai-empty">No forecast was made when it was handed in.</div>')
        return
    rows = [
        [
            row.name,
            describe(row.key, row.forecast),
            "not told yet" if row.actual is None else describe(row.key, row.actual),
            "" if row.ratio is None else f"× {row.ratio:.2f}",
            f"{row.formula} ({row.basis})",
        ]
        for row in compared
    ]
    st.html(build_table(["figure", "forecast", "actual", "actual / forecast", "formula"], rows))


@st.cache_data(ttl=_MACHINE_SECONDS, show_spinner=False)
def _look_at_machine(workspace: str) -> Machine:
    return read_machine(Path(workspace))


def name_shortly(run_ids: Sequence[str]) -> dict[str, str]:
    """Of a plan's runs the name in it, without what all begin with and the hash at the end.

    A run alone keeps its id, as do those whose names would be the same.
    """
    parts = zip(*(one.split("-")[:-2] for one in run_ids), strict=False)
    same = takewhile(lambda told: len(set(told)) == 1, parts)
    first = "".join(f"{told[0]}-" for told in same)
    short = {one: _HASH.sub("", one.removeprefix(first)) for one in run_ids}
    told = len(run_ids) > 1 and first and len(set(short.values())) == len(short)
    return short if told else {one: one for one in run_ids}


def _sum_up(forecasts: Sequence[Forecast]) -> list[tuple[str, str]]:
    """The plan's figures: what adds up, and the most memory at once."""
    held = {
        name: [one.figures[name].value for one in forecasts if name in one.figures]
        for name in ("seconds", "memory", "disk")
    }
    facts = [("runs", f"{len(forecasts):,}")]
    for name, words in (("seconds", "one after another"), ("disk", "disk")):
        known = [value for value in held[name] if value is not None]
        least = "≥ " if len(known) < len(forecasts) else ""
        facts.append((words, f"{least}{describe(name, sum(known))}" if known else "unknown"))
    most = [value for value in held["memory"] if value is not None]
    facts.append(("most memory at once", describe("memory", max(most) if most else None)))
    return facts


def _build_row(forecast: Forecast, name: str) -> list[str]:
    def tell(*names: str) -> str:
        held = [name for name in names if name in forecast.figures]
        shown = [describe(name, forecast.figures[name].value) for name in held]
        return " / ".join(shown)

    makes = next((name for name in _MAKES if name in forecast.figures), "rows")
    tokens = tell("prompt_tokens", "completion_tokens", "trained_tokens")
    figures = [tell(name) for name in ("seconds", "memory", "disk", "cost")]
    return [name, f"{tell(makes)} {makes}", tokens, *figures]
