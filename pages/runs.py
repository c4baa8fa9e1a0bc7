"""Runs: chains and trainings in the background, their queue, and each one's whole story."""

import streamlit as st

from cai_core.records import AccessRole
from ui.constitution_address import go, show_message
from ui.look import show_title
from ui.runs_detail import run_detail
from ui.runs_form import EVALUATION, LOOP, PRESET, new_run
from ui.runs_list import can, run_list
from ui.runs_words import STYLE

st.html(STYLE)
with st.container(key="runs"):
    show_title("Runs", "Chains and trainings in the background. They go on without this page.")
    with st.container(key="runs_messages"):
        show_message()
    wanted = st.query_params.get("run", "")
    if wanted:
        asked = [name for name in ("clone", "delete") if st.query_params.get(name, "") == "1"]
        allowed = {"clone": AccessRole.EDITOR, "delete": AccessRole.ADMIN}
        ask = next((name for name in asked if can(allowed[name])), "")
        run_detail(wanted, ask)
    elif (start := st.query_params.get("new", "")) in (PRESET, LOOP, EVALUATION):
        new_run(start)
    else:
        with st.container(horizontal=True):
            st.button(
                "New run",
                key="runs_new",
                type="primary",
                icon=":material/add:",
                disabled=not can(AccessRole.EDITOR),
                on_click=go,
                kwargs={"new": PRESET},
            )
            st.button(
                "The whole loop",
                key="runs_loop",
                icon=":material/account_tree:",
                disabled=not can(AccessRole.EDITOR),
                on_click=go,
                kwargs={"new": LOOP},
                help="SL-CAI, comparisons, labels, RL and DPO, and their answers, as one plan.",
            )
        run_list()
