"""Saved views of an explorer: a popover to save the filter, open one, delete one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.actions.saved_views import delete_view, save_view
from cai_core.errors import CaiError
from cai_core.records import AccessRole
from cai_core.workspace.saved_views import MAX_NAME, SavedView, list_saved_views
from ui import services
from ui.constitution_address import describe_time
from ui.explorer_fields import Explorer, describe_filter
from ui.look import build_error, escape, escape_markdown

_NAME, _FAILED = "view_name", "view_failed"
_EMPTY = "Filter something first."


def show_saved_views(explorer: Explorer, chosen: Any) -> None:
    """Render the popover.

    Args:
        chosen: the page's filter, which is what gets saved.
    """
    actor = services.actor()
    may = actor.role.includes(AccessRole.REVIEWER)
    try:
        views = list_saved_views(services.workspace(), explorer.page)
    except CaiError as error:
        st.html(build_error("The saved views cannot be read", str(error)))
        return
    label = f"Saved views ({len(views)})" if views else "Saved views"
    with st.popover(label, icon=":material/bookmarks:"):
        if failed := st.session_state.pop(_FAILED, None):
            st.html(build_error("Not done", failed))
        _show_form(explorer, chosen, may=may)
        for view in views:
            mine = view.actor == actor.name or actor.role.includes(AccessRole.EDITOR)
            _show_view(explorer, view, may=may and mine)
        if not views:
            st.html('<div class="cai-quiet">None is saved here yet.</div>')


def _show_form(explorer: Explorer, chosen: Any, *, may: bool) -> None:
    query = explorer.build(chosen)
    words = describe_filter(explorer, chosen) or f"all {explorer.rows}"
    st.html(f'<div class="cai-quiet cai-wrap">This view: {escape(words)}</div>')
    with st.form("view_form", border=False):
        st.text_input("Name", key=_NAME, max_chars=MAX_NAME)
        st.form_submit_button(
            "Save this view",
            icon=":material/bookmark_add:",
            disabled=not may or not query,
            help=services.explain(AccessRole.REVIEWER) or ("" if query else _EMPTY) or None,
            on_click=_save,
            args=(explorer.page, query),
        )


def _show_view(explorer: Explorer, view: SavedView, *, may: bool) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", wrap=False, key=f"view_{view.view}"
    ):
        with st.container(gap=None):
            st.button(
                escape_markdown(view.name),
                key=f"view_open_{view.view}",
                type="tertiary",
                icon=":material/bookmark:",
                on_click=_open,
                args=(explorer, view),
            )
            told = describe_filter(explorer, explorer.parse(view.query))
            who = f"{told} · {view.actor}, {describe_time(view.at)}"
            st.html(f'<div class="cai-quiet cai-wrap">{escape(who)}</div>')
        st.button(
            "Delete",
            key=f"view_delete_{view.view}",
            icon=":material/delete:",
            type="tertiary",
            disabled=not may,
            on_click=_delete,
            args=(view.view,),
        )


def _open(explorer: Explorer, view: SavedView) -> None:
    # What was saved may be of an older version: only what is a filter today is asked for.
    st.query_params.from_dict(explorer.build(explorer.parse(view.query)))


def _save(page: str, query: dict[str, str]) -> None:
    name = st.session_state.get(_NAME) or ""
    try:
        save_view(services.actor(), services.workspace(), page=page, name=name, query=query)
    except CaiError as error:
        st.session_state[_FAILED] = str(error)
        return
    st.session_state[_NAME] = ""


def _delete(view: str) -> None:
    try:
        delete_view(services.actor(), services.workspace(), view=view)
    except CaiError as error:
        st.session_state[_FAILED] = str(error)
