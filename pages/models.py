"""Models: what answers here and who plays which role; and the models that runs made."""

import streamlit as st

from cai_core.records import AccessRole
from cai_core.workspace.endpoints import EndpointsFile, read_endpoints
from ui import services
from ui.constitution_address import go, show_message
from ui.look import build_card, show_title
from ui.models_form import endpoint_form
from ui.models_list import can, model_list
from ui.models_roles import file_text, role_fields, show_broken
from ui.models_words import STYLE
from ui.registry_detail import made_detail
from ui.registry_list import MADE, made_list
from ui.registry_words import STYLE as MADE_STYLE

VIEWS = {"endpoints": "Endpoints", MADE: "Made here"}


def choose_view() -> str:
    """Endpoints, or what was made here; the address holds which."""
    wanted = st.query_params.get("show", "")
    wanted = wanted if wanted in VIEWS else "endpoints"
    st.session_state["models_view"] = wanted
    st.segmented_control(
        "Show",
        list(VIEWS),
        format_func=lambda one: VIEWS[one],
        required=True,
        key="models_view",
        label_visibility="collapsed",
        on_change=lambda: go(show=st.session_state["models_view"]),
    )
    return wanted


def list_page(file: EndpointsFile) -> None:
    """Every endpoint on the left, the roles on the right."""
    # In places of their own: what comes and goes must not move the list, whose next tick would
    # draw it a second time where it was.
    with st.container(key="model_messages"):
        show_message()
        if file.error is not None:
            show_broken(file)
    left, right = st.columns([0.62, 0.38], gap="large")
    with left:
        with st.container(key="model_new"):
            if file.error is None and can(AccessRole.ADMIN):
                st.button(
                    "Add endpoint",
                    key="model_add",
                    type="primary",
                    icon=":material/add:",
                    on_click=go,
                    kwargs={"add": "1"},
                )
        model_list(file)
    with right, st.container(key="model_roles"):
        if file.error is None:
            role_fields(file)
            file_text(file)


def form_page(file: EndpointsFile, name: str) -> None:
    """The form, unless the address asks for something that cannot be."""
    config = file.book.endpoints.get(name)
    if not can(AccessRole.ADMIN):
        st.html(build_card("note", "Endpoints are for admins", services.explain(AccessRole.ADMIN)))
    elif file.error is not None:
        show_broken(file)
    elif name and (config is None or name == "demo"):
        words = "The address names an endpoint that is not here, or cannot be changed."
        st.html(build_card("note", "No such endpoint", words))
    else:
        endpoint_form(file, config)
        return
    st.button("Back to the models", icon=":material/arrow_back:", on_click=go)


st.html(STYLE + MADE_STYLE)
with st.container(key="models"):
    show_title("Models", "What answers here, how it does, and what was made here.")
    edited, added = st.query_params.get("edit", ""), st.query_params.get("add", "") == "1"
    made = st.query_params.get("model", "")
    if made:
        made_detail(made, st.query_params.get("with", ""))
    elif edited or added:
        form_page(read_endpoints(services.workspace()), edited)
    elif choose_view() == MADE:
        made_list()
    else:
        list_page(read_endpoints(services.workspace()))
