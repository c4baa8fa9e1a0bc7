"""Before a run is deleted: what goes, what stays, and what depends on it."""

from __future__ import annotations

import streamlit as st

from cai_core.actions.jobs import delete_run
from cai_core.errors import CaiError
from cai_core.jobs.deletion import look_at_deletion
from cai_core.jobs.listing import JobView
from cai_core.records import AccessRole
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import describe_count, go, leave_message
from ui.look import build_card, build_error, escape
from ui.runs_list import can
from ui.runs_words import build_table, describe_size

_WHAT = {
    "rows": "rows: every response, critique and revision",
    "outputs": "outputs: what it made for others, its model among them",
    "checkpoints": "checkpoints: it could not go on from them",
    "inputs": "inputs: its prompts, constitution and examples",
    "metrics.jsonl": "curves",
    "samples.jsonl": "sample answers",
    "worker.log": "log",
}


def delete_form(view: JobView) -> None:
    """What is asked before anything is deleted."""
    st.html('<h2 class="cai-h2">Delete this run?</h2>')
    if view.state in (RunState.RUNNING, RunState.QUEUED, RunState.DELETED):
        st.html(build_card("note", f"It is {view.state.value}", "Nothing can be deleted now."))
        return
    looked = look_at_deletion(services.workspace(), view.run)
    if looked.problem:
        st.html(build_error("What it holds cannot be read", looked.problem))
        return
    rows = [
        [_WHAT.get(name, name), describe_count(count, "file"), describe_size(size)]
        for name, (count, size) in looked.entries.items()
    ]
    total = f"{describe_count(looked.files, 'file')}, {describe_size(looked.bytes)}"
    st.html(f'<span class="cai-field">What goes, for good: {escape(total)}</span>')
    st.html(build_table(["what", "files", "size"], rows or [["nothing", "", ""]]))
    st.html('<span class="cai-field">What stays</span>')
    st.html(
        '<p class="cai-wrap">Its recipe, its state, and a tombstone with the hash of every deleted '
        "file. Lineage and audit log keep their ends.</p>"
    )
    st.html('<span class="cai-field">What is made from it</span>')
    if looked.children:
        st.html(build_table(["run"], [[child] for child in looked.children]))
        words = "While they are here it cannot be deleted. Delete those first."
        st.html(build_card("note", "Other runs depend on it", words, slim=True))
    else:
        st.html('<p class="cai-wrap">Nothing.</p>')
    with st.container(horizontal=True):
        st.button(
            "Delete it",
            key="delete_yes",
            type="primary",
            icon=":material/delete:",
            disabled=bool(looked.children) or not can(AccessRole.ADMIN),
            on_click=_delete,
            args=(view.run,),
        )
        st.button("Keep it", key="delete_no", on_click=go, kwargs={"run": view.run})


def _delete(run: str) -> None:
    try:
        files = delete_run(services.actor(), services.workspace(), run)
    except CaiError as error:
        leave_message("error", "Not deleted", str(error))
        return
    go()
    leave_message("note", "Deleted", f"{run}: {describe_count(len(files), 'file')} deleted.")
