"""The drawer of a cell: answers of all models to the same prompts, those that differ first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.evidence import DISTINCT, OUTSIDE, Column, Evidence
from cai_core.evaluation.measures import WORDS
from cai_core.evaluation.text_measures import split_words
from ui import services
from ui.constitution_pager import show_part
from ui.drift_flips import is_held_back
from ui.evidence_address import leave
from ui.evidence_data import Chosen, load_reasons, load_sides
from ui.evidence_words import describe_change, describe_figure, tell_change
from ui.harm import hold_back, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, escape

_SHOWN = 4
_Line = Mapping[str, Any]


@st.dialog("The answers", width=1000, position="right", on_dismiss=leave)
def show_answers(chosen: Chosen, found: Evidence | None, run: str, measure: str) -> None:
    """Render the cell that an address names, which may be any."""
    columns = found.columns if found is not None else ()
    column = next((one for one in columns if one.name == measure), None)
    if found is None or column is None or run not in chosen.runs:
        words = "The address names a model or a measure that is not in this table."
        st.html(build_card("note", "No such cell", escape(words)))
        return
    st.html(_build_head(chosen, found, column, run))
    for warning in found.warnings.get(run, ()):
        st.html(build_card("note", "Careful", escape(warning), slim=True))
    try:
        sides = load_sides(services.workspace(), chosen.runs)
        shown = show_harmful_toggle("evidence_show_harmful")
        keys = order_keys(sides, column, chosen.runs.index(run))
        if not keys:
            st.html(build_card("note", "Nothing to read", "No prompt was asked of this."))
            return
        told = "Prompts on which the model and the reference differ most come first."
        st.html(f'<p class="cai-quiet">{told}</p>')
        for place, key in show_part(f"evidence_{run}_{measure}", keys, _SHOWN):
            st.html(_build_prompt(place + 1, key, chosen, sides, column, show_harmful=shown))
    except (CaiError, OSError, KeyError) as error:
        st.html(build_error("The answers cannot be read", str(error)))


def order_keys(sides: Sequence[Side], column: Column, at: int) -> list[Key]:
    """The prompts that the column is about: those on which one side differs most from the first.

    Args:
        sides: the reference first. at: place of the side that is looked at; 0 looks at how far
            the reference is from any other one.
    """
    reference = sides[0]
    others = [sides[at]] if at else list(sides[1:])
    ranked = []
    for place, key in enumerate(reference.keys):
        own = read_value(reference, key, column)
        told = [read_value(side, key, column) for side in others if key in side.lines]
        if own is None and all(value is None for value in told):
            continue
        far = [abs(value - own) for value in told if value is not None and own is not None]
        ranked.append((-max(far, default=-1.0), place, key))
    return [key for _, _, key in sorted(ranked)]


def read_value(side: Side, key: Key, column: Column) -> float | None:
    """What one side's answer has in a measure; None where nobody could tell."""
    line = side.lines.get(key)
    if line is None:
        return None
    if column.name == OUTSIDE:
        return None if line.get("outside") is None else float(line["outside"])
    if column.name in (WORDS, DISTINCT):
        return float(len(split_words(str(line["response"]))))
    reader = "judge" if column.unit == "scale" else str(column.reader)
    values = side.values.get(column.name, {}).get(reader)
    if values is None:
        return None
    value = float(values.told[_find_place(side, key)])
    return None if math.isnan(value) else value


def _build_head(chosen: Chosen, found: Evidence, column: Column, run: str) -> str:
    parts = []
    figure = found.figures.get((column.name, run))
    if figure is not None:
        parts.append(" ".join(describe_figure(column, figure)))
    change = found.changes.get((column.name, run))
    if change is not None:
        moved = " ".join(describe_change(column, change))
        parts.append(
            f"against {chosen.labels[chosen.reference]}: {moved}, n = {change.n:,}, "
            f"{tell_change(column, change, found.figures.get((OUTSIDE, run)))}"
        )
    return (
        f'<h2 class="cai-h2">{escape(column.name)}</h2>'
        f'<p class="cai-lead">{escape(chosen.labels[run])}</p><p>{escape("; ".join(parts))}</p>'
    )


def _build_prompt(
    number: int,
    key: Key,
    chosen: Chosen,
    sides: Sequence[Side],
    column: Column,
    *,
    show_harmful: bool,
) -> str:
    line = next(side.lines[key] for side in sides if key in side.lines)
    *earlier, asked = [str(turn["content"]) for turn in line["conversation"]] or [""]
    body = escape(asked)
    if earlier:
        turns = "".join(f"<p>{escape(text)}</p>" for text in earlier)
        body = f'<details class="cai-more"><summary>Earlier turns</summary>{turns}</details>{body}'
    badges = build_badge(str(line["kind"]), quiet=True)
    if line["category"] != "none":
        badges += build_badge(str(line["category"]), quiet=True)
    head = build_card("prompt", f"{number}. {key[0]}, sample {key[1] + 1}", body, badges=badges)
    cards = "".join(
        _build_answer(run, key, chosen.labels[run], side, column, show_harmful=show_harmful)
        for run, side in zip(chosen.runs, sides, strict=True)
    )
    return f'<div>{head}<div class="cai-beside">{cards}</div></div>'


def _build_answer(
    run: str, key: Key, label: str, side: Side, column: Column, *, show_harmful: bool
) -> str:
    line = side.lines.get(key)
    if line is None:
        return build_card("response", label, '<span class="cai-quiet">No answer</span>')
    held = not show_harmful and is_held_back(line)
    body = escape(str(line["response"]))
    reasons = _build_reasons(run, key, column.name, held=held)
    badge = build_badge(_tell(column, read_value(side, key, column)))
    return build_card(
        "response", label, (hold_back(body) if held else body) + reasons, badges=badge
    )


def _build_reasons(run: str, key: Key, measure: str, *, held: bool) -> str:
    parts = []
    for name, text in load_reasons(services.workspace(), run, key, measure):
        body = hold_back(escape(text)) if held else escape(text)
        parts.append(
            f'<details class="cai-reasoning"><summary>The judge: {escape(name)}</summary>'
            f"<div>{body}</div></details>"
        )
    return "".join(parts)


def _tell(column: Column, value: float | None) -> str:
    if value is None:
        return f"{column.name}: not told"
    if column.name in (WORDS, DISTINCT):
        return f"{value:.0f} words"
    if column.unit == "points":
        return f"{column.name}: {'yes' if value else 'no'}"
    return f"{column.name}: {value:.1f}"


def _find_place(side: Side, key: Key) -> int:
    """The key's place among the side's; sides are kept, so that their places are, too."""
    held = _places.get(id(side))
    if held is None or held[0] is not side:
        if len(_places) >= _MOST_PLACES:
            _places.clear()
        held = _places[id(side)] = (side, {one: place for place, one in enumerate(side.keys)})
    return held[1][key]


_MOST_PLACES = 32
_places: dict[int, tuple[Side, dict[Key, int]]] = {}
