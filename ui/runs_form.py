"""A new plan of runs: from a preset, as exact YAML, checked while it is written."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cai_core.actions.jobs import submit
from cai_core.errors import CaiError
from cai_core.jobs.listing import list_jobs
from cai_core.jobs.plan_specs import build_plan
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import go, leave_message
from ui.look import build_error, escape
from ui.runs_list import can
from ui.runs_words import KINDS, build_table

PRESETS = Path(__file__).resolve().parents[1] / "data" / "recipes"
_TEXT, _FIRST = "plan_text", "demo-sl"


def new_run() -> None:
    """The form: preset, YAML, what it comes to, and the button that hands it in."""
    st.button("All runs", icon=":material/arrow_back:", on_click=go)
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        preset = st.selectbox("Preset", _list_presets(), key="plan_preset")
        text = st.text_area(
            "Plan",
            value=(PRESETS / f"{preset}.yaml").read_text("utf-8"),
            key=f"{_TEXT}_{preset}",
            height=560,
            help="Names of prompt sets, constitutions and models are looked up when it is checked.",
        )
    with right:
        _show_check(text, preset)


def _list_presets() -> list[str]:
    """Plans, the demo's first; not the constitutions that lie beside them."""
    found = sorted(PRESETS.glob("*.yaml"), key=lambda path: (path.stem != _FIRST, path.stem))
    return [path.stem for path in found if "\nruns:" in path.read_text("utf-8")]


def _show_check(text: str, preset: str) -> None:
    try:
        specs = build_plan(text, f"{preset}.yaml", PRESETS, services.workspace())
    except CaiError as error:
        st.html(build_error("The plan cannot be run yet", str(error)))
        return
    held = {view.run: view.state.value for view in list_jobs(services.workspace())}
    rows = [
        [spec.run_id, KINDS.get(spec.kind, spec.kind), held.get(spec.run_id, "new")]
        for spec in specs
    ]
    st.html('<span class="cai-field">What is handed in, in this order</span>')
    st.html(build_table(["run", "stage", "state"], rows))
    st.html('<span class="cai-field">The same on the command line</span>')
    st.code(_build_command(text, preset), language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        st.button(
            "Launch",
            key="plan_launch",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not can(AccessRole.EDITOR),
            on_click=_launch,
            args=(preset,),
        )
        st.download_button("Save the plan", text, file_name=f"{preset}.yaml", key="plan_save")
    st.html(
        '<p class="cai-quiet">Runs that have succeeded are left alone. Each ends in its recipe\'s '
        f"hash: {escape('a changed recipe is another run.')}</p>"
    )


def _build_command(text: str, preset: str) -> str:
    shipped = PRESETS / f"{preset}.yaml"
    unchanged = text == shipped.read_text("utf-8")
    path = f"data/recipes/{preset}.yaml" if unchanged else f"{preset}.yaml"
    return f"python -m cai_core run {path}"


def _launch(preset: str) -> None:
    """Hand in what stands in the field now, which may be newer than what was checked."""
    text, handed_in = str(st.session_state[f"{_TEXT}_{preset}"]), 0
    try:
        for spec in build_plan(text, f"{preset}.yaml", PRESETS, services.workspace()):
            submit(services.actor(), services.workspace(), spec)
            handed_in += 1
    except CaiError as error:
        before = f" {handed_in} runs before it are handed in." if handed_in else ""
        leave_message("error", "Not launched", f"{error}{before}")
        return
    go()
    leave_message("note", "Launched", f"{handed_in} runs are handed in.")
