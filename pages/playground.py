"""Playground: watch one chain, prompt → response → (critique → revision) × n, as it is written."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.pipeline.live import LiveRequest
from ui import services
from ui.chain_form import chain_form, is_outside_demo_world, note_was_seen, restore_form
from ui.chain_view import show_chain, show_empty
from ui.look import build_card, build_error, escape


def run(request: LiveRequest) -> None:
    """Start a chain and put it into the address; or say why not."""
    try:
        started = services.hub().start(request)
    except CaiError as error:
        st.html(build_error("Not started", str(error)))
    else:
        st.query_params["run"] = started.id
        st.rerun()


chain = services.hub().get(st.query_params.get("run", ""))
if chain is not None:
    restore_form(chain.request)

with st.container(gap=None):
    st.html('<p class="cai-name">CAI Workbench</p>')
    st.title("Playground", anchor=False)
    st.html(
        '<p class="cai-lead">Watch a model answer, critique its own answer against a '
        "constitution, and revise it.</p>"
    )
with st.container(key="playground"):
    left, right = st.columns([0.35, 0.65], gap="medium")
    with left:
        request = chain_form()
        outside = isinstance(request, LiveRequest) and is_outside_demo_world(request)
        clicked = st.button(
            "Run anyway" if outside else "Run",
            key="run_chain",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=chain is not None and chain.snapshot().state.is_live,
            shortcut="Mod+Enter",
        )
        if clicked and isinstance(request, str):
            st.html(build_card("note", "Not yet", escape(request)))
        elif clicked and isinstance(request, LiveRequest) and (not outside or note_was_seen()):
            run(request)
    with right:
        if chain is not None:
            show_chain(chain)
        else:
            show_empty(forgotten="run" in st.query_params)
