"""Choosing the two runs, and what they differ in: what somebody compares is said first."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.workspace.index.side_views import SidePage, SideRun
from ui.look import build_card, escape
from ui.side_address import LEFT, RIGHT, change
from ui.side_recipes import SideDifference, list_differences, list_warnings

_UNITS = {"chains": ("chain", "chains"), "labels": ("comparison", "comparisons")}
_MOST_SHOWN = 8


def pick_runs(runs: Sequence[SideRun], left: str, right: str) -> None:
    """Render both fields; a change goes into the address and begins anew.

    Args:
        left, right: as the address has them; they may be none of the runs.
    """
    known = {run.run: run for run in runs}
    chosen = known.get(left)
    # What can stand on the right holds the same things as what stands on the left.
    others = [
        run.run for run in runs if run.run != left and (chosen is None or run.holds == chosen.holds)
    ]
    with st.container(horizontal=True, vertical_alignment="bottom", key="side_runs"):
        _field("Left run", LEFT, [run.run for run in runs], left, known)
        st.button(
            "Swap",
            key="side_swap",
            icon=":material/swap_horiz:",
            disabled=not (left and right),
            on_click=change,
            kwargs={LEFT: right, RIGHT: left, "show": "", "change": ""},
        )
        _field("Right run", RIGHT, others, right, known)


def show_no_pair(runs: Sequence[SideRun], left: str) -> None:
    """What stands where the pairs would be, as long as a side is missing."""
    if len(runs) < 2:
        words = (
            "<b>Nothing to compare yet.</b> Two runs on the same prompts are brought together "
            "here: under two constitutions, with two critics, two models, or two seeds."
        )
    elif not left:
        words = (
            "<b>Choose two runs.</b> Their chains, or their labels, are brought together by "
            "prompt: what differs is marked word by word."
        )
    else:
        words = "<b>Choose the right run.</b> What differs in the two recipes is said first."
    st.html(f'<div class="cai-empty">{words}</div>')


def show_differences(page: SidePage) -> None:
    """What the two runs were not made alike in, and what makes comparing them doubtful."""
    st.html(build_differences(list_differences(page.left, page.right)))
    if warnings := list_warnings(page):
        body = "".join(f"<li>{escape(one)}</li>" for one in warnings)
        st.html(build_card("note", "Mind, when comparing", f"<ul>{body}</ul>"))


def build_differences(found: Sequence[SideDifference]) -> str:
    """A table of name, left value and right value; the longer part of many is folded away."""
    if not found:
        words = "The recipes are the same in everything, and the same models answered."
        return f'<div class="cai-quiet">{words}</div>'
    head = "<tr><th>Differs in</th><th>Left</th><th>Right</th></tr>"
    shown, more = found[:_MOST_SHOWN], found[_MOST_SHOWN:]
    table = f'<table class="cai-side-table">{head}{"".join(map(_build_line, shown))}</table>'
    if more:
        rest = f'<table class="cai-side-table">{"".join(map(_build_line, more))}</table>'
        words = f"{len(more)} more"
        table += f'<details class="cai-more"><summary>{words}</summary>{rest}</details>'
    return f'<div class="cai-side-scroll">{table}</div>'


def _build_line(one: SideDifference) -> str:
    cells = "".join(f"<td>{escape(text)}</td>" for text in (one.left, one.right))
    return f'<tr><th scope="row">{escape(one.name)}</th>{cells}</tr>'


def _field(
    label: str, name: str, options: list[str], chosen: str, known: dict[str, SideRun]
) -> None:
    key = f"side_{name}"
    st.session_state[key] = chosen if chosen in options else None
    st.selectbox(
        label,
        options,
        index=None,
        format_func=lambda run: _describe(known[run]) if run in known else run,
        key=key,
        placeholder="Choose a run",
        filter_mode="contains",
        on_change=_choose,
        args=(name, key),
    )


def _describe(run: SideRun) -> str:
    unit = _UNITS[run.holds][run.count != 1]
    parts = (run.run, f"{run.count:,} {unit}", run.constitution, "recorded" * run.recorded)
    return " · ".join(part for part in parts if part)


def _choose(name: str, key: str) -> None:
    # Of the filter nothing stays: it was about other runs.
    other = RIGHT if name == LEFT else LEFT
    kept = {name: st.session_state[key] or "", other: st.query_params.get(other, "")}
    st.query_params.from_dict({one: value for one, value in kept.items() if value})
