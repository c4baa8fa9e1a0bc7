"""The models page's right side: who plays which role, and the file that all of it stands in."""

from __future__ import annotations

import streamlit as st

from cai_core.actions.endpoints import set_role
from cai_core.errors import CaiError
from cai_core.inference.endpoints import ROLES, ModelRole, dump_book
from cai_core.records import AccessRole
from cai_core.workspace.endpoints import EndpointsFile
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.look import build_card, build_error, escape
from ui.models_list import can
from ui.models_words import ROLE_LINES, ROLE_NAMES, describe_model


def role_fields(file: EndpointsFile) -> None:
    """Render a select for each role; a choice is saved at once."""
    st.html('<h2 class="cai-h2">Roles</h2>')
    show_message("roles")
    for role in ROLES:
        _role_field(file, role)
    if file.book.roles["judge"] == file.book.roles["feedback"]:
        words = (
            "A judge that also labelled the training data marks its own homework. Where you can, "
            "let another model judge."
        )
        st.html(build_card("note", "Judge and feedback model are the same", words, slim=True))


def file_text(file: EndpointsFile) -> None:
    """Render the file's text, to be read and copied."""
    with st.expander("endpoints.yaml", icon=":material/description:"):
        st.html(f'<div class="cai-quiet cai-wrap">{escape(str(file.path))}</div>')
        if not file.hash:
            st.html('<div class="cai-quiet">There is no file yet. It would say:</div>')
        st.code(file.text or dump_book(file.book), language="yaml", wrap_lines=True)
        words = "You may edit it by hand, and this page follows."
        if file.has_comments:
            words += " A save from here does not keep its comments."
        st.html(f'<div class="cai-quiet">{words}</div>')


def show_broken(file: EndpointsFile) -> None:
    """Say what is wrong with the file, and show it with the numbers of its lines."""
    st.html(build_error("endpoints.yaml cannot be read", file.error or ""))
    words = "Until it is mended, only the demo model can be used here. Nothing overwrites the file."
    st.html(f'<p class="cai-quiet">{words}</p>')
    with st.expander("endpoints.yaml", icon=":material/description:"):
        st.code(file.text, language="yaml", line_numbers=True, wrap_lines=True)


def _role_field(file: EndpointsFile, role: ModelRole) -> None:
    names, held = list(file.book.endpoints), file.book.roles[role]
    # The held name belongs into the key: what somebody else sets makes the field anew.
    key = f"role_{role}_{held}"
    with st.container(gap=None):
        st.selectbox(
            ROLE_NAMES[role],
            names,
            index=names.index(held),
            format_func=lambda name: f"{name} · {describe_model(file.book.endpoints[name])}",
            key=key,
            disabled=not can(AccessRole.ADMIN),
            on_change=_set_role,
            args=(role, key, file.hash),
        )
        st.html(f'<div class="cai-quiet">{ROLE_LINES[role]}</div>')


def _set_role(role: ModelRole, key: str, seen: str) -> None:
    try:
        set_role(services.actor(), services.workspace(), role, st.session_state[key], seen=seen)
    except CaiError as error:
        leave_message("error", "The role was not changed", str(error), place="roles")
    # Whatever came of it, the field shows next what the file says.
    st.session_state.pop(key, None)
