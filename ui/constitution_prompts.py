"""The prompts that the chosen principle becomes, as the model sees them."""

from __future__ import annotations

import streamlit as st

from cai_core.pipeline.step_preview import PromptPreview, build_prompt_previews
from cai_core.records import Principle
from ui.look import Thing, build_card, build_error, escape
from ui.samples import load_samples

_TITLES = {
    "critique": "Critique: what the model is sent",
    "revision": "Revision: what the model is sent",
    "comparison": "Comparison: what the feedback model is sent",
}
_THINGS: dict[str, Thing] = {
    "critique": "critique",
    "revision": "revision",
    "comparison": "principle",
}
_TEMPLATES = {"chat": "Chat", "paper": "Paper"}


def show_prompts(principle: Principle) -> None:
    """Render each step's prompt, with the principle's own words marked."""
    template = st.segmented_control(
        "Template",
        list(_TEMPLATES),
        format_func=lambda t: _TEMPLATES[t],
        key="cn_template",
        default="chat",
        required=True,
        persist_state="session",
        help="Chat is for instruct models; Paper is plain continuation, as in the paper.",
    )
    previews = build_prompt_previews(
        principle, load_samples()[0].text, "paper" if template == "paper" else "chat"
    )
    cards = "".join(_build(preview) for preview in previews)
    st.html(f'<div class="cai-list cai-sent">{cards}</div>')
    if all(preview.step != "comparison" for preview in previews):
        words = "Without a comparison request no preference labels are made with this principle."
        st.html(f'<div class="cai-quiet">{escape(words)}</div>')


def _build(preview: PromptPreview) -> str:
    title = _TITLES[preview.step]
    if preview.problem is not None:
        return build_error(title, preview.problem)
    turns = "".join(
        f'<span class="cai-field">{escape(turn.role)}</span>'
        f'<span class="cai-body">{_mark(turn.content, preview.request)}</span>'
        for turn in preview.turns
    )
    return build_card(_THINGS[preview.step], title, turns, slim=True)


def _mark(text: str, request: str) -> str:
    """The text with the principle's words in it marked, where they stand for the last time."""
    before, found, after = text.rpartition(request) if request.strip() else (text, "", "")
    if not found:
        return escape(text)
    return f"{escape(before)}<ins>{escape(found)}</ins>{escape(after)}"
