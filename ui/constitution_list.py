"""The constitutions page's left side: what constitutions and open drafts there are."""

from __future__ import annotations

import streamlit as st

from cai_core.actions.constitutions import save_draft
from cai_core.errors import CaiError
from cai_core.workspace.drafts import Draft, build_draft, build_draft_principle
from cai_core.workspace.versions import NameInfo
from ui import services
from ui.constitution_address import (
    build_key,
    can_edit,
    describe_count,
    describe_time,
    go,
    leave_message,
)
from ui.look import build_badge, build_card, escape, escape_markdown


def constitution_list(names: list[NameInfo], selected: str | None) -> None:
    """Render one button a constitution; choosing one puts it into the URL."""
    if can_edit():
        st.button(
            "New constitution", key="new", icon=":material/add:", width="stretch", on_click=_new
        )
        st.button(
            "Import a file",
            key="import",
            icon=":material/upload_file:",
            width="stretch",
            on_click=go,
            kwargs={"step": "import"},
        )
    for info in names:
        on = info.name == selected
        with st.container(gap=None, key=build_key("cn_row_on" if on else "cn_row", info.name)):
            st.button(
                escape_markdown(info.name),
                key=build_key("open", info.name),
                type="tertiary",
                width="stretch",
                on_click=go,
                kwargs={"constitution": info.name},
            )
            st.html(_facts(info))


def draft_list(drafts: list[Draft], damaged: int) -> None:
    """Render one button a draft; nothing where there is none."""
    if not drafts and not damaged:
        return
    st.html('<div class="cai-field">Open drafts</div>')
    for draft in drafts:
        with st.container(gap=None, key=f"cn_row_{draft.draft_id}"):
            st.button(
                escape_markdown(draft.name or "(no name yet)"),
                key=f"draft_{draft.draft_id}",
                icon=":material/edit:",
                type="tertiary",
                width="stretch",
                on_click=go,
                kwargs={"draft": draft.draft_id},
            )
            words = f"{draft.actor}, {describe_time(draft.updated_at)}"
            st.html(f'<div class="cai-quiet">{escape(words)}</div>')
    if damaged:
        words = (
            f"{describe_count(damaged, 'file')} under drafts/ cannot be read, and is left alone."
        )
        st.html(build_card("note", "Damaged drafts", escape(words), slim=True))


def begin(draft: Draft, *, principle: str = "") -> None:
    """Keep a fresh draft and open it. For callbacks."""
    try:
        save_draft(services.actor(), services.workspace(), draft)
    except CaiError as error:
        leave_message("error", "No draft begun", str(error))
        return
    go(draft=draft.draft_id, **({"principle": principle} if principle else {}))


def show_nothing() -> None:
    """What stands where a constitution will be, while there is none."""
    st.html(
        '<div class="cai-empty"><b>There is no constitution yet.</b><br>A constitution is a list '
        "of principles by which a model critiques and revises its own answers.</div>"
    )
    if can_edit():
        st.button(
            "Write the first constitution",
            key="first",
            type="primary",
            icon=":material/add:",
            on_click=_new,
        )


def _new() -> None:
    draft = build_draft(None, base_hash=None)
    begin(
        Draft(
            draft_id=draft.draft_id, name="", base_hash=None, principles=(build_draft_principle(),)
        )
    )


def _facts(info: NameInfo) -> str:
    if info.head is None:
        return f'<div class="cai-quiet">{build_badge("cannot be read", dashed=True)}</div>'
    counts = [describe_count(info.head.principles, "principle")]
    if info.versions > 1:
        counts.append(describe_count(info.versions, "version"))
    badges = build_badge("shipped" if info.head.shipped else "edited", quiet=True)
    if info.error is not None:
        badges += " " + build_badge("cannot be read", dashed=True)
    return f'<div class="cai-quiet">{escape(" · ".join(counts))} {badges}</div>'
