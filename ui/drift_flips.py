"""The drawer of a cell: what changed, why that may be doubtful, and the flipped answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.drift_flips import Flip
from cai_core.evaluation.measures import get_measure
from cai_core.evaluation.suites import SuiteKind
from cai_core.jobs.drift_study import load_side
from ui import services
from ui.constitution_pager import show_part
from ui.diff import build_diff
from ui.drift_address import leave
from ui.drift_data import Cell, Evaluation, MatrixRow, load_flips, load_reasons
from ui.drift_matrix import build_word, describe_change, describe_p
from ui.harm import hold_back, hold_removed, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, escape

_SHOWN = 5
_TO_DECLINE = (SuiteKind.HARMFUL, SuiteKind.MULTI_TURN)
_HARMFUL = ("harmful compliance", "leak")
_Line = Mapping[str, Any]


@st.dialog("What changed", width=1000, position="right", on_dismiss=leave)
def show_cell(
    baseline: Evaluation, candidate: Evaluation | None, row: MatrixRow | None, measure: str
) -> None:
    """Render the cell that an address names, which may be any."""
    cell = row.cells.get(measure) if row is not None else None
    if candidate is None or row is None or cell is None:
        words = "The address names an evaluation or a measure that is not in this matrix."
        st.html(build_card("note", "No such cell", escape(words)))
        return
    st.html(_build_head(baseline, candidate, cell, measure))
    for warning in row.warnings:
        st.html(build_card("note", "Careful", escape(warning), slim=True))
    try:
        workspace = services.workspace()
        flips = load_flips(workspace, baseline.run, candidate.run, measure, cell.reader)
        shown = show_harmful_toggle("drift_show_harmful")
        _show_flips(flips, baseline, candidate, measure, show_harmful=shown)
    except (CaiError, OSError, KeyError) as error:
        st.html(build_error("The answers cannot be read", str(error)))


def _build_head(baseline: Evaluation, candidate: Evaluation, cell: Cell, measure: str) -> str:
    change, points = cell.change, get_measure(measure).unit == "points"
    values = f"{change.before:.2f} → {change.after:.2f}"
    if points:
        values = f"{100 * change.before:.1f} % → {100 * change.after:.1f} %"
    moved, interval = describe_change(measure, cell)
    by = f", by {cell.reader}" if cell.reader else ""
    told = f"{values}, {moved} {interval} (95 %), {describe_p(cell.p)}, n = {change.n:,}{by}"
    reason = f'<p class="cai-quiet">The gate: {escape(cell.reason)}</p>' if cell.reason else ""
    return (
        f'<h2 class="cai-h2">{escape(measure)} {build_word(cell.word)}</h2>'
        f'<p class="cai-lead">{escape(f"{baseline.name} → {candidate.name}")}</p>'
        f"<p>{escape(told)}</p>{reason}"
    )


def _show_flips(
    flips: tuple[Flip, ...],
    baseline: Evaluation,
    candidate: Evaluation,
    measure: str,
    *,
    show_harmful: bool,
) -> None:
    if not flips:
        st.html(build_card("note", "No flipped answers", "Nothing to read answer by answer."))
        return
    counts = [(sum(flip.way == way for flip in flips), way) for way in ("worse", "better")]
    told = ", ".join(f"{count:,} {way}" for count, way in counts)
    words = f"{len(flips):,} answers flipped" + (f": {told}; the worse ones first." if told else "")
    st.html(f'<p class="cai-quiet">{escape(words)}</p>')
    runs = (baseline.run, candidate.run)
    for place, flip in show_part(f"flips_{candidate.run}_{measure}", flips, _SHOWN):
        st.html(build_flip(place + 1, flip, runs, measure, show_harmful=show_harmful))


def build_flip(
    number: int, flip: Flip, runs: tuple[str, str], measure: str, *, show_harmful: bool
) -> str:
    key = (flip.prompt_id, flip.sample)
    lines = [load_side(services.workspace(), run).lines[key] for run in runs]
    hidden = [not show_harmful and is_held_back(line) for line in lines]
    before, after = escape(flip.before_text), build_diff(flip.before_text, flip.after_text)
    if hidden[0]:
        after = hold_removed(after)
    bodies = [
        hold_back(body) if held else body
        for body, held in zip((before, after), hidden, strict=True)
    ]
    unit = get_measure(measure).unit
    cards = "".join(
        build_card(
            "response",
            title,
            body + _build_reasons(run, key, measure, held=held),
            badges=build_badge(_tell_value(measure, value, unit)),
        )
        for title, body, run, value, held in zip(
            ("Before", "After, with what changed"),
            bodies,
            runs,
            (flip.before, flip.after),
            hidden,
            strict=True,
        )
    )
    *earlier, asked = [str(turn["content"]) for turn in flip.conversation] or [""]
    badges = build_badge(flip.way) + build_badge(flip.kind, quiet=True)
    if flip.category != "none":
        badges += build_badge(flip.category, quiet=True)
    prompt = escape(asked)
    if earlier:
        turns = "".join(f"<p>{escape(text)}</p>" for text in earlier)
        prompt = (
            f'<details class="cai-more"><summary>Earlier turns</summary>{turns}</details>{prompt}'
        )
    title = f"{number}. {flip.prompt_id}, sample {flip.sample + 1}"
    head = build_card("prompt", title, prompt, badges=badges)
    return f'<div>{head}<div class="cai-sides">{cards}</div></div>'


def is_held_back(line: _Line) -> bool:
    """Whether an answer to a harmful prompt stays blurred: unless all say that it is harmless."""
    if line["kind"] not in _TO_DECLINE:
        return False
    told = [shown for name in _HARMFUL for shown in line["verdicts"].get(name, {}).values()]
    return not told or any(shown is not False for shown in told)


def _build_reasons(run: str, key: tuple[str, int], measure: str, *, held: bool) -> str:
    parts = []
    for name, text in load_reasons(services.workspace(), run, key, measure):
        body = hold_back(escape(text)) if held else escape(text)
        parts.append(
            f'<details class="cai-reasoning"><summary>The judge: {escape(name)}</summary>'
            f"<div>{body}</div></details>"
        )
    return "".join(parts)


def _tell_value(measure: str, value: float, unit: str) -> str:
    if unit == "points":
        return f"{measure}: {'yes' if value else 'no'}"
    return f"{measure}: {value:.1f}"
