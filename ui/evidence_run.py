"""What was not evaluated yet, one button that does it, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from cai_core.actions.jobs import submit
from cai_core.errors import CaiError
from cai_core.jobs.evidence_plan import PRESETS, build_evaluation_plan, build_like, get_preset
from cai_core.jobs.evidence_study import Method
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.jobs.plan_specs import build_plan
from cai_core.records import AccessRole
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.explorer_links import RUNS
from ui.look import escape
from ui.runs_list import can
from ui.runs_names import list_models
from ui.runs_words import build_run_head

_TICK_SECONDS = 2.0
_OPEN = (RunState.QUEUED, RunState.RUNNING)
_OURS = "evidence-"
_PRESET, _JUDGE = "evidence_preset", "evidence_judge"


def show_missing(
    methods: Sequence[Method], missing: Sequence[Method], like: Mapping[str, Any] | None
) -> None:
    """Render what is not evaluated by this suite, and the button that does it.

    Args:
        like: recipe of an evaluation that is there, which the others are then asked like.
    """
    if not missing:
        return
    names = ", ".join(one.label for one in missing)
    words = f"Not evaluated by this suite yet: {names}. Asked and judged as the others were."
    with st.container(border=True, gap="small", key="evidence_missing"):
        if like is None:
            words = f"The newest models of this workspace: {names}."
        st.html(f'<p class="cai-lead">{escape(words)}</p>')
        if not can(AccessRole.EDITOR):
            st.html('<p class="cai-quiet">Who may launch runs is an editor.</p>')
            return
        if like is None:
            _ask()
        count = len(missing) if like is not None else len(methods)
        st.button(
            f"Evaluate {count} model{'s' * (count != 1)}",
            key="evidence_go",
            type="primary",
            icon=":material/science:",
            on_click=_begin,
            args=(tuple(methods), tuple(missing), like),
        )
        show_message("evidence")
        st.html('<span class="cai-field">The same on the command line</span>')
        st.code(_build_command(like), language="bash", wrap_lines=True)


def show_progress() -> None:
    """Render the evaluations and comparisons of this page that are under way, and those that
    have just failed."""

    def find() -> list[JobView]:
        return [
            view
            for view in list_jobs(services.workspace())
            if view.run.startswith(_OURS)
            and (view.state in _OPEN or view.state in (RunState.FAILED, RunState.INTERRUPTED))
        ]

    first = find()
    if not first:
        return
    live = [view.run for view in first if view.state in _OPEN]

    def cards() -> None:
        views = find()
        if live and [view.run for view in views if view.state in _OPEN] != live:
            st.rerun()  # the whole page: what has ended stands in the table
        for view in views:
            st.html(build_run_head(view, now=time.time()))

    with st.container(border=True, gap="xsmall", key="evidence_jobs"):
        st.fragment(cards, run_every=_TICK_SECONDS if live else None)()


def hand_in(text: str, *, place: str) -> int:
    """Submit the runs of a plan; how many. What goes wrong is left as a message. For callbacks."""
    workspace, done = services.workspace(), 0
    try:
        specs = build_plan(
            text,
            "evidence",
            workspace,
            workspace,
            names_only=True,
            any_model=can(AccessRole.ADMIN),
        )
        for spec in specs:
            submit(services.actor(), workspace, spec)
            done += 1
    except (CaiError, OSError) as error:
        leave_message("error", "Not begun", str(error), place=place)
    return done


def choose_feedback(label: str, key: str, *, nobody: str | None = None) -> str:
    """A field for the model that judges; empty for nobody."""
    models = list_models(asked=True)
    options = ["", *models] if nobody is not None else models
    return str(
        st.selectbox(
            label,
            options,
            index=options.index("demo") if "demo" in options else 0,
            format_func=lambda name: name.removeprefix("run:") or str(nobody),
            key=key,
            filter_mode="contains",
        )
        or ""
    )


def _ask() -> None:
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        st.selectbox(
            "What is asked",
            [one.name for one in PRESETS],
            index=1,
            format_func=lambda name: get_preset(name).label,
            key=_PRESET,
        )
    with right:
        choose_feedback("Judge", _JUDGE, nobody="Nobody: oracle and phrases alone")


def _begin(
    methods: tuple[Method, ...], missing: tuple[Method, ...], like: Mapping[str, Any] | None
) -> None:
    if like is not None:
        text = build_like(missing, like)
    else:
        preset = get_preset(st.session_state.get(_PRESET) or "demo")
        text = build_evaluation_plan(methods, preset, judge=st.session_state.get(_JUDGE) or None)
    hand_in(text, place="evidence")


def _build_command(like: Mapping[str, Any] | None) -> str:
    command = "python -m cai_core evidence --run"
    if like is not None:
        return command
    preset = st.session_state.get(_PRESET) or "demo"
    judge = st.session_state.get(_JUDGE)
    return f"{command} --preset {preset}" + (f" --judge {judge}" if judge else "")


def show_nothing() -> None:
    """Render what to do where no model was trained here and nothing evaluated."""
    st.html(
        '<div class="cai-empty"><b>Nothing to compare yet.</b> This page holds models against each '
        "other: base, system prompt only, SL-CAI, DPO, RL-CAI. Train some first: the whole loop "
        "is one plan, and <code>make demo</code> runs it with the demo model.</div>"
    )
    if st.button(
        "The whole loop",
        key="evidence_to_loop",
        type="primary",
        icon=":material/account_tree:",
        disabled=not can(AccessRole.EDITOR),
    ):
        st.switch_page(RUNS, query_params={"new": "loop"})
