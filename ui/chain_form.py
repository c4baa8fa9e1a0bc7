"""The playground's form for a chain: what to run, on which model, under which constitution."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.constitution.draw import list_enabled
from cai_core.pipeline.live import LiveRequest
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Constitution
from ui.chain_compare import build_requests, comparison_fields, restored_comparison
from ui.chain_prompt import (
    check_prompt,
    find_prompt,
    is_outside,
    prompt_fields,
    seed_field,
    world_note,
)
from ui.chain_settings import (
    constitution_field,
    is_demo,
    model_fields,
    principle_fields,
    restored_model,
    sampling_fields,
    start_with,
)
from ui.look import build_card, escape

DEFAULT_REVISIONS, MAX_REVISIONS = 2, 4


def restore_form(request: LiveRequest, other: LiveRequest | None = None) -> None:
    """Fill a fresh session's fields from the chain, or the two, that its URL names."""
    recipe = request.recipe
    chosen = [] if isinstance(recipe.principles, str) else list(recipe.principles)
    wanted: dict[str, Any] = {
        "prompt_text": request.prompt.text,
        "constitution": request.constitution.name,
        "revisions": recipe.revisions,
        "seed": recipe.seed,
        "temperature": recipe.policy_sampling.temperature,
        "max_tokens": recipe.policy_sampling.max_tokens,
        "order": "chosen" if chosen else recipe.principles,
        "chosen": chosen,
        "critique": recipe.critique,
    }
    wanted |= restored_model(request.model) | restored_comparison(request, other)
    for key, value in wanted.items():
        st.session_state.setdefault(key, value)


def chain_form() -> list[LiveRequest] | str:
    """Render the form. The one or two chains it asks for, or what is missing, as a sentence."""
    text = prompt_fields()
    note = st.container(key="world_note", gap="xsmall")
    constitution = constitution_field("Constitution", "constitution")
    model = model_fields("Model")
    revisions, seed = _revisions_and_seed()
    more = st.container(horizontal=True, key="more")
    if constitution is not None:
        with more.popover("Principles", icon=":material/gavel:", width="stretch"):
            show_principles(constitution)
    with more.popover("Settings", icon=":material/tune:", width="stretch"):
        principles, critique = principle_fields(constitution)
        sampling = sampling_fields()
    compared = comparison_fields(model)
    if is_demo(model):
        with note:
            world_note(text)
    if (problem := check_prompt(text)) is not None:
        return problem
    if constitution is None:
        return "Choose a constitution that can be read first."
    if not list_enabled(constitution):
        return f"Every principle of {constitution.name} is off. Switch one on, or choose another."
    if not model:
        return "Give the model's folder or URL, or choose an endpoint."
    if not principles:
        return "Settings: choose at least one principle, or draw them at random."
    recipe = ChainRecipe(
        revisions=revisions,
        seed=seed,
        principles=principles,
        critique=critique,
        policy_sampling=sampling,
        critic_sampling=sampling,
    )
    prompt = find_prompt(text)
    first = LiveRequest(prompt=prompt, constitution=constitution, model=model, recipe=recipe)
    return build_requests(first, compared)


def is_outside_demo_world(request: LiveRequest) -> bool:
    """Whether the demo model is asked something that its small world does not hold."""
    return is_outside(request.prompt.text, request.model)


def show_principles(constitution: Constitution) -> None:
    """Render the principles that are on, and how many are off."""
    enabled = list_enabled(constitution)
    cards = (
        build_card("principle", principle.id, escape(principle.text), slim=True)
        for principle in enabled
    )
    off = len(constitution.principles) - len(enabled)
    told = f'<div class="cai-quiet">{off} switched off, and never drawn.</div>' if off else ""
    st.html(f'<div class="cai-list">{"".join(cards)}{told}</div>')


def _revisions_and_seed() -> tuple[int, int]:
    with st.container(horizontal=True, key="numbers"):
        revisions = st.number_input(
            "Revisions",
            0,
            MAX_REVISIONS,
            key=start_with("revisions", DEFAULT_REVISIONS),
            persist_state="session",
            help="Rounds of critique and revision. 0 shows the first answer alone.",
        )
        seed = seed_field("On the demo model the same seed gives the same chain again.")
    return int(revisions), seed
