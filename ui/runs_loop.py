"""The whole loop from few choices: they become a plan, which stands in the editor below them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.inference.model_folder import DEMO
from cai_core.jobs.plan_lookup import MODEL
from cai_core.jobs.plan_loop import HELD_OUT, TRAIN, build_loop
from cai_core.jobs.plan_loop_choices import LoopChoices, Size, Training, describe_size
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.qualifying import is_of_demo_world
from cai_core.pipeline.prompt_sets import SPLIT, list_versions
from cai_core.records import PromptKind
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.prompt_sets import PromptSetVersion
from ui import services
from ui.constitution_address import leave_message
from ui.look import build_card, escape
from ui.runs_names import list_constitution_names, list_models

_NAME = "loop"
_TRAININGS: dict[str, tuple[Training, ...]] = {
    "RL and DPO": ("rl", "dpo"),
    "RL": ("rl",),
    "DPO": ("dpo",),
}
_ALGORITHMS = {"rloo": "RLOO", "grpo": "GRPO"}
_SIZES: tuple[Size, ...] = ("small", "usual")
_CONSTITUTION = "harmlessness"


def loop_choices(text_key: str, built_key: str) -> None:
    """Render the choices and the button that makes a plan of them.

    Args:
        text_key: of the editor's text, which the button writes; `built_key` keeps it as it was
            built.
    """
    with st.container(border=True, key="loop_choices"):
        _show_choices()
        is_built = built_key in st.session_state
        st.button(
            "Build the plan anew" if is_built else "Build the plan",
            key="loop_build",
            type="secondary" if is_built else "primary",
            icon=":material/account_tree:",
            help="Takes the place of the text below." if is_built else None,
            on_click=_build,
            args=(text_key, built_key),
        )


def show_what_it_makes() -> None:
    """What the plan will hold, before there is one."""
    steps = (
        ("edit_note", "SL-CAI: responses, critiques, revisions; the model is tuned on the last."),
        ("balance", "Comparisons of its answers, labelled by the feedback model, both orders."),
        ("volunteer_activism", "Helpfulness comparisons, so that it does not learn to refuse all."),
        ("trophy", "A reward model and RL against it; DPO on the same labels."),
        ("fact_check", "Answers of every model to held-out prompts, to compare them by."),
    )
    lines = "".join(
        f'<li><span class="cai-icon" aria-hidden="true">{icon}</span>'
        f"<span>{escape(words)}</span></li>"
        for icon, words in steps
    )
    st.html(
        '<div class="cai-empty"><b>The whole loop, as one plan.</b> Choose, and build it: every '
        f"run stands in the editor then, to be changed before it is launched.<ol>{lines}</ol></div>"
    )


def _show_choices() -> None:
    left, right = st.columns(2)
    with left:
        base = _select(
            "Model to train",
            "base",
            list_models(asked=False),
            DEMO,
            "Answers, revises and is trained: `demo`, `run:ID` of a run that made one, a hub id.",
            free=True,
        )
        _select_prompts("Red-team prompts", "red_team", PromptKind.RED_TEAM)
        _select(
            "Constitution",
            "constitution",
            list_constitution_names(),
            _CONSTITUTION,
            "Of critiques, revisions and labels; helpfulness is labelled by another.",
        )
    with right:
        _select(
            "Feedback model",
            "feedback",
            list_models(asked=True),
            read_endpoints(services.workspace()).book.roles["feedback"],
            "Labels the comparisons. A model that judges better than the one that is trained.",
            free=True,
        )
        _select_prompts("Helpful prompts", "helpful", PromptKind.HELPFUL)
        st.text_input(
            "Name",
            _NAME,
            key="loop_name",
            persist_state="session",
            help="The ids of its runs begin with it.",
        )
    training = st.segmented_control(
        "Train on the labels by",
        list(_TRAININGS),
        default="RL and DPO",
        required=True,
        key="loop_training",
        persist_state="session",
        help="RL asks a reward model that is trained on the labels; DPO needs none.",
    )
    st.segmented_control(
        "Algorithm of RL",
        list(_ALGORITHMS),
        default="rloo",
        required=True,
        format_func=_ALGORITHMS.__getitem__,
        key="loop_algorithm",
        persist_state="session",
        disabled=training == "DPO",
        help="They differ in what a completion is measured against.",
    )
    in_world = _is_in_world(base)
    st.radio(
        "Size",
        _SIZES,
        index=1,
        format_func=str.capitalize,
        captions=[describe_size(one, in_demo_world=in_world) for one in _SIZES],
        key="loop_size",
        persist_state="session",
    )


def _read_choices() -> LoopChoices:
    """What the widgets hold now, which may be newer than what was drawn.

    Raises:
        RecipeError: one of them is empty, or the name cannot be.
    """
    state: Any = st.session_state

    def read(key: str) -> str:
        return str(state.get(f"loop_{key}") or "").strip()

    return LoopChoices(
        name=read("name"),
        constitution=read("constitution"),
        base=read("base"),
        feedback_model=read("feedback"),
        red_team=read("red_team"),
        helpful=read("helpful"),
        training=_TRAININGS[read("training")],
        algorithm=state["loop_algorithm"],
        size=state["loop_size"],
        in_demo_world=_is_in_world(read("base")),
    )


def _select(
    label: str, key: str, options: list[str], first: str, told: str, *, free: bool = False
) -> str | None:
    place = f"loop_{key}"
    held = st.session_state.get(place)
    options += [held] if held and held not in options else []
    start = options.index(first) if first in options else None
    chosen: str | None = st.selectbox(
        label,
        options,
        index=start,
        key=place,
        persist_state="session",
        help=told,
        accept_new_options=free,
    )
    return chosen


def _select_prompts(label: str, key: str, kind: PromptKind) -> None:
    """Sets with prompts of that kind to train on and to hold out."""
    try:
        every = list_versions(services.workspace())
    except CaiError as error:
        st.html(build_card("note", "The prompt sets cannot be read", escape(str(error)), slim=True))
        every = []
    names = [one.name for one in every if one.kinds.get(kind) and _has_splits(one)]
    told = f"Sets with {kind} prompts, some of them tagged `{TRAIN}` and some `{HELD_OUT}`."
    _select(label, key, names, names[0] if names else "", told)


def _has_splits(version: PromptSetVersion) -> bool:
    return all(version.splits.get(split.removeprefix(SPLIT)) for split in (TRAIN, HELD_OUT))


def _is_in_world(base: str | None) -> bool:
    """Whether the model is the demo's; what cannot be told is another one."""
    name = base or ""
    if name.startswith(RUN):
        made = services.workspace() / "runs" / name.removeprefix(RUN) / MODEL
        name = str(made.absolute())
    try:
        return is_of_demo_world(name, services.workspace())
    except CaiError:
        return False


def _build(text_key: str, built_key: str) -> None:
    try:
        text = build_loop(_read_choices())
    except CaiError as error:
        leave_message("error", "No plan could be made", str(error))
        return
    st.session_state[text_key] = st.session_state[built_key] = text
