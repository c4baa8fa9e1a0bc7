"""The drawer of a pair of models: their comparisons, losses first, with the judge's reasons."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.evaluation.pairwise import Match
from cai_core.jobs.label_study import LabelStudy, list_answers
from cai_core.jobs.pairwise_study import PairwiseStudy
from cai_core.records import PromptKind
from ui import services
from ui.constitution_pager import show_part
from ui.evidence_address import ANCHOR, PAIR, PAIRS, leave, read
from ui.evidence_data import load_pairs
from ui.explorer_links import find_comparison_place, show_link
from ui.harm import hold_back, show_harmful_toggle
from ui.labels_data import load_labels
from ui.look import build_badge, build_card, build_error, escape

_SHOWN = 4
_WORDS = {
    1.0: "preferred",
    0.75: "preferred in one order, a tie in the other",
    0.5: "tie",
    0.25: "the other preferred in one order, a tie in the other",
    0.0: "the other preferred",
    None: "unparsed",
}


@st.dialog("The comparisons", width=1000, position="right", on_dismiss=leave)
def show_matches(labels_of: Mapping[str, str]) -> None:
    """Render the pair that an address names, which may be any.

    Args:
        labels_of: run → what the page calls it, of those that it shows.
    """
    one, _, other = read(PAIR).partition(",")
    try:
        study, _ = load_pairs(services.workspace(), read(PAIRS), read(ANCHOR))
        labels = load_labels(study.run)
    except (CaiError, OSError, ValueError, IndexError) as error:
        st.html(build_error("These comparisons cannot be read", str(error)))
        return
    found = list_matches(study, one, other)
    if not found:
        words = "The address names two models that this run did not compare."
        st.html(build_card("note", "No such pair", words))
        return
    names = (
        labels_of.get(one, study.names[one]),
        labels_of.get(other, study.names[other]),
    )
    st.html(f'<h2 class="cai-h2">{escape(names[0])} against {escape(names[1])}</h2>')
    told = f"{len(found):,} comparisons; those that the first lost come first."
    st.html(f'<p class="cai-quiet">{escape(told)}</p>')
    shown = show_harmful_toggle("evidence_show_pairs")
    for place, match in show_part(f"evidence_{one}_{other}", found, _SHOWN):
        _show_match(place + 1, match, names, labels, show_harmful=shown)


def list_matches(study: PairwiseStudy, one: str, other: str) -> list[Match]:
    """The pair's comparisons as told of the first: losses, unreadable ones, ties, wins."""
    told = [
        match if match.first == one else match.swapped()
        for match in study.matches
        if {match.first, match.second} == {one, other}
    ]
    asked = [match for match in told if match.comparison is not None]
    return sorted(asked, key=lambda match: _rank(match.judged.points))


def _rank(points: float | None) -> float:
    return 0.25 if points is None else points


def _show_match(
    number: int,
    match: Match,
    names: tuple[str, str],
    labels: LabelStudy,
    *,
    show_harmful: bool,
) -> None:
    place = labels.by_id.get(match.comparison or "")
    if place is None:
        return
    examined = labels.examined[place]
    label = examined.label
    texts = (label.response_a, label.response_b)
    if label.source_a.get("run") != match.first:
        texts = texts[::-1]
    held = label.prompt_kind is PromptKind.RED_TEAM and not show_harmful
    bodies = [hold_back(escape(text)) if held else escape(text) for text in texts]
    points = match.judged.points
    badges = build_badge(f"{names[0]}: {_WORDS[points]}")
    badges += "".join(build_badge(name, quiet=True) for name in label.principle_ids)
    prompt = build_card(
        "prompt",
        f"{number}. {match.prompt_id}, sample {match.sample + 1}",
        escape(label.conversation[-1].content),
        badges=badges,
    )
    cards = "".join(
        build_card("response", name, body) for name, body in zip(names, bodies, strict=True)
    )
    st.html(f'<div>{prompt}<div class="cai-beside">{cards}</div></div>')
    if reasons := _build_reasons(labels, examined, match, names, held=held):
        st.html(reasons)
    show_link(
        find_comparison_place(labels.run.run_id, label.comparison_id),
        "Open this comparison",
        icon=":material/open_in_new:",
    )


def _build_reasons(
    labels: LabelStudy,
    examined: ExaminedLabel,
    match: Match,
    names: tuple[str, str],
    *,
    held: bool,
) -> str:
    """What the judge wrote in each order; in its words A is the one that was shown first."""
    parts = []
    a_first = examined.label.source_a.get("run") == match.first
    for row in list_answers(labels, examined):
        if not row.text:
            continue
        first = names[0] if a_first is (row.order == 0) else names[1]
        body = hold_back(escape(row.text)) if held else escape(row.text)
        parts.append(
            f'<details class="cai-reasoning"><summary>The judge, {escape(first)} shown first as A'
            f"</summary><div>{body}</div></details>"
        )
    return "".join(parts)
