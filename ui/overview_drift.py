"""The overview's short answer to "is the newest model safer, and did it stay helpful?"."""

from __future__ import annotations

from datetime import datetime

from cai_core.errors import CaiError
from cai_core.evaluation.measures import get_measure
from cai_core.jobs.latest_drift import LatestDrift, load_latest_drift
from ui import services
from ui.drift_data import Cell, MatrixRow, load_matrix
from ui.drift_matrix import describe_change, describe_p
from ui.explorer_links import PLAYGROUND, Place
from ui.look import escape
from ui.overview_lists import build_age, section, show_row

DRIFT = PLAYGROUND.with_name("drift.py")
# The worst first; of one word the largest loss. Icon and word, never colour alone.
_SIGNS = {
    "fail": "✕",
    "warn": "▲",
    "worse": "▲",
    "changed": "●",
    "may be chance": "●",
    "pass": "✓",
    "no change": "✓",
    "better": "✓",
}


def show_drift(now: datetime) -> None:
    """Render the newest evaluation against the pinned baseline; each part leads to the page."""
    workspace = services.workspace()
    latest = load_latest_drift(workspace)
    with section("Drift", "drift"):
        if latest is None:
            told = "Evaluate a model, pin it, and evaluate the next one by the same suite."
            details = f"<span>{escape(told)}</span>"
            show_row("drift_none", "Nothing to compare yet", details, Place(page=DRIFT))
            return
        try:
            rows = load_matrix(workspace, latest.baseline, [latest.run], None)
        except (CaiError, OSError):
            rows = ()  # the page itself says what is wrong
        _show_gate(latest, now)
        if rows and (worst := find_worst(rows[0])) is not None:
            _show_worst(latest, *worst)


def find_worst(row: MatrixRow) -> tuple[str, Cell] | None:
    """The measure that stands worst; None where none has a better way.

    First by its word (a fail before a warning), then by the size of its loss.
    """
    order = list(_SIGNS)
    told = [
        (order.index(cell.word), -_compute_loss(name, cell), name)
        for name, cell in row.cells.items()
        if get_measure(name).better is not None
    ]
    return (min(told)[2], row.cells[min(told)[2]]) if told else None


def _compute_loss(name: str, cell: Cell) -> float:
    """How far it moved the wrong way, in parts of what it can."""
    measure = get_measure(name)
    wrong = 1 if measure.better == "lower" else -1
    return wrong * cell.change.difference / measure.span


def _show_gate(latest: LatestDrift, now: datetime) -> None:
    status = latest.status or "no gate"
    sign = _SIGNS.get(status, "○")
    against = f"against {latest.baseline_name}"
    facts = (against, f"suite {latest.suite}", f"{latest.cases:,} pairs", build_age(latest.at, now))
    if latest.schedule:
        facts += (f"schedule {latest.schedule}",)
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    place = Place(page=DRIFT, params={"suite": latest.suite, "job": latest.run})
    show_row("drift_gate", latest.name, f"<b>{sign} {escape(status)}</b>{spans}", place)


def _show_worst(latest: LatestDrift, name: str, cell: Cell) -> None:
    moved, interval = describe_change(name, cell)
    facts = (f"{moved} {interval}", f"n = {cell.change.n:,}", describe_p(cell.p))
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    details = f"<b>{_SIGNS[cell.word]} {escape(cell.word)}</b>{spans}"
    params = {"suite": latest.suite, "run": latest.run, "measure": name}
    place = Place(page=DRIFT, params=params)
    show_row("drift_worst", f"Worst: {name}", details, place)
