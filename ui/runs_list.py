"""The runs page's list: what runs, the queue in its order, and what has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from cai_core.actions.jobs import kill_run, move_run, resume_run, stop_run
from cai_core.errors import CaiError, WorkspaceError
from cai_core.jobs.clone import CLONED_KINDS
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.jobs.queue import load_queue
from cai_core.records import AccessRole, Actor
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
        waiting = max((view.position or 0 for view in views), default=0)
        for view in views[:SHOWN]:
            with st.container(border=True, gap="xsmall", key=f"run_{view.run}"):
                show_run(view, opens=True, waiting=waiting)
        if len(views) > SHOWN:
            st.caption(f"{len(views) - SHOWN} older ones are listed by the command `runs`.")

    st.fragment(cards, run_every=TICK_SECONDS)()


def show_run(view: JobView, *, opens: bool = False, waiting: int | None = None) -> None:
    """A run's head and its buttons.

    Args:
        opens: in the list; alone, its reason is shown elsewhere.
        waiting: how many runs are in the queue, None where that is not known.
    """
    st.html(build_run_head(view, now=time.time(), reason=opens))
    show_message(f"run {view.run}")
    with st.container(horizontal=True, gap="xsmall", key=f"run_ways_{view.run}"):
        if opens and _button(view, "Open", "open", "open_in_full"):
            go(run=view.run)
            st.rerun()
        if view.state is RunState.RUNNING:
            _act(view, "Stop and save", "stop_circle", stop_run)
            _act(view, "Kill", "dangerous", kill_run)
        if view.state is RunState.QUEUED:
            _queue_buttons(view, waiting)
        if view.state in _RESUMABLE:
            _act(view, "Resume", "play_arrow", resume_run)
        if not opens and view.kind in CLONED_KINDS and view.state is not RunState.DELETED:
            _ask(view, "Clone with changes", "clone", "content_copy", AccessRole.EDITOR)
        if view.state not in (RunState.RUNNING, RunState.QUEUED, RunState.DELETED):
            _ask(view, "Delete", "delete", "delete", AccessRole.ADMIN)


def can(role: AccessRole) -> bool:
    """Whether who sits before the page has that role."""
    return services.actor().role.includes(role)


def _queue_buttons(view: JobView, waiting: int | None) -> None:
    if view.position is None:
        _act(view, "Queue again", "play_arrow", resume_run)
        return
    is_first, is_last = view.position == 1, view.position == waiting
    if not is_first:
        _act(view, "First", "vertical_align_top", _move, -view.position)
        _act(view, "Sooner", "arrow_upward", _move, -1)
    if not is_last:
        _act(view, "Later", "arrow_downward", _move, 1)
    _act(view, "Take out", "stop_circle", stop_run)


def _move(actor: Actor, workspace: Path, run: str, places: int) -> None:
    """From where it is now, which may be further to the front than the page has shown."""
    queue = load_queue(workspace)
    if run not in queue:
        raise WorkspaceError(f"{run} is not in the queue any more.")
    move_run(actor, workspace, run, max(1, queue.index(run) + 1 + places))


def _ask(view: JobView, label: str, name: str, icon: str, role: AccessRole) -> None:
    """A button that leads to a form of its own."""
    if can(role) and _button(view, label, name, icon):
        go(run=view.run, **{name: "1"})
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
