"""Evaluations from few choices: they become a plan, which stands in the editor below them."""

from __future__ import annotations

import streamlit as st

from cai_core.jobs.evidence_plan import PRESETS, build_evaluation_plan, get_preset
from cai_core.jobs.evidence_study import Method
from cai_core.pipeline.evaluate import shorten_model
from ui.evidence_run import choose_feedback
from ui.look import build_card
from ui.runs_names import list_constitution_names, list_models

_MODELS, _PRESET, _JUDGE = "evaluate_models", "evaluate_preset", "evaluate_judge"
_SYSTEM, _SEED = "evaluate_system", "evaluate_seed"


def choose_evaluation(text_key: str) -> str | None:
    """Render the choices; the plan that they come to, None while no model is chosen.

    Args:
        text_key: of the editor's text, which a changed choice writes anew.
    """
    with st.container(border=True, key="evaluate_choices"):
        models = st.multiselect(
            "Models",
            list_models(asked=True),
            ["demo"],
            format_func=lambda name: name.removeprefix("run:"),
            key=_MODELS,
        )
        preset = st.selectbox(
            "What is asked",
            [one.name for one in PRESETS],
            index=1,
            format_func=lambda name: get_preset(name).label,
            key=_PRESET,
        )
        left, right = st.columns(2)
        with left:
            judge = choose_feedback("Judge", _JUDGE, nobody="Nobody: oracle and phrases alone")
            seed = st.number_input("Seed", 0, 2**31 - 1, 0, key=_SEED)
        with right:
            system = st.selectbox(
                "System prompt",
                ["", *list_constitution_names()],
                format_func=lambda name: name or "None",
                key=_SYSTEM,
                help="A constitution that stands before every conversation.",
            )
    if not models:
        st.html(build_card("note", "Choose", "At least one model."))
        return None
    methods = [
        Method(label=shorten_model(name.removeprefix("run:")), model=name, system=system or None)
        for name in models
    ]
    text = build_evaluation_plan(
        methods, get_preset(preset), judge=judge or None, seed=int(seed), name="evaluate"
    )
    built = f"{text_key}_from_choices"
    if st.session_state.get(built) != text:
        st.session_state[built] = st.session_state[text_key] = text
    return text
