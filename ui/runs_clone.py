"""The same run with other values: which, what differs then, and the button that hands it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cai_core.actions.jobs import clone_run
from cai_core.errors import CaiError
from cai_core.jobs.clone import build_clone, is_model_key, list_changeable
from cai_core.jobs.looking import compare_recipes
from cai_core.jobs.plan_yaml import dump_value, parse_yaml
from cai_core.jobs.spec import RunSpec
from cai_core.records import AccessRole
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.runs import Run, open_run
from ui import services
from ui.constitution_address import go, leave_message
from ui.look import build_error, escape
from ui.runs_forecast import show_plan_forecast
from ui.runs_list import can
from ui.runs_names import list_models
from ui.runs_qualification import show_qualifications
from ui.runs_words import build_table

_FIRST = ("chain.seed", "seed")
_HIGHEST = 2**53 - 1


def clone_form(run: Run) -> None:
    """Which values, their fields, and the new recipe's differences."""
    st.html('<h2 class="cai-h2">Clone with changes</h2>')
    try:
        held = list_changeable(run)
    except CaiError as error:
        st.html(build_error("It cannot be cloned", str(error)))
        return
    first = [key for key in _FIRST if key in held]
    chosen = st.multiselect(
        "What to change", list(held), default=first, key=f"clone_keys_{run.run_id}"
    )
    columns = st.columns(2)
    changes: dict[str, Any] = {}
    for place, key in enumerate(chosen):
        with columns[place % 2]:
            try:
                changes[key] = _show_field(run, key, held[key])
            except CaiError as error:
                st.html(build_error(key, str(error)))
                return
    try:
        spec = _build(run, changes)
    except CaiError as error:
        st.html(build_error("It cannot be handed in yet", str(error)))
        return
    rows = [[key, values] for key, values in compare_recipes(run.recipe, spec.recipe)]
    st.html(f'<span class="cai-field">What differs in {escape(spec.run_id)}</span>')
    st.html(build_table(["key", "this → the clone"], rows))
    st.html(
        '<p class="cai-quiet">Prompts, constitution and examples are copied from this run as they '
        "were handed in.</p>"
    )
    show_qualifications([spec])
    fits = show_plan_forecast([spec])
    anyway = not fits and st.checkbox("Launch it anyway", key=f"clone_anyway_{run.run_id}")
    st.button(
        "Clone and queue",
        key="clone_launch",
        type="primary",
        icon=":material/content_copy:",
        disabled=not (fits or anyway),
        on_click=_clone,
        args=(run.run_id, changes, anyway),
    )


def _build(run: Run, changes: Mapping[str, Any]) -> RunSpec:
    names_any = can(AccessRole.ADMIN)
    endpoints = None if names_any else read_endpoints(services.workspace()).book.endpoints
    return build_clone(run, changes, endpoints=endpoints)


def _show_field(run: Run, key: str, value: Any) -> Any:
    widget = f"clone_{run.run_id}_{key}"
    if is_model_key(key):
        names = dict.fromkeys([*([value] if value else []), *list_models(asked=key != "base")])
        return st.selectbox(
            key, list(names), index=0 if value else None, accept_new_options=True, key=widget
        )
    if isinstance(value, bool):
        return st.toggle(key, value=value, key=widget)
    if isinstance(value, int) and 0 <= value < _HIGHEST:
        # Another seed is what most clones are for.
        start = value + (key in _FIRST)
        return int(st.number_input(key, 0, _HIGHEST, value=start, step=1, key=widget))
    text = st.text_input(key, value=dump_value(value), key=widget, help="As YAML.")
    return parse_yaml(text, key)


def _clone(run_id: str, changes: Mapping[str, Any], anyway: bool) -> None:
    try:
        _build(open_run(services.workspace() / "runs" / run_id), changes)
        workspace = services.workspace()
        made = clone_run(services.actor(), workspace, run_id, changes, accept_risk=anyway)
    except CaiError as error:
        leave_message("error", "Not cloned", str(error))
        return
    go(run=made.run_id)
    leave_message("note", "Cloned", f"{made.run_id} is handed in.")
