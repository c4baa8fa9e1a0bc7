"""Multiple-choice files (HHH evaluations): how well judges and reward models answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cai_core.pipeline.choices_run import list_figures
from cai_core.pipeline.evaluate import shorten_model
from ui import services
from ui.look import escape_markdown
from ui.runs_words import build_table

_COMMAND = "python -m cai_core choices MODEL FILE.jsonl"
_HEAD = ["Model", "File", "Right", "n, contexts", "Chance", "First chosen, right", "Not scored"]


def show_choices() -> None:
    """Render every run, and the command that makes one."""
    st.html('<h2 class="cai-h2">Multiple choice</h2>')
    runs = list(list_figures(services.workspace()))
    if runs:
        st.html(build_table(_HEAD, [_build_row(document) for _, document in runs]))
        kinds = [(run, document) for run, document in runs if len(document["by_kind"]) > 1]
        for run, document in kinds:
            title = escape_markdown(f"{_name(document)} by category")
            with st.expander(title, key=f"choices_{run}"):
                st.html(build_table(["Category", "Right", "n, contexts"], _list_kinds(document)))
        st.html(
            '<p class="cai-quiet">Judges see each answer under two letters; reward models read '
            "each answer at the end of its conversation. 95 % intervals, by contexts that "
            "questions share.</p>"
        )
    else:
        words = "No file of questions such as the HHH evaluations was scored yet."
        st.html(f'<div class="cai-empty">{words}</div>')
    st.html('<span class="cai-field">On the command line</span>')
    st.code(_COMMAND, language="bash", wrap_lines=True)


def _build_row(document: Mapping[str, Any]) -> list[str]:
    chance, mean = document["chance"], document["accuracy"]
    drawn = "" if document["shuffled"] is None else ", right answers drawn anew"
    first = document["first_chosen"]
    places = "–"
    if document["scorer"] == "judge" and first is not None:
        right = document["first_right"]
        places = f"{100 * first['rate']:.0f} %, {100 * right['rate']:.0f} %"
    above = "" if document["above_chance"] or mean is None else ", not above chance"
    return [
        _name(document),
        f"{document['file']}{drawn}",
        f"{_tell(mean)}{above}",
        _count(mean),
        "not known" if chance is None else f"{100 * chance:.1f} %",
        places,
        f"{document['unscored']:,} of {document['n']:,}",
    ]


def _list_kinds(document: Mapping[str, Any]) -> list[list[str]]:
    kinds: Mapping[str, Mapping[str, Any]] = document["by_kind"]
    return [[kind, _tell(mean), _count(mean)] for kind, mean in kinds.items()]


def _name(document: Mapping[str, Any]) -> str:
    by = "judge" if document["scorer"] == "judge" else "reward model"
    return f"{shorten_model(str(document['model']))}, {by}"


def _tell(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "not known"
    low, high = max(0.0, mean["low"]), min(1.0, mean["high"])
    return f"{100 * mean['mean']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _count(mean: Mapping[str, Any] | None) -> str:
    return "–" if mean is None else f"{mean['n']:,}, {mean['clusters']:,}"
