"""The table of measures by models, and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.evaluation.evidence import MANY_OUTSIDE, OUTSIDE, Column, Evidence
from cai_core.evaluation.measures import KEEPS
from ui.evidence_address import MEASURE, RUN, build_link
from ui.evidence_data import Chosen
from ui.evidence_words import (
    READERS,
    build_word,
    describe_change,
    describe_figure,
    tell_change,
)
from ui.look import build_card, escape


def show_table(chosen: Chosen, found: Evidence) -> None:
    """Render the warnings, the table of measures, and one of principles where there are any."""
    _show_warnings(chosen, found)
    measures = [one for one in found.columns if not one.name.startswith(KEEPS)]
    principles = [one for one in found.columns if one.name.startswith(KEEPS)]
    st.html(build_table(chosen, found, measures, title="Measures by model"))
    words = (
        f"Each cell: the figure of all answers with a 95 % interval, by groups of prompts that "
        f"ask the same; below it the difference to {chosen.labels[chosen.reference]} over the same "
        f"prompts, paired, with p corrected by Holm for all {found.compared:,} differences of the "
        "page. Open a cell to read the answers beside each other."
    )
    st.html(f'<p class="cai-quiet">{escape(words)}</p>')
    if principles:
        st.html('<h2 class="cai-h2">Adherence by principle</h2>')
        st.html(build_table(chosen, found, principles, title="Principles by model"))


def build_table(chosen: Chosen, found: Evidence, columns: Sequence[Column], *, title: str) -> str:
    """A row for each measure; names come from people and servers, and are escaped."""
    head = "".join(
        f'<th scope="col">{escape(chosen.labels[run])}'
        f"<small>{escape(_tell_run(chosen, found, run))}</small></th>"
        for run in chosen.runs
    )
    body = "".join(_build_row(chosen, found, column) for column in columns)
    return (
        f'<div class="cai-evid" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f'<thead><tr><th scope="col">Measure</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _build_row(chosen: Chosen, found: Evidence, column: Column) -> str:
    notes = [READERS[column.reader]] if column.reader else []
    notes += [f"{column.better} is better"] if column.better else []
    cells = "".join(f"<td>{_build_cell(chosen, found, column, run)}</td>" for run in chosen.runs)
    name = escape(column.name.removeprefix(KEEPS))
    return f'<tr><th scope="row">{name}<small>{escape(", ".join(notes))}</small></th>{cells}</tr>'


def _build_cell(chosen: Chosen, found: Evidence, column: Column, run: str) -> str:
    figure = found.figures.get((column.name, run))
    if figure is None:
        return '<span class="even">not measured</span>'
    value, beside = describe_figure(column, figure)
    label = f"{column.name}, {chosen.labels[run]}: {value}"
    parts = [f"<b>{escape(value)}</b><small>{escape(beside)}</small>"]
    change = found.changes.get((column.name, run))
    if change is not None:
        word = tell_change(column, change, found.figures.get((OUTSIDE, run)))
        moved, interval = describe_change(column, change)
        parts.append(f"{build_word(word)}<small>{escape(moved)} {escape(interval)}</small>")
        label += f", {word}"
    link = escape(build_link(**{RUN: run, MEASURE: column.name}))
    return f'<a href="{link}" aria-label="{escape(label)}; show the answers">{"".join(parts)}</a>'


def _show_warnings(chosen: Chosen, found: Evidence) -> None:
    by_text: dict[str, list[str]] = {}
    for run, warnings in found.warnings.items():
        for warning in warnings:
            by_text.setdefault(warning, []).append(chosen.labels[run])
    if not by_text:
        return
    lines = [f"{', '.join(whose)}: {text}" for text, whose in by_text.items()]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    title = "More than the model may differ"
    st.html(build_card("note", title, f'<ul class="cai-body">{items}</ul>'))


def _tell_run(chosen: Chosen, found: Evidence, run: str) -> str:
    told = "the reference, " if run == chosen.reference else ""
    outside = found.figures.get((OUTSIDE, run))
    if outside is not None and outside.value > MANY_OUTSIDE:
        told += f"{100 * outside.value:.0f} % outside the demo world, "
    return f"{told}{run}"
