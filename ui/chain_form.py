"""The playground's form: what to run, on which model, under which constitution."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from cai_core.demo_world import world_check
from cai_core.pipeline.live import LiveRequest
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Constitution, Message, Prompt, PromptKind
from ui.chain_compare import build_requests, comparison_fields, restored_comparison
from ui.chain_settings import (
    constitution_field,
    is_demo,
    model_fields,
    principle_fields,
    restored_model,
    sampling_fields,
    start_with,
)
from ui.look import build_card, escape, escape_markdown
from ui.samples import find_sample, load_samples

DEFAULT_REVISIONS, MAX_REVISIONS = 2, 4
MAX_PROMPT = 8000
MAX_SEED = 2**31 - 1
NEAREST_SHOWN = 3
# One that every round has something to say about; the first of a file would be chance.
FIRST_PROMPT = "What is the best way to stop taking my heart tablets?"
SECONDS_TO_SEE = 1.0
_KINDS = {
    PromptKind.RED_TEAM: "Red-team",
    PromptKind.HELPFUL: "Helpful",
    PromptKind.BORDERLINE: "Borderline",
    PromptKind.UNKNOWN: "Other",
}


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
    text = _prompt_fields()
    note = st.container(key="world_note", gap="xsmall")
    constitution = constitution_field("Constitution", "constitution")
    model = model_fields("Model")
    revisions, seed = _revisions_and_seed()
    more = st.container(horizontal=True, key="more")
    if constitution is not None:
        with more.popover("Principles", icon=":material/gavel:", width="stretch"):
            _show_principles(constitution)
    with more.popover("Settings", icon=":material/tune:", width="stretch"):
        principles, critique = principle_fields(constitution)
        sampling = sampling_fields()
    compared = comparison_fields(model)
    if is_demo(model):
        with note:
            _world_note(text)
    if not text.strip():
        return "Write a prompt, or choose a sample, first."
    if len(text) > MAX_PROMPT:
        return f"Shorten the prompt to {MAX_PROMPT} characters; it has {len(text)}."
    if constitution is None:
        return "Choose a constitution that can be read first."
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
    prompt = _as_prompt(text)
    first = LiveRequest(prompt=prompt, constitution=constitution, model=model, recipe=recipe)
    return build_requests(first, compared)


def _prompt_fields() -> str:
    samples = load_samples()
    st.selectbox(
        "Sample prompts",
        range(len(samples)),
        index=None,
        format_func=lambda i: f"{_KINDS[samples[i].kind]} · {samples[i].text}",
        placeholder="Choose one, or write below",
        key="sample",
        on_change=_take_sample,
        filter_mode="contains",
    )
    return st.text_area(
        "Prompt",
        key=start_with("prompt_text", FIRST_PROMPT),
        height=110,
        placeholder="What a person might ask the model",
        on_change=_leave_sample,
        persist_state="session",
    )


def _take_sample() -> None:
    chosen = st.session_state.get("sample")
    if chosen is not None:
        _take_text(load_samples()[chosen].text)


def _leave_sample() -> None:
    st.session_state["sample"] = None


def _take_text(text: str) -> None:
    st.session_state["prompt_text"] = text


def _as_prompt(text: str) -> Prompt:
    """The sample of that text, so that its id and kind travel with it; else a prompt of its own."""
    return find_sample(text) or build_prompt((Message("user", text),), number=0)


def _show_principles(constitution: Constitution) -> None:
    cards = (
        build_card("principle", principle.id, escape(principle.text), slim=True)
        for principle in constitution.principles
    )
    st.html(f'<div class="cai-list">{"".join(cards)}</div>')


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
        seed = st.number_input(
            "Seed",
            0,
            MAX_SEED,
            key=start_with("seed", 0),
            persist_state="session",
            help="On the demo model the same seed gives the same chain again.",
        )
    return int(revisions), int(seed)


def is_outside_demo_world(request: LiveRequest) -> bool:
    """Whether the demo model is asked something that its small world does not hold."""
    return is_demo(request.model) and not world_check(request.prompt.text).inside


def note_was_seen() -> bool:
    """Whether the note about the prompt now in the field has stood there long enough to be seen.

    Leaving the field by a click on Run brings the note and the click within the same moment:
    such a click is not yet an answer to the note.
    """
    text, since = st.session_state.get("noted", ("", 0.0))
    seen = time.monotonic() - since >= SECONDS_TO_SEE
    return bool(text == st.session_state["prompt_text"] and seen)


def _world_note(text: str) -> None:
    check = world_check(text)
    if check.inside or not text.strip():
        return
    if st.session_state.get("noted", ("", 0.0))[0] != text:
        st.session_state["noted"] = (text, time.monotonic())
    st.html(
        build_card(
            "note",
            "Outside the demo model's world",
            "The demo model knows only a small made-up world, and will answer with something "
            "from inside it." + (" These are close, and inside:" if check.nearest else ""),
        )
    )
    for number, nearest in enumerate(check.nearest[:NEAREST_SHOWN]):
        st.button(
            escape_markdown(nearest),
            key=f"nearest_{number}",
            width="stretch",
            on_click=_take_text,
            args=(nearest,),
        )
