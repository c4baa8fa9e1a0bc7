"""Playground: watch a chain, prompt → response → (critique → revision) × n, as it is written."""

import streamlit as st

from cai_core.actions.chains import start_chain
from cai_core.errors import CaiError
from cai_core.pipeline.live import LiveChain, LiveRequest
from ui import services
from ui.chain_form import chain_form, is_outside_demo_world, note_was_seen, restore_form
from ui.chain_view import show_chains, show_empty
from ui.look import build_card, build_error, escape, show_title

SIDES = ("run", "with")


def run(requests: list[LiveRequest]) -> None:
    """Start the chains and put them into the address; or say why not."""
    started: list[LiveChain] = []
    try:
        for request in requests:
            started += [
                start_chain(services.actor(), services.workspace(), services.hub(), request)
            ]
    except CaiError as error:
        for chain in started:
            chain.stop()
        st.html(build_error("Not started", str(error)))
        return
    st.query_params.from_dict({side: c.id for side, c in zip(SIDES, started, strict=False)})
    st.rerun()


asked = [st.query_params.get(side, "") for side in SIDES]
found = [services.hub().get(chain_id) for chain_id in asked]
chains = [chain for chain in found if chain is not None]
# Asked once: a chain that ends while the page is drawn is live on the whole page, or nowhere on it.
live = [chain.snapshot().state.is_live for chain in chains]
if chains:
    restore_form(*(chain.request for chain in chains))

show_title(
    "Playground",
    "Watch a model answer, critique its own answer against a constitution, and revise it.",
)
with st.container(key="playground_wide" if len(chains) > 1 else "playground"):
    left, right = st.columns([0.28, 0.72] if len(chains) > 1 else [0.35, 0.65], gap="medium")
    with left:
        wanted = chain_form()
        outside = isinstance(wanted, list) and any(map(is_outside_demo_world, wanted))
        clicked = st.button(
            "Run anyway" if outside else "Run",
            key="run_chain",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=any(live),
            shortcut="Mod+Enter",
        )
        if clicked and isinstance(wanted, str):
            st.html(build_card("note", "Not yet", escape(wanted)))
        elif clicked and isinstance(wanted, list) and (not outside or note_was_seen()):
            run(wanted)
    with right:
        if chains:
            show_chains(chains, live)
        else:
            show_empty(forgotten=any(asked))
