"""A new plan of runs: from a preset, as fields and as exact YAML, checked while it is written."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cai_core.actions.jobs import submit
from cai_core.errors import CaiError
from cai_core.jobs.listing import list_jobs
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.spec import RunSpec
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import go, leave_message
from ui.look import build_card, build_error
from ui.runs_fields import plan_fields
from ui.runs_forecast import show_plan_forecast
from ui.runs_list import can
from ui.runs_words import KINDS, build_table

PRESETS = Path(__file__).resolve().parents[1] / "data" / "recipes"
_TEXT, _FIRST = "plan_text", "demo-sl"


def new_run() -> None:
    """The form: preset, fields, YAML, what it comes to, and the button that hands it in."""
    st.button("All runs", icon=":material/arrow_back:", on_click=go)
    if not can(AccessRole.EDITOR):
        _show_preset(_preset_field())
        return
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        preset = _preset_field()
        key, shipped = f"{_TEXT}_{preset}", _read_preset(preset)
        st.session_state.setdefault(key, shipped)
        plan_fields(key)
        text = st.text_area(
            "Plan",
            key=key,
            height=440,
            persist_state="session",
            help="The fields write into this text, and show what stands in it. Names of prompt "
            "sets, constitutions and models are looked up when it is checked.",
        )
        st.button(
            "Back to the preset",
            key="plan_reset",
            icon=":material/undo:",
            disabled=text == shipped,
            on_click=_reset,
            args=(key, shipped),
        )
    with right:
        _show_check(text, preset)


def _preset_field() -> str:
    return str(st.selectbox("Preset", _list_presets(), key="plan_preset", persist_state="session"))


def _list_presets() -> list[str]:
    """Plans, the demo's first; not the constitutions that lie beside them."""
    found = sorted(PRESETS.glob("*.yaml"), key=lambda path: (path.stem != _FIRST, path.stem))
    return [path.stem for path in found if "\nruns:" in path.read_text("utf-8")]


def _read_preset(preset: str) -> str:
    return (PRESETS / f"{preset}.yaml").read_text("utf-8")


def _reset(key: str, text: str) -> None:
    st.session_state[key] = text


def _show_preset(preset: str) -> None:
    """What a viewer sees: the preset and its command. Nothing of theirs is looked up."""
    words = "Who may launch runs is an editor. You can read the presets and their commands."
    st.html(build_card("note", "Read only", words, slim=True))
    text = _read_preset(preset)
    _show_command(text, preset)
    st.code(text, language="yaml", wrap_lines=True)


def _build(text: str, preset: str) -> list[RunSpec]:
    """The runs of a text from the page: names alone, see `plan_names`."""
    return build_plan(
        text,
        f"{preset}.yaml",
        PRESETS,
        services.workspace(),
        names_only=True,
        any_model=can(AccessRole.ADMIN),
    )


def _show_check(text: str, preset: str) -> None:
    try:
        specs = _build(text, preset)
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
    fits = show_plan_forecast(specs)
    anyway = not fits and st.checkbox("Launch it anyway", key="plan_anyway")
    _show_command(text, preset)
    with st.container(horizontal=True):
        st.button(
            "Launch",
            key="plan_launch",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not (fits or anyway),
            on_click=_launch,
            args=(preset, anyway),
        )
        st.download_button("Save the plan", text, file_name=f"{preset}.yaml", key="plan_save")
    st.html(
        '<p class="cai-quiet">Runs that have succeeded are left alone. Each id ends in a '
        "hash of the recipe: a changed recipe is another run.</p>"
    )


def _show_command(text: str, preset: str) -> None:
    unchanged = text == _read_preset(preset)
    path = f"data/recipes/{preset}.yaml" if unchanged else f"{preset}.yaml"
    name = "The same on the command line" + ("" if unchanged else ", once the plan is saved")
    st.html(f'<span class="cai-field">{name}</span>')
    st.code(f"python -m cai_core run {path}", language="bash", wrap_lines=True)


def _launch(preset: str, anyway: bool) -> None:
    """Hand in what stands in the field now, which may be newer than what was checked."""
    text, handed_in = str(st.session_state[f"{_TEXT}_{preset}"]), 0
    if not can(AccessRole.EDITOR):
        leave_message("error", "Not launched", "Only an editor may launch runs.")
        return
    try:
        for spec in _build(text, preset):
            submit(services.actor(), services.workspace(), spec, accept_risk=anyway)
            handed_in += 1
    except CaiError as error:
        before = f" {handed_in} runs before it are handed in." if handed_in else ""
        leave_message("error", "Not launched", f"{error}{before}")
        return
    go()
    leave_message("note", "Launched", f"{handed_in} runs are handed in.")
