"""The spot check: a few of the baseline's prompts asked of a model now, by one click."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.actions.jobs import submit
from cai_core.errors import CaiError
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.spot_check import DEFAULT, build_spot_check, choose_count
from cai_core.pipeline.evaluate import shorten_model
from cai_core.records import AccessRole
from cai_core.workspace.endpoints import read_endpoints
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.drift_address import JOB, leave
from ui.drift_data import Evaluation
from ui.drift_form import look_at_machine, name_model
from ui.runs_list import can
from ui.runs_names import list_models

_MOST = 10_000


def show_spot_check(baseline: Evaluation, newest: Evaluation) -> None:
    """Render the choice of a model, how many prompts, and the button that begins at once.

    Args:
        newest: the evaluation whose model is chosen at first: what was looked at last.
    """
    if not can(AccessRole.EDITOR):
        return
    models = list_models(asked=True)
    with st.container(horizontal=True, vertical_alignment="bottom", key="drift_spot"):
        model = st.selectbox(
            "Check a model now",
            models,
            index=_find(models, newest),
            format_func=name_model,
            key="drift_spot_model",
            filter_mode="contains",
            help="Asked the baseline’s own prompts, judged and sampled as it was.",
        )
        count, basis = _count(baseline.run, model)
        prompts = st.number_input(
            "Prompts", 1, _MOST, count, key=f"drift_spot_prompts_{baseline.run}", help=basis
        )
        st.button(
            "Spot check",
            key="drift_spot_go",
            icon=":material/bolt:",
            type="primary",
            disabled=model is None,
            on_click=_begin,
            args=(baseline.run, model, int(prompts)),
        )
    show_message("drift_spot")


def _count(baseline: str, model: str | None) -> tuple[int, str]:
    """How many prompts take two minutes, and where that comes from."""
    unknown = "How long it takes is not known before one was measured on this machine."
    if model is None:
        return DEFAULT, unknown
    workspace = services.workspace()
    try:
        count, measured = _choose(str(workspace), baseline, model)
    except (CaiError, OSError):
        return DEFAULT, unknown  # pressing the button says what is wrong
    return count, "About two minutes, by what was measured here." if measured else unknown


@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _choose(workspace: str, baseline: str, model: str) -> tuple[int, bool]:
    return choose_count(services.workspace(), baseline, model, look_at_machine(workspace))


def _begin(baseline: str, model: str, prompts: int) -> None:
    workspace = services.workspace()
    try:
        endpoints = None if can(AccessRole.ADMIN) else read_endpoints(workspace).book.endpoints
        spec = build_spot_check(workspace, baseline, model, prompts, endpoints=endpoints)
        submit(services.actor(), workspace, spec)
    except (CaiError, OSError) as error:
        leave_message("error", "Not begun", str(error), place="drift_spot")
        return
    leave(**{JOB: spec.run_id})


def _find(models: Sequence[str], newest: Evaluation) -> int:
    """The place of the option that this evaluation asked; the first one else."""
    asked = str(newest.recipe.get("model", ""))
    wanted = (asked, f"{RUN}{shorten_model(asked)}")
    return next((place for place, one in enumerate(models) if one in wanted), 0)
