"""Evaluate a model now: a small form, and how far the evaluations under way are."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
import yaml

from cai_core.actions.jobs import resume_run, stop_run, submit
from cai_core.errors import CaiError
from cai_core.evaluation.gate import DEFAULT_SAMPLES
from cai_core.jobs.evaluate_suites import DEMO, list_suites
from cai_core.jobs.forecast import describe
from cai_core.jobs.forecast_machine import Machine, read_machine
from cai_core.jobs.forecast_runs import check_plan, forecast_runs
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import KIND, shorten_model
from cai_core.records import AccessRole
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.drift_address import JOB, leave, read
from ui.drift_data import Evaluation
from ui.look import build_card, build_error, escape
from ui.runs_list import can
from ui.runs_names import list_models
from ui.runs_words import build_run_head

_TICK_SECONDS, _MACHINE_SECONDS = 2.0, 10
_OPEN = (RunState.QUEUED, RunState.RUNNING)
_DEFAULT, _MOST, _MOST_SAMPLES = 50, 10_000, 32
_JOIN = " + "


def show_form(baseline: Evaluation | None) -> None:
    """Render the fields, what they come to, and the button that hands the run in.

    Args:
        baseline: whose suite, judge and numbers the fields begin with; None for our own.
    """
    st.button(
        "Back", key="drift_back", icon=":material/arrow_back:", type="tertiary", on_click=leave
    )
    entry = _ask(baseline.recipe if baseline is not None else {})
    if entry is None:
        return
    workspace = services.workspace()
    try:
        spec = _build(workspace, entry)
        (forecast,) = forecast_runs([spec], workspace, look_at_machine(str(workspace)))
    except CaiError as error:
        st.html(build_error("This cannot be evaluated", str(error)))
        return
    seconds, rows = forecast.figures["seconds"], forecast.figures["rows"]
    told = f"{describe('rows', rows.value)} requests: {rows.formula}. "
    if seconds.value is None:
        told += f"How long it takes is not known: {seconds.formula}."
    else:
        told += f"About {describe('seconds', seconds.value)} ({seconds.basis})."
    st.html(f'<p class="cai-lead">{escape(told)}</p>')
    refusals = check_plan([forecast], look_at_machine(str(workspace)))
    if refusals:
        st.html(build_error("This machine cannot do it", "\n".join(refusals)))
    done = any(
        view.run == spec.run_id and view.state is RunState.SUCCEEDED
        for view in list_jobs(workspace)
    )
    if done:
        words = "Just this was evaluated already. Choose another seed to ask again."
        st.html(build_card("note", "It is there", escape(words)))
    st.button(
        f"Evaluate on {int(entry['limit']):,} prompts",
        key="drift_go",
        type="primary",
        icon=":material/science:",
        disabled=bool(refusals) or done,
        on_click=_begin,
        args=(spec,),
    )
    show_message("drift_form")


def show_progress() -> None:
    """Render the evaluations under way, with Stop, and the one that the address names."""

    def find() -> list[JobView]:
        asked = read(JOB)
        return [
            view
            for view in list_jobs(services.workspace())
            if view.kind == KIND
            and (
                view.state in _OPEN or (view.run == asked and view.state is not RunState.SUCCEEDED)
            )
        ]

    first = find()
    if not first:
        return
    live = [view.run for view in first if view.state in _OPEN]

    def cards() -> None:
        views = find()
        if live and [view.run for view in views if view.state in _OPEN] != live:
            st.rerun()  # the whole page: what has ended is in the matrix
        for view in views:
            with st.container(border=True, gap="xsmall", key=f"drift_job_{view.run}"):
                st.html(build_run_head(view, now=time.time()))
                _act(view)

    st.fragment(cards, run_every=_TICK_SECONDS if live else None)()
    show_message("drift_job")


def _ask(like: Mapping[str, Any]) -> dict[str, Any] | None:
    models = list_models(asked=True)
    known = list_suites(services.workspace())
    suites = str(like.get("suite", "")).split(_JOIN)
    if not suites or not set(suites) <= set(known):
        suites = [DEMO]
    judge = _find(models, like.get("judge"))
    left, right = st.columns(2)
    with left:
        model = st.selectbox(
            "Model", models, format_func=name_model, key="drift_model", filter_mode="contains"
        )
        chosen = st.multiselect("Suites", known, suites, key="drift_suites")
        judged_by = st.selectbox(
            "Judge",
            ["", *models],
            index=models.index(judge) + 1 if judge else 0,
            format_func=lambda name: name_model(name) or "Nobody: oracle and phrases alone",
            key="drift_judge",
            filter_mode="contains",
        )
    with right:
        limit = st.number_input(
            "Prompts",
            1,
            _MOST,
            _read(like, "limit", _DEFAULT, _MOST),
            key="drift_limit",
            help="So many of the suite, spread over kinds and categories. Few prompts show large "
            "changes alone.",
        )
        samples = st.number_input(
            "Answers to each",
            1,
            _MOST_SAMPLES,
            _read(like, "samples", DEFAULT_SAMPLES, _MOST_SAMPLES),
            key="drift_samples",
        )
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="drift_seed")
    if model is None or not chosen:
        st.html(build_card("note", "Choose", "A model and at least one suite."))
        return None
    entry = {
        "name": re.sub(r"[^a-z0-9]+", "-", name_model(model).lower()).strip("-")[:40] or "model",
        "kind": KIND,
        "model": model,
        "suite": list(chosen),
        "limit": int(limit),
        "samples": int(samples),
        "seed": int(seed),
    }
    return entry | ({"judge": judged_by} if judged_by else {})


def _build(workspace: Path, entry: Mapping[str, Any]) -> RunSpec:
    text = yaml.safe_dump({"format": 1, "name": KIND, "runs": [dict(entry)]})
    any_model = can(AccessRole.ADMIN)
    (spec,) = build_plan(text, KIND, workspace, workspace, names_only=True, any_model=any_model)
    return spec


def _begin(spec: RunSpec) -> None:
    try:
        submit(services.actor(), services.workspace(), spec)
    except (CaiError, OSError) as error:
        leave_message("error", "Not begun", str(error), place="drift_form")
        return
    # Alone: the suite that is looked at may be another one.
    st.query_params.from_dict({JOB: spec.run_id})


def _act(view: JobView) -> None:
    if not can(AccessRole.EDITOR):
        return
    live = view.state in _OPEN
    st.button(
        "Stop" if live else "Resume",
        key=f"drift_act_{view.run}",
        icon=f":material/{'stop_circle' if live else 'play_arrow'}:",
        on_click=_do,
        args=(view.run, live),
    )


def _do(run: str, stops: bool) -> None:
    try:
        (stop_run if stops else resume_run)(services.actor(), services.workspace(), run)
    except CaiError as error:
        title = "Not stopped" if stops else "Not resumed"
        leave_message("error", title, str(error), place="drift_job")
        return
    leave(**{JOB: run})


def _find(models: Sequence[str], wanted: object) -> str:
    """The option that a recipe's model is: a made one by its run."""
    name = str(wanted or "")
    return next((m for m in (name, f"{RUN}{shorten_model(name)}") if m in models), "")


def _read(like: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = like.get(key)
    return min(most, max(1, value)) if isinstance(value, int) else default


def name_model(model: str) -> str:
    """A model as choices tell it."""
    return model.removeprefix(RUN)


@st.cache_data(ttl=_MACHINE_SECONDS, show_spinner=False)
def look_at_machine(workspace: str) -> Machine:
    """This machine, looked at every few seconds at most."""
    return read_machine(Path(workspace))
