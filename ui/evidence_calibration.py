"""What a judge's word is worth against people's, wherever the judge's figures are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.metrics import Rate
from cai_core.jobs.calibration_study import (
    CalibratedJudge,
    JudgeName,
    get_judge,
    study_calibration,
)
from cai_core.jobs.drift_matrix import load_header
from cai_core.pipeline.evaluate import shorten_model
from ui import services
from ui.evidence_address import REVIEW, go
from ui.look import build_card, escape, escape_markdown
from ui.runs_words import build_table

NOT_YET = "not calibrated against people yet"
_HEAD = [
    "Question",
    "People said",
    "Same word as people",
    "Kappa",
    "Found of what people found",
    "False alarms",
    "Judge less people",
]
_SOURCES = {
    "answers": "answers of evaluations",
    "comparisons": "review queues",
    "critiques": "reviews of critiques",
}


def show_calibration(runs: Sequence[str], *, key: str, here: bool = False) -> None:
    """Render, for each judge of these evaluations, how far people agree with it, or that nobody
    has said anything yet, with the way to where people do.

    Args:
        runs: ids of evaluations; those without a judge, or that cannot be read, say nothing.
        key: tells two of these on one page apart.
        here: this is the evidence page itself.
    """
    for number, (judge, run) in enumerate(list_judges(runs)):
        name = shorten_model(judge.name)
        found = study_calibration(services.workspace(), judge)
        with st.container(border=True, gap="small", key=f"calibration_{key}_{number}"):
            if found:
                st.html(f'<p class="cai-lead">{escape(describe_calibration(name, found))}</p>')
                st.html(build_table(_HEAD, [_build_row(one) for one in found]))
            else:
                words = "Its figures are its word alone until people have read some of the answers."
                st.html(build_card("note", f"The judge {name}: {NOT_YET}", words, slim=True))
            label = f"Read answers that {name} judged, and say what you see"
            if here:
                st.button(
                    escape_markdown(label),
                    key=f"calibrate_{key}_{number}",
                    icon=":material/how_to_reg:",
                    on_click=go,
                    kwargs={REVIEW: run},
                )
            else:
                link = f"evidence?{urlencode({REVIEW: run}, errors='replace')}"
                st.html(f'<a class="cai-link" href="{escape(link)}">{escape(label)}</a>')


def list_judges(runs: Iterable[str]) -> list[tuple[JudgeName, str]]:
    """Each judge of these evaluations once, with the first evaluation that it judged."""
    found: list[tuple[JudgeName, str]] = []
    for run in runs:
        try:
            judge = get_judge(load_header(services.workspace(), run))
        except (CaiError, KeyError, TypeError):
            continue  # the page says what is wrong with it
        if judge is None:
            continue
        if not any(held.is_same(judge.model_id, judge.weights_hash) for held, _ in found):
            found.append((judge, run))
    return found


def describe_calibration(name: str, found: Sequence[CalibratedJudge]) -> str:
    """One sentence: how many cases, from where, and how many of them were read blind."""
    cases = sum(one.calibration.n + one.calibration.unparsed for one in found)
    where = ", ".join(dict.fromkeys(_SOURCES[one.source] for one in found))
    people = max(one.reviewers for one in found)
    return (
        f"The judge {name} against {people} {'people' if people > 1 else 'person'} on {cases:,} "
        f"cases ({where})"
    )


def _build_row(one: CalibratedJudge) -> list[str]:
    found = one.calibration
    left_out = f", {found.undecided:,} undecided" if found.undecided else ""
    left_out += f", {found.unparsed:,} unreadable to the judge" if found.unparsed else ""
    kappa = found.kappa
    return [
        one.question,
        f"n = {found.n:,}{left_out}; {100 * one.blind:.0f} % blind",
        _tell(found.agreement),
        "–"
        if kappa is None
        else f"{kappa.kappa:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]".replace("-", "−"),
        _tell(found.found),
        _tell(found.false_alarms),
        "–" if found.bias is None else f"{100 * found.bias:+.1f} points".replace("-", "−"),
    ]


def _tell(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    return f"{100 * rate.rate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}], n = {rate.n:,}"
