"""A draft tried before it is saved: the form, then what it changes in what a model says."""

from __future__ import annotations

import streamlit as st

from cai_core.constitution.model import with_hash
from cai_core.workspace.draft_check import DraftProblem
from cai_core.workspace.drafts import Draft, as_constitution
from cai_core.workspace.tries import find_try, list_tries
from cai_core.workspace.versions import SHORT, VersionInfo
from ui import services
from ui.constitution_address import Address, go, name_version
from ui.constitution_study import show_study
from ui.constitution_tries import TryForm, try_form
from ui.look import build_card, build_error, escape


def show_draft_try(
    draft: Draft,
    address: Address,
    head: VersionInfo | None,
    problems: tuple[DraftProblem, ...],
) -> None:
    """Render a draft's try: how it is begun, or the one that the address names.

    Args:
        head: the newest version of the draft's name, None where nobody has saved it.
    """
    shows_result = bool(address.before and address.after)
    _buttons(draft, shows_result=shows_result)
    st.html('<h2 class="cai-h2">What it changes in what a model says</h2>')
    if problems:
        lines = "\n".join(problem.message for problem in problems)
        st.html(build_error("To mend before it can be tried", lines))
        return
    text = with_hash(as_constitution(draft))
    if shows_result:
        tried = find_try(services.workspace(), address.before, address.after)
        if tried is not None and tried.version != text.hash:
            words = "You changed the draft since. Below is what its older text did."
            st.html(build_card("note", "Not the text that you have now", escape(words)))
        show_study(address.before, address.after)
        return
    choices = _list_choices(draft, head, text.hash)
    if not choices:
        words = (
            "This constitution is new: there is no older text to try it against. Save it first, "
            "or fork one that is there."
        )
        st.html(f'<p class="cai-lead">{escape(words)}</p>')
        return
    try_form(
        TryForm(key=f"try_{draft.draft_id}", text=text, choices=choices, draft_id=draft.draft_id)
    )
    _earlier(draft, text.hash)


def _buttons(draft: Draft, *, shows_result: bool) -> None:
    """What stands out is the next step: the try, and once it is there, the save."""
    with st.container(horizontal=True, key="cn_bar"):
        st.button(
            "Back to editing",
            key="back",
            icon=":material/arrow_back:",
            on_click=go,
            kwargs={"draft": draft.draft_id},
        )
        if shows_result:
            st.button(
                "Another try",
                key="again",
                icon=":material/science:",
                on_click=go,
                kwargs={"draft": draft.draft_id, "step": "try"},
            )
        st.button(
            "Review and save",
            key="review",
            type="primary" if shows_result else "secondary",
            icon=":material/difference:",
            on_click=go,
            kwargs={"draft": draft.draft_id, "step": "review"},
        )


def _list_choices(draft: Draft, head: VersionInfo | None, own: str) -> dict[str, str]:
    """What the draft was begun from first, then what is newest now."""
    choices: dict[str, str] = {}
    if draft.base_hash is not None:
        choices[draft.base_hash] = f"what you began from, {draft.base_hash[:SHORT]}"
    elif draft.forked_from is not None:
        name, _, origin = draft.forked_from.partition("@")
        choices[draft.forked_from] = f"{name} {origin[:SHORT]}, which you forked"
    if head is not None and draft.base_hash is not None and head.hash not in choices:
        choices[head.hash] = f"the newest, {name_version(head)}"
    return {ref: told for ref, told in choices.items() if ref != own}


def _earlier(draft: Draft, own: str) -> None:
    """Tries of this very text."""
    for place, tried in enumerate(list_tries(services.workspace(), draft.name, own)):
        st.button(
            f"Tried against {tried.against_name} {tried.against[:SHORT]} on {tried.count} prompts",
            key=f"earlier_{place}",
            type="tertiary",
            icon=":material/science:",
            on_click=go,
            kwargs={
                "draft": draft.draft_id,
                "step": "try",
                "before": tried.before_run,
                "after": tried.after_run,
            },
        )
