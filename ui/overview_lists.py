"""The overview's lists: what runs, what is new, what waits, and what has been done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.workspace.index.views import IndexReport, RoundPage, RoundView, RunView
from cai_core.workspace.review_queues import list_queues
from ui import services
from ui.explorer_filter import WORDS
from ui.explorer_links import (
    CONSTITUTIONS,
    CRITIQUES,
    Place,
    find_chain_place,
    find_run_place,
    show_link,
)
from ui.explorer_list import FINDING_BADGES
from ui.look import build_badge, build_card, build_error, escape
from ui.review_address import REVIEW_PAGE
from ui.review_data import load_view

OPEN_STATES = ("running", "queued", "interrupted")
LABEL_LENGTH, DETAIL_LENGTH = 140, 120
MOST_SHOWN, LATEST_SHOWN = 8, 4
# The index looks twice a second; beyond this something holds it up.
LATE_SECONDS = 10
# Icon and word, never colour alone.
_SIGNS = {
    "running": "●",
    "queued": "○",
    "interrupted": "■",
    "cancelled": "■",
    "succeeded": "✓",
    "failed": "✕",
    "deleted": "∅",
}
# What of an audit event is told beside its action.
_TOLD = ("constitution", "name", "value", "saved", "flagged", "note", "run", "chain", "reason")


@contextmanager
def section(title: str, key: str) -> Iterator[None]:
    """A list under its title."""
    with st.container(key=f"section_{key}", gap=None):
        st.subheader(title, anchor=False)
        yield


def show_row(key: str, label: str, details: str, place: Place | None) -> None:
    """One row: what it is, what is to be said of it (HTML), and where it leads."""
    with st.container(key=f"over_{key}", gap=None):
        short = label if len(label) <= LABEL_LENGTH else f"{label[:LABEL_LENGTH]}…"
        if place is None:
            st.html(f'<div class="cai-row-name">{escape(short)}</div>')
        else:
            show_link(place, short)
        st.html(f'<div class="cai-row">{details}</div>')


def show_nothing(text: str) -> None:
    """What a list without rows says."""
    st.html(f'<div class="cai-quiet">{escape(text)}</div>')


def show_run(run: RunView, now: datetime) -> None:
    """A run: its state first, then what it is."""
    sign = _SIGNS.get(run.state, "●")
    age = build_age(run.started_at, now)
    rows = f"{run.rows:,} row{'' if run.rows == 1 else 's'}" if run.rows else ""
    facts = (rows, run.constitution, _name_model(run.model), age, run.reason or "")
    details = f"<b>{sign} {escape(run.state)}</b>{''.join(_spans(*facts))}"
    if run.recorded:
        details += build_badge("recorded", quiet=True, dashed=True)
    show_row(f"run_{run.run}", run.run, details, find_run_place(run.run))


def show_chain(round_: RoundView) -> None:
    """A chain by one of its rounds."""
    words = WORDS["kind"].get(round_.kind, round_.kind)
    details = [
        FINDING_BADGES[round_.finding],
        *_spans(words, round_.principle, _name_model(round_.model)),
    ]
    if round_.recorded:
        details.append(build_badge("recorded", quiet=True, dashed=True))
    place = find_chain_place(round_.chain)
    show_row(f"chain_{round_.chain}", " ".join(round_.prompt.split()), "".join(details), place)


def show_event(number: int, event: Mapping[str, Any], now: datetime) -> None:
    """An audit event: what, by whom, when, and what of."""
    details = _spans(str(event.get("actor", "")), build_age(str(event.get("at", "")), now))
    told = ((name, event[name]) for name in _TOLD if event.get(name) not in (None, ""))
    details += _spans(*(f"{name}: {_say(value)}" for name, value in told))
    show_row(
        f"event_{number}", str(event.get("action", "?")), "".join(details), _event_place(event)
    )


def build_age(at: str, now: datetime) -> str:
    """How long ago that was, in words; the text itself where it is no time."""
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return at
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = (now - then).total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) >= 1:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _event_place(event: Mapping[str, Any]) -> Place | None:
    if queue := event.get("queue"):
        return Place(page=REVIEW_PAGE, params={"queue": str(queue)})
    if chain := event.get("chain"):
        return find_chain_place(str(chain))
    if run := event.get("run"):
        return find_run_place(str(run))
    return Place(page=CONSTITUTIONS) if "constitution" in str(event.get("action")) else None


def _name_model(model: str) -> str:
    # Of a folder its name; the whole path stands on the chain's page.
    return f"…/{model.rstrip('/').rpartition('/')[2]}" if model.startswith("/") else model


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= DETAIL_LENGTH else f"{text[:DETAIL_LENGTH]}…"


def _spans(*texts: str) -> list[str]:
    return [_span(text) for text in texts if text]


def _span(text: str) -> str:
    return f"<span>{escape(text)}</span>"


def show_runs(runs: Sequence[RunView], now: datetime) -> None:
    """What runs or waits, then what was run last."""
    going = [run for run in runs if run.state in OPEN_STATES]
    with section("Running and waiting", "going"):
        for run in going[:MOST_SHOWN]:
            show_run(run, now)
        if len(going) > MOST_SHOWN:
            show_nothing(f"and {len(going) - MOST_SHOWN} more")
        if not going:
            show_nothing("No run is at work, queued or interrupted.")
    ended = [run for run in runs if run.state not in OPEN_STATES]
    if ended:
        with section("Latest runs", "ended"):
            for run in ended[:LATEST_SHOWN]:
                show_run(run, now)


def show_chains(page: RoundPage) -> None:
    """The newest chains, each by its newest round."""
    newest: dict[str, RoundView] = {}
    for round_ in page.rounds:
        newest.setdefault(round_.chain, round_)
    with section("Latest chains", "chains"):
        for round_ in list(newest.values())[:MOST_SHOWN]:
            show_chain(round_)
        if not newest:
            show_nothing("No chain has a critique or a revision yet.")


def count_queued() -> tuple[int, int]:
    """What of the review queues is left for who sits before the page, and of how many queues.

    A queue that cannot be read is left out; the page Review says why.
    """
    left = []
    for queue in list_queues(services.workspace())[0]:
        try:
            left.append(len(load_view(queue).tabs["pending"]))
        except (CaiError, OSError):
            continue
    return sum(left), sum(count > 0 for count in left)


def show_waiting(marked: Mapping[str, int], queued: tuple[int, int]) -> None:
    """What somebody should read.

    Args:
        queued: as `count_queued` tells.
    """
    words = {
        "flagged": ("flagged", "Somebody wants another look."),
        "unmarked": ("without a mark", "Neither saved, nor flagged, nor noted."),
    }
    waiting = {mark: marked.get(mark, 0) for mark in words}
    left, queues = queued
    with section("Waiting for review", "waiting"):
        if left:
            some = f"{queues} queue{'' if queues == 1 else 's'}"
            details = _span("Judged by people, who are not told what the models say.")
            show_row("wait_queued", f"{left:,} in {some}", details, Place(page=REVIEW_PAGE))
        for mark, count in waiting.items():
            if count:
                name, says = words[mark]
                place = Place(page=CRITIQUES, params={"mark": mark})
                show_row(f"wait_{mark}", f"{count:,} {name}", _span(says), place)
        if not left and not any(waiting.values()):
            show_nothing("Nothing waits.")


def show_events(events: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """The newest entries of the audit log."""
    with section("Audit log", "events"):
        for number, event in enumerate(events):
            show_event(number, event, now)
        if not events:
            show_nothing("Nobody has changed anything yet.")


def show_health(report: IndexReport) -> None:
    """What the indexes hold, and what in the files could not be read."""
    counts = {"row": report.rows, "chain": report.chains, "event": report.events}
    facts = [f"{count:,} {one}{'' if count == 1 else 's'}" for one, count in counts.items()]
    if report.seconds_behind > LATE_SECONDS:
        facts.append(f"last looked at the files {report.seconds_behind:.0f} s ago")
    troubles = {
        "damaged lines, left in their files": report.damaged,
        "rows written twice, counted once": report.doubled,
        "bytes written too late, ignored": report.late_bytes,
    }
    facts += [f"{count:,} {what}" for what, count in troubles.items() if count]
    with section("Index", "health"):
        if report.rebuilt:
            st.html(build_card("note", "The index was made anew", escape(report.rebuilt)))
        for problem in report.problems:
            st.html(build_error("The index is not whole", problem))
        st.html(f'<div class="cai-row">{"".join(_spans(*facts))}</div>')
