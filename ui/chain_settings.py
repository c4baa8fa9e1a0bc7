"""The playground's choices: constitution, model, principles, sampling."""

from __future__ import annotations

import streamlit as st

from cai_core.constitution.draw import list_enabled
from cai_core.errors import CaiError
from cai_core.inference.endpoints import ModelRole
from cai_core.jobs.looking import list_made_models
from cai_core.pipeline.interactive import DEMO_MODEL, PAGE_SAMPLING
from cai_core.pipeline.recipe import PrincipleChoice
from cai_core.records import Constitution, SamplingParams
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.version_labels import read_all_labels
from cai_core.workspace.versions import NameInfo, list_names, resolve_constitution
from ui import services
from ui.constitution_address import FIRST
from ui.look import build_card, build_error
from ui.models_words import describe_model

# The last choice among the endpoints' names, and no name itself.
ELSEWHERE = "another folder or URL…"
_ORDERS = {"random": "At random", "in-order": "In order", "chosen": "Chosen"}


def start_with(key: str, value: object) -> str:
    """The key of a widget, which shows `value` until something else was put there.

    A default in the widget's own call would clash with what a chain's address puts there.
    """
    st.session_state.setdefault(key, value)
    return key


def constitution_field(label: str, key: str, beside: str | None = None) -> Constitution | None:
    """Choose a constitution: by name its newest version, by `NAME@LABEL` the labelled one.

    None, with the reason shown, if broken. The page's address may name the first one.

    Args:
        beside: the name already chosen elsewhere; the field starts with another one.
    """
    listed = _list_references()
    asked = st.query_params.get("constitution", "") if key == "constitution" else ""
    if asked in listed and st.session_state.get("asked_constitution") != asked:
        st.session_state[key] = st.session_state["asked_constitution"] = asked
    if st.session_state.get(key) not in listed:
        st.session_state.pop(key, None)
        if others := [name for name in listed if beside and name != beside and "@" not in name]:
            st.session_state[key] = others[0]
        elif FIRST in listed:
            st.session_state[key] = FIRST
    name = st.selectbox(
        label,
        list(listed),
        format_func=lambda ref: _describe(ref, listed[ref]),
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


def _list_references() -> dict[str, NameInfo]:
    """Each name, and behind it each of its labels as `NAME@LABEL`."""
    labels = read_all_labels(services.workspace())
    listed: dict[str, NameInfo] = {}
    for info in list_names(services.workspace()):
        listed[info.name] = info
        listed |= {f"{info.name}@{label}": info for label in labels.get(info.name, {})}
    return listed


def _describe(ref: str, info: NameInfo) -> str:
    return ref if "@" in ref else f"{ref} ({_count(info)})"


def _count(info: NameInfo) -> str:
    if info.head is None:
        return "cannot be read"
    count = info.head.principles
    return f"{count} {'principle' if count == 1 else 'principles'}"


def model_fields(
    label: str, suffix: str = "", *, beside: str | None = None, role: ModelRole = "policy"
) -> str:
    """Which model: an endpoint's name, a folder or a URL; empty where none is named.

    Models that runs of this workspace made are offered by their run's id.

    Args:
        suffix: tells the second model's fields from the first's.
        beside: the model already chosen elsewhere; the field starts with another one.
        role: whose endpoint the field starts with.
    """
    file = read_endpoints(services.workspace())
    endpoints, key = file.book.endpoints, f"model{suffix}"
    made = list_made_models(services.workspace())
    default = file.book.roles[role]
    if beside is not None:
        default = next((name for name in endpoints if name != beside), ELSEWHERE)
    held, was = st.session_state.get(key), st.session_state.get(f"{key}_default")
    if held not in (*endpoints, *made, ELSEWHERE) or (held == was and was != default):
        st.session_state[key] = default  # nobody chose yet, or what they chose is gone
    st.session_state[f"{key}_default"] = default
    chosen = st.selectbox(
        label,
        [*endpoints, *made, ELSEWHERE],
        format_func=lambda n: f"{n} · {describe_model(endpoints[n])}" if n in endpoints else n,
        key=key,
        persist_state="session",
    )
    if file.error is not None:
        words = "endpoints.yaml cannot be read; the page Models says why."
        st.html(build_card("note", "Only the demo model can be named", words, slim=True))
    if chosen in made:
        return str(made[chosen].absolute())
    if chosen != ELSEWHERE:
        return str(chosen)
    place = st.text_input(
        "Model folder or URL",
        key=f"model_place{suffix}",
        persist_state="session",
        placeholder="/models/mine or http://host:8000",
        help="A folder with safetensors, or a server that speaks the OpenAI API.",
    )
    return place.strip()


def restored_model(model: str, suffix: str = "") -> dict[str, str]:
    """The fields' values for a model that a chain ran on."""
    if model in read_endpoints(services.workspace()).book.endpoints:
        return {f"model{suffix}": model}
    for run, folder in list_made_models(services.workspace()).items():
        if str(folder.absolute()) == model:
            return {f"model{suffix}": run}
    return {f"model{suffix}": ELSEWHERE, f"model_place{suffix}": model}


def is_demo(model: str) -> bool:
    """Whether the bundled demo model answers under that name."""
    config = read_endpoints(services.workspace()).book.endpoints.get(model)
    return config is not None and (config.kind, config.model) == ("bundled", DEMO_MODEL)


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
    # One that is off is never drawn, and a recipe that names it is refused.
    ids = [principle.id for principle in list_enabled(constitution)] if constitution else []
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


def sampling_fields(
    suffix: str = "", max_tokens: int = PAGE_SAMPLING.max_tokens, *, each: str = "step"
) -> SamplingParams:
    """How text is drawn, for every step or answer alike.

    Args:
        suffix: tells these fields from the others of the page.
        each: what the token limit is of.
    """
    temperature = st.slider(
        "Temperature",
        0.0,
        2.0,
        step=0.05,
        key=start_with(f"temperature{suffix}", PAGE_SAMPLING.temperature),
        persist_state="session",
    )
    limit = st.number_input(
        f"Token limit of each {each}",
        1,
        4096,
        key=start_with(f"max_tokens{suffix}", max_tokens),
        persist_state="session",
        help="A text that reaches it is cut there, and marked.",
    )
    return SamplingParams(temperature=temperature, max_tokens=int(limit))


def name_model(model: str) -> str:
    """What people call a model: its endpoint, the run that made it, or where it answers."""
    if is_demo(model):
        return "the demo model"
    fields = restored_model(model)
    return model if fields["model"] == ELSEWHERE else fields["model"]
