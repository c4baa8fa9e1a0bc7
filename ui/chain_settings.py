"""What the playground's settings popover holds."""

from __future__ import annotations

import streamlit as st

from cai_core.pipeline.interactive import DEMO_MODEL, PAGE_SAMPLING
from cai_core.pipeline.recipe import PrincipleChoice
from cai_core.records import Constitution, SamplingParams

_ORDERS = {"random": "At random", "in-order": "In order", "chosen": "Chosen"}


def start_with(key: str, value: object) -> str:
    """The key of a widget, which shows `value` until something else was put there.

    A default in the widget's own call would clash with what a chain's address puts there.
    """
    st.session_state.setdefault(key, value)
    return key


def model_fields() -> str:
    """Which model: `demo`, a folder or a URL; empty where none is named."""
    demo = st.toggle("Bundled demo model", key=start_with("demo", True), persist_state="session")
    if demo:
        return DEMO_MODEL
    place = st.text_input(
        "Model folder or URL",
        key="model_place",
        persist_state="session",
        placeholder="/models/mine or http://host:8000",
        help="A folder with safetensors, or a server that speaks the OpenAI API.",
    )
    return place.strip()


def principle_fields(
    constitution: Constitution | None,
) -> tuple[PrincipleChoice, bool]:
    """How rounds get their principles, and whether a critique comes before each revision."""
    order = st.segmented_control(
        "Principles",
        list(_ORDERS),
        format_func=lambda o: _ORDERS[o],
        required=True,
        key=start_with("order", "random"),
        persist_state="session",
    )
    ids = [principle.id for principle in constitution.principles] if constitution else []
    # An id that another constitution had is no option any more.
    st.session_state["chosen"] = [i for i in st.session_state.get("chosen", []) if i in ids]
    chosen: list[str] = []
    if order == "chosen":
        chosen = st.multiselect(
            "Chosen principles, in this order",
            ids,
            key="chosen",
            persist_state="session",
            placeholder="Choose principles",
        )
    critique = st.toggle(
        "Critique before each revision",
        key=start_with("critique", True),
        persist_state="session",
    )
    if order == "chosen":
        return tuple(chosen), critique
    return "in-order" if order == "in-order" else "random", critique


def sampling_fields() -> SamplingParams:
    """How text is drawn, for every step alike."""
    temperature = st.slider(
        "Temperature",
        0.0,
        2.0,
        step=0.05,
        key=start_with("temperature", PAGE_SAMPLING.temperature),
        persist_state="session",
    )
    max_tokens = st.number_input(
        "Token limit of each step",
        1,
        4096,
        key=start_with("max_tokens", PAGE_SAMPLING.max_tokens),
        persist_state="session",
        help="A text that reaches it is cut there, and marked.",
    )
    return SamplingParams(temperature=temperature, max_tokens=int(max_tokens))
