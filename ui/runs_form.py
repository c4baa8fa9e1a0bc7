"""A new plan of runs: from a preset or the loop's choices, as fields and as exact YAML."""

from __future__ import annotations

from dataclasses import dataclass
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
from ui.runs_evaluate import choose_evaluation
from ui.runs_fields import plan_fields
from ui.runs_forecast import show_plan_forecast
from ui.runs_list import can
from ui.runs_loop import loop_choices, show_what_it_makes
from ui.runs_qualification import show_qualifications
from ui.runs_words import KINDS, build_table

PRESETS = Path(__file__).resolve().parents[1] / "data" / "recipes"
PRESET, LOOP, EVALUATION = "1", "loop", "evaluation"
_FROM = {PRESET: "A preset", LOOP: "The whole loop", EVALUATION: "An evaluation"}
_TEXT, _FIRST = "plan_text", "demo-sl"
_BUILT = "plan_built_loop"


@dataclass(frozen=True, slots=True)
class _Draft:
    """The plan in the editor.

    Attributes:
        name: of its file, without the ending.
        origin: what the text was at first: the preset's, or as the choices made it.
        command: what does the same on the command line.
    """

    name: str
    origin: str
    command: str

    @property
    def key(self) -> str:
        return f"{_TEXT}_{self.name}"

    @property
    def ships(self) -> bool:
        return self.name not in (LOOP, EVALUATION)


def new_run(start: str) -> None:
    """The form: where to begin, fields, YAML, what it comes to, and the button that hands it in.

    Args:
        start: PRESET, LOOP or EVALUATION, as the address says.
    """
    st.button("All runs", icon=":material/arrow_back:", on_click=go)
    if not can(AccessRole.EDITOR):
        _show_preset(_preset_field())
        return
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        _start_field(start)
        draft = _choose(start)
        text = _edit(draft) if draft is not None else ""
    with right:
        if draft is not None:
            _show_check(text, draft)
        elif start == LOOP:
            show_what_it_makes()


def _start_field(start: str) -> None:
    st.session_state["plan_from"] = start
    st.segmented_control(
        "Begin with",
        list(_FROM),
        format_func=_FROM.__getitem__,
        required=True,
        key="plan_from",
        on_change=lambda: go(new=st.session_state["plan_from"]),
    )


def _choose(start: str) -> _Draft | None:
    """The plan that the form begins with; None until there is one."""
    if start == LOOP:
        return _choose_loop()
    if start == EVALUATION:
        text = choose_evaluation(f"{_TEXT}_{EVALUATION}")
        return None if text is None else _Draft(EVALUATION, text, "run")
    return _choose_preset()


def _choose_preset() -> _Draft:
    name = _preset_field()
    return _Draft(name, _read_preset(name), "run")


def _choose_loop() -> _Draft | None:
    """None until its plan is built."""
    loop_choices(f"{_TEXT}_{LOOP}", _BUILT)
    built = st.session_state.get(_BUILT)
    return None if built is None else _Draft(LOOP, str(built), "loop")


def _edit(draft: _Draft) -> str:
    key = draft.key
    st.session_state.setdefault(key, draft.origin)
    if draft.name != EVALUATION:
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
        "Back to the preset" if draft.ships else "Back to the plan as it was built",
        key="plan_reset",
        icon=":material/undo:",
        disabled=text == draft.origin,
        on_click=_reset,
        args=(key, draft.origin),
    )
    return text


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
    _show_command(text, _Draft(preset, text, "run"))
    st.code(text, language="yaml", wrap_lines=True)


def _build(text: str, name: str) -> list[RunSpec]:
    """The runs of a text from the page: names alone, see `plan_names`."""
    return build_plan(
        text,
        f"{name}.yaml",
        PRESETS,
        services.workspace(),
        names_only=True,
        any_model=can(AccessRole.ADMIN),
    )


def _show_check(text: str, draft: _Draft) -> None:
    try:
        specs = _build(text, draft.name)
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
    show_qualifications(specs)
    fits = show_plan_forecast(specs)
    anyway = not fits and st.checkbox("Launch it anyway", key="plan_anyway")
    _show_command(text, draft)
    with st.container(horizontal=True):
        st.button(
            "Launch",
            key="plan_launch",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not (fits or anyway),
            on_click=_launch,
            args=(draft, anyway),
        )
        st.download_button("Save the plan", text, file_name=f"{draft.name}.yaml", key="plan_save")
    st.html(
        '<p class="cai-quiet">Runs that have succeeded are left alone. Each id ends in a '
        "hash of the recipe: a changed recipe is another run.</p>"
    )


def _show_command(text: str, draft: _Draft) -> None:
    unchanged = draft.ships and text == draft.origin
    path = f"data/recipes/{draft.name}.yaml" if unchanged else f"{draft.name}.yaml"
    name = "The same on the command line" + ("" if unchanged else ", once the plan is saved")
    st.html(f'<span class="cai-field">{name}</span>')
    st.code(f"python -m cai_core {draft.command} {path}", language="bash", wrap_lines=True)


def _launch(draft: _Draft, anyway: bool) -> None:
    """Hand in what stands in the field now, which may be newer than what was checked."""
    text, handed_in = str(st.session_state[draft.key]), 0
    if not can(AccessRole.EDITOR):
        leave_message("error", "Not launched", "Only an editor may launch runs.")
        return
    try:
        for spec in _build(text, draft.name):
            submit(services.actor(), services.workspace(), spec, accept_risk=anyway)
            handed_in += 1
    except CaiError as error:
        before = f" {handed_in} runs before it are handed in." if handed_in else ""
        leave_message("error", "Not launched", f"{error}{before}")
        return
    go()
    leave_message("note", "Launched", f"{handed_in} runs are handed in.")
