"""The playground's form for a comparison: which prompt, which ways, which models."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from cai_core.constitution.draw import list_enabled
from cai_core.errors import CaiError
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.ways_live import WaysRequest
from cai_core.pipeline.ways_recipe import MOST_N, N, Way, WaysRecipe, check_constitution
from cai_core.records import Constitution
from ui.chain_form import show_principles
from ui.chain_prompt import check_prompt, find_prompt, prompt_fields, seed_field, world_note
from ui.chain_settings import (
    constitution_field,
    is_demo,
    model_fields,
    restored_model,
    sampling_fields,
    start_with,
)
from ui.ways_words import DEMO_SYSTEM_PROMPT, NAMES, STYLE

Mode = Literal["chain", "ways"]
_MODES: dict[Mode, str] = {"chain": "Critique and revise", "ways": "Compare ways"}
# The demo model's context is 512 tokens, and the longest shipped constitution takes 390 of them.
MAX_TOKENS = 96
_FIRST_WAYS = [Way.PLAIN, Way.SYSTEM_PROMPT, Way.BEST_OF_N]


def find_mode() -> Mode:
    """What the page does: as was chosen here, else as the address says."""
    address = st.query_params
    asked = address.get("mode", "ways" if "ways" in address and "run" not in address else "chain")
    held = st.session_state.get("mode", asked)
    return "ways" if held == "ways" else "chain"


def mode_field() -> Mode:
    """Render the choice of what the page does; the address says it, too."""
    key = start_with("mode", find_mode())
    mode: Mode = st.segmented_control(
        "What to do",
        list(_MODES),
        format_func=lambda m: _MODES[m],
        required=True,
        key=key,
        persist_state="session",
        on_change=_address_mode,
        label_visibility="collapsed",
        width="stretch",
    )
    return mode


def restore_ways(request: WaysRequest) -> None:
    """Fill a fresh session's fields from the comparison that its URL names."""
    recipe = request.recipe
    chosen = [] if isinstance(recipe.principles, str) else list(recipe.principles)
    wanted: dict[str, Any] = {
        "prompt_text": request.prompt.text,
        "constitution": request.constitution.name,
        "seed": recipe.seed,
        "ways": list(recipe.ways),
        "ways_n": recipe.n,
        "ways_principles": chosen,
        "temperature_ways": recipe.sampling.temperature,
        "max_tokens_ways": recipe.sampling.max_tokens,
    }
    wanted |= restored_model(recipe.model)
    if recipe.other_model:
        wanted |= restored_model(recipe.other_model, "_other")
    if recipe.feedback_model:
        wanted |= restored_model(recipe.feedback_model, "_feedback")
    for key, value in wanted.items():
        st.session_state.setdefault(key, value)


def ways_form() -> WaysRequest | str:
    """Render the form. The comparison it asks for, or what is missing, as a sentence."""
    st.html(STYLE)
    text = prompt_fields()
    note = st.container(key="world_note", gap="xsmall")
    constitution = constitution_field("Constitution", "constitution")
    model = model_fields("Model")
    ways = _ways_field(model)
    other = feedback = ""
    if Way.OTHER_MODEL in ways:
        other = model_fields("The other model", "_other", beside=model)
    n = N
    if Way.BEST_OF_N in ways:
        n, feedback = _best_fields()
    seed = seed_field("Every way draws with the same seed.")
    principles, sampling = _more(constitution, judged=Way.BEST_OF_N in ways)
    if is_demo(model):
        with note:
            world_note(text)
    problem = check_prompt(text) or _check(constitution, model, ways, other, feedback)
    if problem is not None or constitution is None:
        return problem or "Choose a constitution that can be read first."
    prompt = find_prompt(text)
    try:
        recipe = WaysRecipe(
            ways=ways,
            model=model,
            other_model=other or None,
            feedback_model=feedback or None,
            constitution=constitution.name,
            constitution_hash=constitution.hash,
            prompts=prompt.prompt_id,
            prompts_hash=prompts_hash([prompt]),
            n=n,
            principles=principles or "random",
            sampling=sampling,
            seed=seed,
        )
        check_constitution(recipe, constitution)
    except CaiError as error:
        return str(error)
    return WaysRequest(prompt=prompt, constitution=constitution, recipe=recipe)


def _ways_field(model: str) -> tuple[Way, ...]:
    chosen = st.pills(
        "Ways to answer",
        list(Way),
        selection_mode="multi",
        format_func=lambda way: NAMES[way],
        key=start_with("ways", _FIRST_WAYS),
        persist_state="session",
        help="The same prompt and seed, answered side by side.",
    )
    if Way.SYSTEM_PROMPT in chosen and is_demo(model):
        st.html(f'<div class="cai-quiet" role="note">{DEMO_SYSTEM_PROMPT}</div>')
    return tuple(way for way in Way if way in chosen)


def _best_fields() -> tuple[int, str]:
    n = int(
        st.number_input(
            "Samples (n)",
            1,
            MOST_N,
            key=start_with("ways_n", N),
            persist_state="session",
            help="Each sample is compared with each other one, in both orders: n(n − 1) questions.",
        )
    )
    return n, model_fields("Feedback model", "_feedback", role="feedback")


def _more(constitution: Constitution | None, *, judged: bool) -> tuple[tuple[str, ...], Any]:
    more = st.container(horizontal=True, key="more")
    if constitution is not None:
        with more.popover("Principles", icon=":material/gavel:", width="stretch"):
            show_principles(constitution)
    chosen: list[str] = []
    with more.popover("Settings", icon=":material/tune:", width="stretch"):
        if judged and constitution is not None:
            chosen = _judging_field(constitution)
        sampling = sampling_fields("_ways", MAX_TOKENS, each="answer")
    return tuple(chosen), sampling


def _judging_field(constitution: Constitution) -> list[str]:
    ids = [p.id for p in list_enabled(constitution) if p.comparison_request.strip()]
    held = st.session_state.get("ways_principles", [])
    st.session_state["ways_principles"] = [name for name in held if name in ids]
    return st.multiselect(
        "Judge by these principles only",
        ids,
        key="ways_principles",
        persist_state="session",
        placeholder="One is drawn for each comparison",
    )


def _check(
    constitution: Constitution | None, model: str, ways: tuple[Way, ...], other: str, feedback: str
) -> str | None:
    if constitution is None:
        return "Choose a constitution that can be read first."
    if not model:
        return "Give the model's folder or URL, or choose an endpoint."
    if not ways:
        return "Choose at least one way to answer."
    if Way.OTHER_MODEL in ways and not other:
        return "Give the other model's folder or URL, or choose one that a run has made."
    if Way.BEST_OF_N in ways and not feedback:
        return "Give the feedback model's folder or URL, or choose an endpoint."
    return None


def _address_mode() -> None:
    """Both modes' results stay in the address, so that nothing is lost by looking at the other."""
    st.query_params["mode"] = st.session_state["mode"]
