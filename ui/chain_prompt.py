"""The playground's prompt: a sample or one's own, and whether the demo model's world holds it."""

from __future__ import annotations

import time

import streamlit as st

from cai_core.demo_world import world_check
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.records import Message, Prompt, PromptKind
from ui.chain_settings import is_demo, start_with
from ui.look import build_card, escape_markdown
from ui.samples import find_sample, load_samples

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


def prompt_fields() -> str:
    """Render the sample prompts and the field; the text."""
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


def check_prompt(text: str) -> str | None:
    """What is wrong with the prompt, as a sentence; None where nothing is."""
    if not text.strip():
        return "Write a prompt, or choose a sample, first."
    if len(text) > MAX_PROMPT:
        return f"Shorten the prompt to {MAX_PROMPT} characters; it has {len(text)}."
    return None


def find_prompt(text: str) -> Prompt:
    """The sample of that text, so that its id and kind travel with it; else a prompt of its own."""
    return find_sample(text) or build_prompt((Message("user", text),), number=0)


def is_outside(text: str, model: str) -> bool:
    """Whether the demo model is asked something that its small world does not hold."""
    return is_demo(model) and not world_check(text).inside


def note_was_seen() -> bool:
    """Whether the note about the prompt now in the field has stood there long enough to be seen.

    Leaving the field by a click on Run brings the note and the click within the same moment:
    such a click is not yet an answer to the note.
    """
    text, since = st.session_state.get("noted", ("", 0.0))
    seen = time.monotonic() - since >= SECONDS_TO_SEE
    return bool(text == st.session_state["prompt_text"] and seen)


def world_note(text: str) -> None:
    """Render what the demo model will make of a prompt outside its world; nothing inside it."""
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


def seed_field(help: str) -> int:
    """Render the seed; one for every form of the page."""
    return int(
        st.number_input(
            "Seed", 0, MAX_SEED, key=start_with("seed", 0), persist_state="session", help=help
        )
    )


def _take_sample() -> None:
    chosen = st.session_state.get("sample")
    if chosen is not None:
        _take_text(load_samples()[chosen].text)


def _leave_sample() -> None:
    st.session_state["sample"] = None


def _take_text(text: str) -> None:
    st.session_state["prompt_text"] = text
