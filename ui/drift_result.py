"""What an evaluation that somebody has just asked for came to: the gate, then flipped examples."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.measures import get_measure
from ui import services
from ui.drift_address import JOB, build_link, leave, read
from ui.drift_data import Evaluation, MatrixRow, load_flips
from ui.drift_flips import build_flip
from ui.drift_matrix import build_word, describe_change
from ui.harm import show_harmful_toggle
from ui.look import build_error, escape

# Of every measure that got worse, so many examples; the drawer has the others.
_EXAMPLES, _MEASURES = 3, 3
_ORDER = ("fail", "worse", "warn")


def show_result(
    baseline: Evaluation, rows: Mapping[str, MatrixRow], names: Mapping[str, Evaluation]
) -> None:
    """Render the evaluation that the address names, where it has ended; nothing else.

    Args:
        rows, names: of the evaluations of this suite, by run.
    """
    asked = read(JOB)
    row, evaluation = rows.get(asked), names.get(asked)
    if row is None or evaluation is None:
        return
    with st.container(border=True, gap="small", key="drift_result"):
        st.html(_build_head(baseline, evaluation, row))
        try:
            _show_examples(baseline, evaluation, row)
        except (CaiError, OSError, KeyError) as error:
            st.html(build_error("The answers cannot be read", str(error)))
        st.button("Close", key="drift_result_close", icon=":material/close:", on_click=leave)


def list_worse(row: MatrixRow) -> list[str]:
    """Measures of yes and no, or ratings, that may have got worse: what fails first."""
    found = []
    for name, cell in row.cells.items():
        better = get_measure(name).better
        moved = cell.change.difference
        lost = better is not None and moved and (moved > 0) is (better == "lower")
        if lost and get_measure(name).unit != "words":
            place = _ORDER.index(cell.word) if cell.word in _ORDER else len(_ORDER)
            found.append((place, -abs(moved), name))
    return [name for _, _, name in sorted(found)]


def _build_head(baseline: Evaluation, one: Evaluation, row: MatrixRow) -> str:
    word = build_word(row.gate.status) if row.gate is not None else ""
    reasons = row.gate.reasons if row.gate is not None else ()
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    told = f"{one.run}: {row.cases:,} answers to the same prompts, against {baseline.name}"
    passed = "" if reasons else '<p class="cai-quiet">Nothing that the gate holds got worse.</p>'
    return (
        f'<h2 class="cai-h2">{escape(one.name)} {word}</h2>'
        f'<p class="cai-lead">{escape(told)}</p>{passed}<ul class="cai-body">{items}</ul>'
    )


def _show_examples(baseline: Evaluation, one: Evaluation, row: MatrixRow) -> None:
    workspace, runs = services.workspace(), (baseline.run, one.run)
    shown = 0
    for measure in list_worse(row):
        cell = row.cells[measure]
        flips = load_flips(workspace, *runs, measure, cell.reader)
        worse = [flip for flip in flips if flip.way == "worse"]
        if not worse:
            continue
        if not shown:
            show_harmful = show_harmful_toggle("drift_result_show_harmful")
        moved, interval = describe_change(measure, cell)
        told = f"{measure}: {moved} {interval}, {len(worse):,} flipped for the worse"
        link = escape(build_link(one.run, measure))
        st.html(
            f'<h3 class="cai-h2">{escape(told)} {build_word(cell.word)}</h3>'
            f'<p class="cai-quiet"><a href="{link}">All flipped examples</a></p>'
        )
        for place, flip in enumerate(worse[:_EXAMPLES]):
            st.html(build_flip(place + 1, flip, runs, measure, show_harmful=show_harmful))
        shown += 1
        if shown == _MEASURES:
            return
    if not shown:
        st.html('<p class="cai-quiet">No answer flipped for the worse.</p>')
