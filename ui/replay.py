"""Running a stored chain or label again from its drawer, and what differs, step by step.

The address keeps the replay's id (`replay=`), so a reload finds it again. It is kept in the app's
memory alone: nothing of it becomes a row or a run; the journal says who ran it and what came out.
"""

from __future__ import annotations

import streamlit as st

from cai_core.actions.replays import start_replay
from cai_core.errors import CaiError
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.replay_live import LiveReplay, ReplaySnapshot
from cai_core.pipeline.replay_targets import LabelTarget, Target, find_refusal
from cai_core.records import AccessRole
from cai_core.workspace.files import get_recordings
from ui import replay_hub, services
from ui.harm import NOTHING, HeldBack
from ui.look import build_card, build_error, escape
from ui.replay_steps import STYLE, build_label, build_steps, build_verdict

REPLAY = "replay"
TICK_SECONDS = 0.4
_FAILED = "replay_failed"


def replay_button(target: Target | None, *, at: str) -> None:
    """The way to a replay, or why there is none.

    Args:
        target: as `replay_targets` builds it; None where there is no label to run again.
        at: tells the buttons of two drawers apart.
    """
    refusal = "It has no label yet." if target is None else find_refusal(target)
    if target is None or refusal is not None:
        words = escape(f"It cannot be replayed. {refusal}")
        st.html(f'<div class="cai-quiet">{words}</div>')
        return
    live = _find(target)
    refused = services.explain(AccessRole.REVIEWER)
    with st.container(horizontal=True, vertical_alignment="center", key=f"replay_row_{at}"):
        st.button(
            "Run it again" if live is None else "Run it once more",
            key=f"replay_{at}",
            icon=":material/replay:",
            disabled=bool(refused) or (live is not None and live.snapshot().state.is_live),
            help=refused
            or "The same model, constitution version, recipe and seeds. Nothing of it is kept "
            "in a run; the journal says that it was run, and what came out.",
            on_click=_start,
            args=(target,),
        )
    if failed := st.session_state.pop(_FAILED, None):
        st.html(build_error("Not started", failed))


def show_replay(target: Target, *, show_harmful: bool, held: HeldBack = NOTHING) -> None:
    """The replay that the address names, where it is one of this target; else nothing.

    Args:
        held: what of the stored texts stays blurred; a new text that is none of them is blurred
            where the chain answers a red-team prompt.
        show_harmful: False blurs them.
    """
    wanted = st.query_params.get(REPLAY, "")
    if not wanted:
        return
    live = _find(target)
    if live is None:
        if replay_hub.hub().get(wanted) is None and find_refusal(target) is None:
            words = "Replays are kept until the app ends. Run it once more."
            st.html(build_card("note", "That replay is not here any more", words, slim=True))
        return
    st.html(STYLE)
    was_live = live.snapshot().state.is_live
    kept = NOTHING if show_harmful else held

    def steps() -> None:
        snapshot = live.snapshot()
        _show_status(live, snapshot)
        if snapshot.error is not None:
            st.html(build_error("It could not be run again", snapshot.error))
        report = snapshot.report
        if report is not None:
            st.html(build_verdict(report))
        if isinstance(target, LabelTarget) and report is not None and report.label is not None:
            st.html(build_label(target.label, report.label))
        st.html(build_steps(snapshot, kept))
        if was_live and not snapshot.state.is_live:
            st.rerun()  # the whole page: this ends the ticking and frees the button

    st.fragment(steps, run_every=TICK_SECONDS if was_live else None)()


def forget_replay() -> None:
    """Take the replay out of the address; it stays in memory. For drawers that close."""
    st.query_params.pop(REPLAY, None)


def _find(target: Target) -> LiveReplay | None:
    live = replay_hub.hub().get(st.query_params.get(REPLAY, ""))
    if live is None:
        return None
    other = live.request.target
    same = (type(other), other.run, other.id) == (type(target), target.run, target.id)
    return live if same else None


def _start(target: Target) -> None:
    try:
        live = start_replay(
            services.actor(), services.workspace(), replay_hub.hub(), target, get_recordings()
        )
    except CaiError as error:
        st.session_state[_FAILED] = str(error)
        return
    st.query_params[REPLAY] = live.id


def _show_status(live: LiveReplay, snapshot: ReplaySnapshot) -> None:
    words = {
        ChainState.STARTING: "Waiting for the model",
        ChainState.RUNNING: "Asking again",
        ChainState.FINISHED: "Finished",
        ChainState.STOPPED: "Stopped",
        ChainState.FAILED: "Failed",
    }[snapshot.state]
    mark = {"finished": "✓", "stopped": "■", "failed": "✕"}.get(snapshot.state, "●")
    more = f"{snapshot.done} of {len(snapshot.steps)} steps"
    with st.container(horizontal=True, vertical_alignment="center", key="replay_status"):
        st.html(
            f'<div role="status"><b><span aria-hidden="true">{mark}</span> {words}</b> '
            f'<span class="cai-quiet">{more}</span></div>',
            width="content",
        )
        clock = f'<span class="cai-quiet cai-clock">{snapshot.seconds:.1f} s</span>'
        st.html(clock, width="stretch")
        if snapshot.state.is_live:
            st.button("Stop", key="replay_stop", icon=":material/stop_circle:", on_click=live.stop)
