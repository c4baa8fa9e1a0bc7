"""The runs page's list: what runs, the queue in its order, and what has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from cai_core.actions.jobs import delete_run, kill_run, move_run, resume_run, stop_run
from cai_core.errors import CaiError
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.records import AccessRole
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import go, leave_message, show_message
from ui.look import build_icon
from ui.runs_words import build_run_head

TICK_SECONDS = 2
SHOWN = 50
_RESUMABLE = (RunState.INTERRUPTED, RunState.CANCELLED, RunState.FAILED)


def run_list() -> None:
    """Render the runs, and keep rendering them while the page is open."""

    def cards() -> None:
        views = list_jobs(services.workspace())
        if not views:
            _show_empty()
        for view in views[:SHOWN]:
            with st.container(border=True, gap="xsmall", key=f"run_{view.run}"):
                show_run(view, opens=True)
        if len(views) > SHOWN:
            st.caption(f"{len(views) - SHOWN} older ones are listed by the command `runs`.")

    st.fragment(cards, run_every=TICK_SECONDS)()


def show_run(view: JobView, *, opens: bool = False) -> None:
    """A run's head and its buttons."""
    st.html(build_run_head(view, now=time.time()))
    show_message(f"run {view.run}")
    with st.container(horizontal=True, gap="xsmall", key=f"run_ways_{view.run}"):
        if opens and _button(view, "Open", "open", "open_in_full"):
            go(run=view.run)
            st.rerun()
        if view.state is RunState.RUNNING:
            _act(view, "Stop and save", "stop_circle", stop_run)
            _act(view, "Kill", "dangerous", kill_run)
        if view.state is RunState.QUEUED:
            _queue_buttons(view)
        if view.state in _RESUMABLE:
            _act(view, "Resume", "play_arrow", resume_run)
        if view.state not in (RunState.RUNNING, RunState.QUEUED):
            _delete_button(view)


def can(role: AccessRole) -> bool:
    """Whether who sits before the page has that role."""
    return services.actor().role.includes(role)


def _queue_buttons(view: JobView) -> None:
    if view.position is not None:
        first = view.position == 1
        _act(view, "Sooner", "arrow_upward", move_run, view.position - 1, disabled=first)
        _act(view, "Later", "arrow_downward", move_run, view.position + 1)
        _act(view, "Take out", "stop_circle", stop_run)
    else:
        _act(view, "Queue again", "play_arrow", resume_run)


def _delete_button(view: JobView) -> None:
    if not can(AccessRole.ADMIN):
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.text(
            "What the run made is deleted: rows, checkpoints, models. Its recipe stays, with the "
            "hashes of what was deleted."
        )
        if st.button("Delete it", key=f"delete_{view.run}"):
            _do(delete_run, view.run, "Not deleted")
            st.rerun()


def _button(view: JobView, label: str, name: str, icon: str, **options: Any) -> bool:
    return st.button(label, key=f"{name}_{view.run}", icon=f":material/{icon}:", **options)


def _act(
    view: JobView,
    label: str,
    icon: str,
    action: Callable[..., object],
    *more: Any,
    disabled: bool = False,
) -> None:
    _button(
        view,
        label,
        label.lower().replace(" ", "_"),
        icon,
        disabled=disabled or not can(AccessRole.EDITOR),
        on_click=_do,
        args=(action, view.run, f"{label}: not done", *more),
    )


def _do(action: Callable[..., object], run: str, title: str, *more: Any) -> None:
    try:
        action(services.actor(), services.workspace(), run, *more)
    except CaiError as error:
        leave_message("error", title, str(error), place=f"run {run}")


def _show_empty() -> None:
    chains = f"{build_icon('critique')}<span>Chains: a model answers, critiques and revises.</span>"
    tuning = f"{build_icon('revision')}<span>Fine-tuning: a model learns from revisions.</span>"
    st.html(
        '<div class="cai-empty">Nothing has run here yet. A run goes on when this page is closed.'
        f"<ol><li>{chains}</li><li>{tuning}</li></ol></div>"
    )
