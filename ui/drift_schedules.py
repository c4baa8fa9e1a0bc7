"""Schedules of spot checks: what each one found last, when it runs next, and why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import streamlit as st

from cai_core.actions.schedules import (
    add_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
)
from cai_core.errors import CaiError
from cai_core.jobs.cron import parse_cron
from cai_core.jobs.launch import ensure_dispatcher, find_dispatcher
from cai_core.jobs.schedules import describe_missed, describe_next, find_next
from cai_core.jobs.spot_check import DEFAULT
from cai_core.records import AccessRole
from cai_core.workspace.schedules import Check, ScheduleState, read_schedules
from ui import services
from ui.constitution_address import describe_time, leave_message, show_message
from ui.drift_address import JOB, leave
from ui.drift_form import name_model
from ui.drift_matrix import build_word
from ui.drift_pin import Sides
from ui.look import build_badge, build_card, escape
from ui.runs_list import can
from ui.runs_names import list_models

_OWN = "A cron text of your own"
_USUAL = {
    "Every day at 06:00 UTC": "0 6 * * *",
    "Every hour": "0 * * * *",
    "Monday to Friday at 06:00 UTC": "0 6 * * mon-fri",
    "Every Monday at 06:00 UTC": "0 6 * * mon",
}
_SHOWN, _AHEAD, _MOST_PROMPTS = 3, 3, 10_000
_PLACE = "drift_schedule"


def show_schedules(sides: Sides) -> None:
    """Render the schedules and, for an editor, the form for another one."""
    states = read_schedules(services.workspace())
    told = f"Schedules ({len(states)})" if states else "Schedules"
    with st.expander(told, icon=":material/schedule:", key="drift_schedules"):
        show_message(_PLACE)
        if not states:
            words = (
                "A schedule repeats the spot check by itself, against the pinned baseline, and "
                "keeps what the gate said."
            )
            st.html(f'<p class="cai-quiet">{escape(words)}</p>')
        _show_keeper(states)
        for state in states:
            with st.container(border=True, gap="xsmall", key=f"schedule_{state.schedule.name}"):
                _show_one(state)
        if can(AccessRole.EDITOR):
            _show_form(sides)


def _show_keeper(states: Sequence[ScheduleState]) -> None:
    """Say where nobody is there to run them, and start who is."""
    if all(state.paused for state in states) or find_dispatcher(services.workspace()) is not None:
        return
    if can(AccessRole.EDITOR):
        try:
            ensure_dispatcher(services.workspace())
        except CaiError as error:
            st.html(build_card("note", "Nobody is there to run them", escape(str(error))))
        return
    words = "No dispatcher lives in this workspace. Whoever may launch runs starts one here."
    st.html(build_card("note", "Nobody is there to run them", escape(words)))


def _show_one(state: ScheduleState) -> None:
    one, now = state.schedule, datetime.now(UTC)
    due = find_next(state, now)
    when = "paused" if state.paused else "its cron text cannot be read"
    if due is not None:
        when = f"next {describe_next(due, now)}"
    told = f"{name_model(one.model)}, {one.prompts:,} prompts of {one.suite}"
    st.html(
        f'<div class="cai-head"><span>{escape(one.name)}</span>'
        f"{build_badge(f'{one.cron} UTC', quiet=True)}{build_badge(when, quiet=True)}</div>"
        f'<div class="cai-quiet">{escape(told)}. Set by {escape(one.actor)}, '
        f"{escape(describe_time(one.at))}.</div>"
        + "".join(map(_build_check, state.checks[:_SHOWN]))
        + ("" if state.checks else '<div class="cai-quiet">Not run yet.</div>')
    )
    if not can(AccessRole.EDITOR):
        return
    with st.container(horizontal=True, gap="xsmall", key=f"schedule_ways_{one.name}"):
        last = next((check for check in state.checks if check.run), None)
        if last is not None:
            _button("Open the last one", "open", "open_in_full", one.name, _open, last.run)
        if state.paused:
            _button("Resume", "resume", "play_arrow", one.name, _do, resume_schedule, "resumed")
        else:
            _button("Pause", "pause", "pause", one.name, _do, pause_schedule, "paused")
        _button("Delete", "delete", "delete", one.name, _do, delete_schedule, "deleted")


def _build_check(check: Check) -> str:
    if check.status in ("pass", "warn", "fail"):
        word = build_word(check.status)
    else:
        words = "asked; no result yet" if check.run and not check.reasons else "no result"
        word = f'<span class="cai-quiet">{words}</span>'
    missed = f"{describe_missed(check.missed)}. " if check.missed else ""
    told = f"{describe_time(check.due)}. {missed}{'; '.join(check.reasons)}"
    return f'<div class="cai-row">{word} <span>{escape(told)}</span></div>'


def _show_form(sides: Sides) -> None:
    with st.popover("Add a schedule", icon=":material/add:", key="drift_schedule_open"):
        if sides.pinned is None:
            words = "A schedule is held against a pinned baseline. Pin one of this suite first."
            st.html(build_card("note", "Nothing is pinned", escape(words)))
            return
        st.text_input("Name", key="drift_schedule_name", placeholder="nightly", max_chars=64)
        models = list_models(asked=True)
        st.selectbox(
            "Model",
            models,
            format_func=name_model,
            key="drift_schedule_model",
            filter_mode="contains",
        )
        st.number_input("Prompts", 1, _MOST_PROMPTS, DEFAULT, key="drift_schedule_prompts")
        usual = st.selectbox("When", [*_USUAL, _OWN], key="drift_schedule_usual")
        cron = _USUAL.get(usual or "", "")
        if usual == _OWN:
            cron = st.text_input(
                "Cron text",
                key="drift_schedule_cron",
                placeholder="30 6 * * mon-fri",
                help="Minute, hour, day of the month, month, weekday, in UTC: `*`, numbers, "
                "ranges (1-5), lists (1,15), steps (*/2), names (mon, jan).",
            )
        st.html(f'<p class="cai-quiet">{escape(_describe_times(cron))}</p>')
        st.button(
            "Add",
            key="drift_schedule_add",
            type="primary",
            disabled=not cron.strip(),
            on_click=_add,
            args=(cron, sides.pinned.suite),
        )


def _describe_times(cron: str) -> str:
    if not cron.strip():
        return "Minute, hour, day of the month, month, weekday."
    try:
        parsed = parse_cron(cron)
    except CaiError as error:
        return str(error)
    moment, told = datetime.now(UTC), []
    for _ in range(_AHEAD):
        moment = parsed.find_next(moment)
        told.append(f"{moment:%a} {moment.day} {moment:%b %H:%M}")
    return f"Next, in UTC: {', '.join(told)}."


def _add(cron: str, suite: str) -> None:
    state = st.session_state
    name = state.get("drift_schedule_name", "").strip()
    try:
        add_schedule(
            services.actor(),
            services.workspace(),
            name,
            cron,
            state.get("drift_schedule_model") or "",
            int(state.get("drift_schedule_prompts") or DEFAULT),
            suite,
        )
    except (CaiError, OSError) as error:
        leave_message("error", "Not added", str(error), place=_PLACE)
        return
    leave_message("note", "Added", f"{name} runs while the workbench does.", place=_PLACE)


def _button(
    label: str, key: str, icon: str, name: str, act: Callable[..., None], *more: object
) -> None:
    st.button(
        label,
        key=f"schedule_{key}_{name}",
        icon=f":material/{icon}:",
        on_click=act,
        args=(name, *more),
    )


def _do(name: str, action: Callable[..., object], word: str) -> None:
    try:
        action(services.actor(), services.workspace(), name)
    except (CaiError, OSError) as error:
        leave_message("error", f"Not {word}", str(error), place=_PLACE)
        return
    if word == "deleted":
        leave_message("note", "Deleted", f"{name}: its evaluations stay.", place=_PLACE)


def _open(_name: str, run: str) -> None:
    leave(**{JOB: run})
