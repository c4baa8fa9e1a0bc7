"""What the playground's settings popover holds."""

from __future__ import annotations

import streamlit as st

from cai_core.errors import CaiError
from cai_core.pipeline.interactive import DEMO_MODEL, PAGE_SAMPLING
from cai_core.pipeline.recipe import PrincipleChoice
from cai_core.records import Constitution, SamplingParams
from cai_core.workspace.versions import NameInfo, list_names, resolve_constitution
from ui import services
from ui.look import build_error

_ORDERS = {"random": "At random", "in-order": "In order", "chosen": "Chosen"}


def start_with(key: str, value: object) -> str:
    """The key of a widget, which shows `value` until something else was put there.

    A default in the widget's own call would clash with what a chain's address puts there.
    """
    st.session_state.setdefault(key, value)
    return key


def constitution_field(label: str, key: str, beside: str | None = None) -> Constitution | None:
    """Choose a constitution by name: its newest version. None, with the reason shown, if broken.

    Args:
        beside: the name already chosen elsewhere; the field starts with another one.
    """
    listed = {info.name: info for info in list_names(services.workspace())}
    if st.session_state.get(key) not in listed:
        st.session_state.pop(key, None)
        if others := [name for name in listed if beside and name != beside]:
            st.session_state[key] = others[0]
    name = st.selectbox(
        label,
        list(listed),
        format_func=lambda n: f"{n} ({_count(listed[n])})",
        key=key,
        persist_state="session",
        placeholder="None found",
    )
    if name is None:
        return None
    try:
        return resolve_constitution(services.workspace(), name)
    except CaiError as error:
        st.html(build_error("This constitution cannot be read", str(error)))
        return None


def _count(info: NameInfo) -> str:
    if info.head is None:
        return "cannot be read"
    count = info.head.principles
    return f"{count} {'principle' if count == 1 else 'principles'}"


def model_fields(suffix: str = "", *, demo: bool = True) -> str:
    """Which model: `demo`, a folder or a URL; empty where none is named.

    Args:
        suffix: tells the second model's fields from the first's.
        demo: what the switch shows at first.
    """
    bundled = st.toggle(
        "Bundled demo model", key=start_with(f"demo{suffix}", demo), persist_state="session"
    )
    if bundled:
        return DEMO_MODEL
    place = st.text_input(
        "Model folder or URL",
        key=f"model_place{suffix}",
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
