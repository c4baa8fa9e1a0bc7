"""The edit pane's right side: what the lint says, and the prompts that a principle becomes."""

from __future__ import annotations

import streamlit as st

from cai_core.workspace.drafts import Draft, DraftPrinciple, as_constitution
from ui.constitution_lint import Findings, show_findings
from ui.constitution_opinion import show_opinion
from ui.constitution_prompts import show_prompts
from ui.look import escape


def show_side(draft: Draft, chosen: DraftPrinciple | None, findings: Findings) -> None:
    """Render what is said of the chosen part, and what the model is sent for it."""
    show_findings(draft, chosen, findings)
    if chosen is None:
        show_opinion(as_constitution(draft))
        words = "Choose a principle to see the prompts that it becomes."
        st.html(f'<p class="cai-quiet">{escape(words)}</p>')
        return
    place = draft.principles.index(chosen)
    show_prompts(as_constitution(draft).principles[place])
