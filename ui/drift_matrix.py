"""The matrix: a row for each evaluation, a column for each measure; cells lead to examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import streamlit as st

from cai_core.evaluation.measures import KEEPS, MEASURES, get_measure
from ui.drift_address import build_link
from ui.drift_data import Cell, Evaluation, MatrixRow
from ui.look import build_card, escape

# Word → Material Symbols name, class of its colour.
_SHOWN: Mapping[str, tuple[str, str]] = {
    "fail": ("error", "bad"),
    "warn": ("warning", "doubt"),
    "pass": ("check_circle", "good"),
    "better": ("trending_up", "good"),
    "worse": ("trending_down", "bad"),
    "changed": ("sync_alt", "even"),
    "may be chance": ("casino", "even"),
    "no change": ("remove", "even"),
}
_READERS = {
    "oracle": "The demo world’s oracle, which knows the truth",
    "judge": "The judge",
    "phrases": "Phrases alone",
}
STYLE = """<style>
.cai-drift { overflow: auto; max-height: 75vh; max-width: 100%;
  border: 1px solid light-dark(#d6dae3, #343948); border-radius: 0.5rem; }
.cai-drift table { border-collapse: separate; border-spacing: 0; font-size: 0.85rem; width: 100%; }
.cai-drift th { text-align: left; font-weight: 600; vertical-align: bottom; }
.cai-drift th, .cai-drift td { padding: 0.4rem 0.7rem; min-width: 7.2rem;
  border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d); background: light-dark(#ffffff, #171a23); }
.cai-drift td { vertical-align: top; padding: 0; }
.cai-drift td > * { padding: 0.4rem 0.7rem; display: block; }
.cai-drift thead th { position: sticky; top: 0; z-index: 2;
  color: light-dark(#5b6270, #a3aab8); }
.cai-drift tbody th { position: sticky; left: 0; z-index: 1; overflow-wrap: anywhere;
  min-width: 8rem; max-width: 16rem; vertical-align: top; }
.cai-drift thead th:first-child { left: 0; z-index: 3; }
.cai-drift a { color: inherit; text-decoration: none; height: 100%; }
.cai-drift a:hover, .cai-drift a:focus-visible { background: light-dark(#eef1f8, #232838); }
.cai-drift b { font-size: 1rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cai-drift small { display: block; color: light-dark(#5b6270, #a3aab8); font-weight: 400;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cai-drift-word { display: inline-flex; gap: 0.25rem; align-items: center; font-weight: 600;
  vertical-align: bottom; }
.cai-drift-word .cai-icon { font-size: 1.05rem; }
.cai-sides { display: grid; gap: 0.6rem; margin: 0.6rem 0 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.cai-drift .bad, .cai-drift-word.bad { color: light-dark(#b42318, #fda29b); }
.cai-drift .doubt, .cai-drift-word.doubt { color: light-dark(#a04a06, #fbbf4d); }
.cai-drift .good, .cai-drift-word.good { color: light-dark(#0f766e, #5eead4); }
.cai-drift .even { color: light-dark(#5b6270, #a3aab8); }
.cai-facts { border-collapse: collapse; font-size: 0.9rem; max-width: 60rem; }
.cai-facts :is(th, td) { text-align: left; vertical-align: top; padding: 0.25rem 0.9rem 0.25rem 0;
  overflow-wrap: anywhere; border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d); }
.cai-facts th { font-weight: 600; white-space: nowrap; color: light-dark(#5b6270, #a3aab8); }
.cai-row { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.15rem 0.6rem;
  font-size: 0.85rem; }
.cai-row > span { min-width: 0; overflow-wrap: anywhere; }
.cai-drift summary { cursor: pointer; }
.cai-drift ul { margin: 0.3rem 0 0; padding-left: 1.1rem; min-width: 13rem; }
.cai-drift li { overflow-wrap: anywhere; margin: 0.2rem 0; }
@media (max-width: 640px) { .cai-drift tbody th { max-width: 8.5rem; }
  .cai-drift th, .cai-drift td > * { padding: 0.35rem 0.5rem; } }
</style>"""


def show_matrix(
    baseline: Evaluation, rows: Sequence[MatrixRow], names: Mapping[str, Evaluation]
) -> None:
    """Render the matrices, of measures and of principles, and what makes them doubtful.

    Args:
        names: the evaluations by run.
    """
    told = {name for row in rows for name in row.cells}
    measures = [name for name in MEASURES if name in told]
    principles = sorted(name for name in told if name.startswith(KEEPS))
    _show_warnings(rows, names)
    st.html(build_matrix(rows, names, measures, gate=True, title="Measures by evaluation"))
    st.html(f'<p class="cai-quiet">{escape(_explain(baseline, rows))}</p>')
    if principles:
        st.html('<h2 class="cai-h2">Adherence by principle</h2>')
        st.html(build_matrix(rows, names, principles, gate=False, title="Principles by evaluation"))


def build_matrix(
    rows: Sequence[MatrixRow],
    names: Mapping[str, Evaluation],
    measures: Sequence[str],
    *,
    gate: bool,
    title: str,
) -> str:
    """One table; names come from people and servers, and are escaped.

    Args:
        gate: add the gate's verdict, with its reasons.
    """
    head = ["Evaluation", *(["Gate"] if gate else []), *(m.removeprefix(KEEPS) for m in measures)]
    notes = ["", *([""] if gate else []), *map(_tell_better, measures)]
    top = "".join(
        f'<th scope="col">{escape(name)}<small>{escape(note)}</small></th>'
        for name, note in zip(head, notes, strict=True)
    )
    body = "".join(_build_row(row, names[row.run], measures, gate=gate) for row in rows)
    return (
        f'<div class="cai-drift" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def build_word(word: str) -> str:
    """A status: its icon and its word."""
    icon, colour = _SHOWN[word]
    return (
        f'<span class="cai-drift-word {colour}">'
        f'<span class="cai-icon" aria-hidden="true">{icon}</span>{escape(word)}</span>'
    )


def describe_change(measure: str, cell: Cell) -> tuple[str, str]:
    """Δ, and its interval: `+12.3 points`, `[+8.1, +16.4]`."""
    change, unit = cell.change, get_measure(measure).unit
    scale, digits = (100, 1) if unit == "points" else (1, 2 if unit == "scale" else 1)
    moved, low, high = (
        # Adding 0 makes a rounded −0 a 0.
        f"{round(scale * value, digits) + 0.0:+.{digits}f}"
        for value in (change.difference, change.low, change.high)
    )
    return f"{moved} {'of 4' if unit == 'scale' else unit}", f"[{low}, {high}]"


def describe_p(p: float) -> str:
    """A p-value for people."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _build_row(
    row: MatrixRow, evaluation: Evaluation, measures: Sequence[str], *, gate: bool
) -> str:
    cells = [_build_gate(row)] if gate else []
    cells += [_build_cell(row.run, name, row.cells.get(name), evaluation) for name in measures]
    cases = f"{row.cases:,} pairs" + (f", {row.unpaired:,} unpaired" if row.unpaired else "")
    run = "" if row.run == evaluation.name else f"<small>{escape(row.run)}</small>"
    head = f'<th scope="row">{escape(evaluation.name)}{run}<small>{escape(cases)}</small></th>'
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _build_cell(run: str, measure: str, cell: Cell | None, evaluation: Evaluation) -> str:
    if cell is None:
        return '<span class="even">not measured</span>'
    moved, interval = describe_change(measure, cell)
    label = f"{measure}, {evaluation.name}: {moved}, {cell.word}; show the examples"
    return (
        f'<a href="{escape(build_link(run, measure))}" aria-label="{escape(label)}">'
        f"<b>{escape(moved)}</b><small>{escape(interval)}</small>{build_word(cell.word)}"
        f"<small>{escape(describe_p(cell.p))}, n = {cell.change.n:,}</small></a>"
    )


def _build_gate(row: MatrixRow) -> str:
    if row.gate is None:
        return '<span class="even">holds nothing measured</span>'
    word = build_word(row.gate.status)
    if not row.gate.reasons:
        return f"<span>{word}</span>"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in row.gate.reasons)
    count = len(row.gate.reasons)
    told = f"{count} reason{'s' * (count != 1)}"
    return f"<details><summary>{word}<small>{told}</small></summary><ul>{reasons}</ul></details>"


def _show_warnings(rows: Sequence[MatrixRow], names: Mapping[str, Evaluation]) -> None:
    by_text: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            by_text.setdefault(warning, []).append(names[row.run].name)
    if not by_text:
        return
    lines = (f"{text} ({_count(whose, len(rows))})" for text, whose in by_text.items())
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    title = "More than the model may differ"
    st.html(build_card("note", title, f'<ul class="cai-body">{items}</ul>'))


def _count(whose: Sequence[str], of: int) -> str:
    if len(whose) == of and of > 1:
        return f"all {of}"
    return ", ".join(whose) if len(whose) <= 3 else f"{', '.join(whose[:2])} and {len(whose) - 2}"


def _explain(baseline: Evaluation, rows: Iterable[MatrixRow]) -> str:
    readers = {cell.reader for row in rows for cell in row.cells.values() if cell.reader}
    who = "; ".join(words for name, words in _READERS.items() if name in readers)
    return (
        f"Each cell: the evaluation less the baseline ({baseline.name}), over answers to the same "
        "prompts, with a paired 95 % interval; p corrected by Holm over the evaluation’s measures, "
        "or over the gate’s where it holds the measure. Open a cell for the flipped examples."
        + (f" Read by: {who}." if who else "")
    )


def _tell_better(measure: str) -> str:
    better = get_measure(measure).better
    return "" if better is None else f"{better} is better"
