"""The drawer that shows one comparison whole: both responses, every answer, the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.jobs.label_study import LabelStudy, list_answers
from cai_core.pipeline.label_answers import read_prob_first
from cai_core.pipeline.replay_targets import build_label_target
from cai_core.records import Verdict
from cai_core.workspace.rows import Row
from ui.explorer_transcript import STYLE, build_facts
from ui.harm import hold_back, show_harmful_toggle
from ui.labels_address import LABEL
from ui.labels_list import build_facts as build_badges
from ui.labels_list import is_held
from ui.labels_words import build_verdict
from ui.look import build_badge, build_card, build_error, escape
from ui.replay import forget_replay, replay_button, show_replay


def close_comparison() -> None:
    """Take the comparison out of the address, and its replay."""
    st.query_params.pop(LABEL, None)
    forget_replay()


@st.dialog("Comparison", width=1000, position="right", on_dismiss=close_comparison)
def show_comparison(study: LabelStudy, comparison_id: str) -> None:
    """Render the comparison of that id; the id comes from an address and may be anything."""
    st.html(STYLE)
    place = study.by_id.get(comparison_id)
    if place is None:
        words = "The address names a comparison that this run has no label of."
        st.html(build_card("note", "No such comparison here", words))
        return
    one = study.examined[place]
    st.html(f'<div class="cai-round-meta">{build_badges(one)}</div>')
    shown = show_harmful_toggle("label_show_harmful") if is_held(one) else True
    st.html(build_comparison(one, show_harmful=shown))
    for name in one.label.principle_ids:
        st.html(_build_principle(study, one, name))
    st.html('<h2 class="cai-part">What was said</h2>')
    st.html(build_facts(_list_facts(study, one)))
    _show_answers(study, one)


def build_comparison(one: ExaminedLabel, *, show_harmful: bool) -> str:
    """The conversation, and both responses side by side."""
    label = one.label
    titles = {"system": "System prompt", "assistant": "Earlier answer"}
    cards = [
        build_card(
            "response" if turn.role == "assistant" else "prompt",
            titles.get(turn.role, "Prompt"),
            escape(turn.content),
        )
        for turn in label.conversation
    ]
    sides = []
    for name, text in ((Verdict.A, label.response_a), (Verdict.B, label.response_b)):
        body = escape(text)
        badges = build_badge("preferred") if label.verdict is name else ""
        if one.truth is not None and one.truth.verdict is name:
            badges += build_badge("better in truth", quiet=True)
        sides.append(
            build_card(
                "response",
                f"Response {name.value}",
                body if show_harmful else hold_back(body),
                badges=badges,
            )
        )
    return (
        f'<div class="cai-transcript">{"".join(cards)}'
        f'<div class="cai-pair">{"".join(sides)}</div></div>'
    )


def _build_principle(study: LabelStudy, one: ExaminedLabel, name: str) -> str:
    known = {principle.id: principle for principle in study.constitution.principles}
    principle = known.get(name)
    text = principle.comparison_request or principle.text if principle is not None else ""
    badges = f'<span class="cai-quiet">{escape(name)}</span>'
    if (verdict := one.by_principle.get(name)) is not None:
        badges += build_verdict(verdict)
    body = escape(text) or '<span class="cai-quiet">The run kept no text of it.</span>'
    return build_card("principle", "Principle", body, badges=badges, slim=True)


def _list_facts(study: LabelStudy, one: ExaminedLabel) -> dict[str, object]:
    label = one.label
    truth = None
    if one.truth is not None:
        truth = f"{one.truth.verdict.value}, by {one.truth.by}"
    facts: dict[str, object] = {
        "Verdict": label.verdict.value,
        "Truth": truth or "not known",
        "P(A preferred)": label.prob_a,
        "… what trains": label.prob_a_clamped,
        "… with A shown first": label.prob_a_first,
        "… with A shown second": label.prob_a_second,
        "Position bias": label.position_bias,
        "Words, A and B": f"{len(label.response_a.split())}, {len(label.response_b.split())}",
        "Labelled by": label.feedback_model or label.reviewer or label.label_source,
        "Response A from": _describe_source(label.source_a),
        "Response B from": _describe_source(label.source_b),
        "Prompt": label.prompt_id,
        "Tags": ", ".join(label.tags) or "none",
        "Comparison": label.comparison_id,
    }
    if one.other is not None:
        facts["The other run"] = one.other.value
    numbers = {name: f"{told:.4f}" for name, told in facts.items() if isinstance(told, float)}
    return {**facts, **numbers}


def _describe_source(source: object) -> str:
    parts = source.values() if isinstance(source, dict) else ()
    return " · ".join(map(str, parts)) or "elsewhere"


def _show_answers(study: LabelStudy, one: ExaminedLabel) -> None:
    try:
        rows = list_answers(study, one)
    except CaiError as error:
        st.html(build_error("The answers cannot be read", str(error)))
        return
    _show_replay(study, one, rows)
    if not rows:
        words = "Nobody was asked." if one.label.label_source != "feedback-model" else "No answers."
        st.html(f'<div class="cai-quiet">{words}</div>')
        return
    st.html('<h2 class="cai-part">The feedback model’s answers</h2>')
    st.html(build_answers(rows, study.recipe.least_mass))


def _show_replay(study: LabelStudy, one: ExaminedLabel, rows: Sequence[Row]) -> None:
    st.html('<h2 class="cai-part">Replay</h2>')
    run = study.run
    target = build_label_target(run.run_id, run.kind, one.place, one.label, rows)
    replay_button(target, at="labels")
    show_replay(target, show_harmful=True)


def build_answers(rows: Sequence[Row], least_mass: float) -> str:
    """Each answer as a card: the order, what it comes to, and its chain of thought."""
    return (
        f'<div class="cai-transcript">{"".join(_build_answer(r, least_mass) for r in rows)}</div>'
    )


def _build_answer(row: Row, least_mass: float) -> str:
    title = f"{'B' if row.order else 'A'} shown first"
    if row.error is not None:
        return build_error(f"{title}: no answer", row.error)
    scoring = row.scoring or {}
    prob = read_prob_first(scoring, row.verdict, least_mass=least_mass) if scoring else None
    badges = [build_badge(row.principle_id or "", quiet=True)] if row.principle_id else []
    if row.cot:
        badges.append(build_badge(f"chain of thought {row.cot + 1}", quiet=True))
    if prob is None:
        badges.append(build_badge("unparsed", quiet=True, dashed=True))
    else:
        badges.append(build_badge(f"P(first preferred) {prob:.4f}"))
    told = []
    if scoring.get("options"):
        shares = zip(scoring["options"], scoring["probabilities"], strict=False)
        told.append(" · ".join(f"{word.strip()} {share:.4f}" for word, share in shares))
    if scoring.get("mass") is not None:
        told.append(f"mass {scoring['mass']:.4f}")
    told.append(f"read by {scoring.get('way', 'nothing')}, seed {row.seed}")
    body = f'<div class="cai-quiet">{escape("; ".join(told))}</div>'
    if row.text:
        body = escape(row.text) + body
    return build_card("label", title, body, badges="".join(badges), slim=True)
