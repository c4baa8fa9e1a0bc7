"""The drawer that shows one comparison whole: the texts, the label, its reasons, people's votes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.pipeline.replay_targets import build_comparison_target
from cai_core.records import Verdict
from cai_core.workspace.index.comparison_views import AnswerView, ComparisonDetail
from cai_core.workspace.index.prepare_labels import BEHIND
from cai_core.workspace.rows import parse_row
from ui import services
from ui.diff import build_diff
from ui.explorer_lineage import Alike, Link, show_lineage
from ui.explorer_links import (
    COMPARISON,
    LABELS,
    OF,
    Place,
    find_chain_place,
    go_button,
)
from ui.explorer_transcript import STYLE, build_facts, build_turn
from ui.harm import hold_back, show_harmful_toggle
from ui.labels_address import LABEL, LIST, VIEW
from ui.labels_detail import build_answers
from ui.look import build_badge, build_card, build_error, escape, make_showable
from ui.preferences_list import build_facts as build_badges
from ui.preferences_list import is_held
from ui.replay import forget_replay, replay_button, show_replay
from ui.review_words import STYLE as REVIEW_STYLE
from ui.review_words import build_votes
from ui.side_address import find_compare_place

_MOST_ALIKE = 4
_NUMBERS = {
    "prob_a": "P(A preferred)",
    "prob_a_clamped": "… what trains",
    "prob_a_first": "… with A shown first",
    "prob_a_second": "… with A shown second",
    "position_bias": "Position bias",
}


def close_comparison() -> None:
    """Take the comparison out of the address."""
    forget_replay()
    for name in (COMPARISON, OF):
        st.query_params.pop(name, None)


@st.dialog("Comparison", width=1000, position="right", on_dismiss=close_comparison)
def show_comparison(run: str, comparison: str) -> None:
    """Render a run's comparison; both ids come from an address and may be anything."""
    st.html(STYLE + REVIEW_STYLE)
    found = _find(run, comparison)
    if found is None:
        words = (
            "The address names a comparison that this workspace does not hold. Check that the "
            "address is whole, or close this and look for the comparison in the list."
        )
        st.html(build_card("note", "No such comparison here", words))
        return
    st.html(f'<div class="cai-round-meta">{build_badges(found.view)}</div>')
    show_harmful = _controls(found)
    shown = show_harmful or not is_held(found.view.kind)
    with_diff = bool(st.session_state.get("diff"))
    st.html(build_texts(found, show_harmful=shown, with_diff=with_diff))
    _show_answers(found)
    _show_votes(found)
    _replay(found, show_harmful=shown)
    _show_provenance(found)


def build_texts(found: ComparisonDetail, *, show_harmful: bool, with_diff: bool) -> str:
    """The conversation, the principles, and both responses side by side.

    Args:
        with_diff: B shows what it has and A has not, and what of A it lacks.
    """
    cards = [build_turn(turn.role, turn.content) for turn in found.conversation]
    for name in found.view.principles:
        badge = f'<span class="cai-quiet">{escape(name)}</span>'
        text = escape(found.principle_texts.get(name, ""))
        body = text or '<span class="cai-quiet">The run kept no text of it.</span>'
        cards.append(build_card("principle", "Principle", body, badges=badge, slim=True))
    view = found.view
    second = escape(view.response_b)
    if with_diff and view.response_a != view.response_b:
        second = build_diff(view.response_a, view.response_b)
    sides = []
    for name, body in ((Verdict.A, escape(view.response_a)), (Verdict.B, second)):
        badges = build_badge("preferred") if view.verdict is name else ""
        if name is Verdict.B and view.response_a == view.response_b:
            badges += build_badge("the same text", quiet=True)
        shown = body if show_harmful else hold_back(body)
        sides.append(build_card("response", f"Response {name.value}", shown, badges=badges))
    pair = f'<div class="cai-pair">{"".join(sides)}</div>'
    return f'<div class="cai-transcript">{"".join(cards)}{pair}</div>'


def list_label_facts(found: ComparisonDetail) -> dict[str, Any]:
    """What the label says of itself."""
    record, view = found.record, found.view
    if view.verdict is None:
        return {"Label": "none yet"}
    numbers = {
        name: f"{value:.4f}"
        for field, name in _NUMBERS.items()
        if isinstance(value := record.get(field), int | float)
    }
    confidence = {}
    if view.source == "feedback-model" and view.prob_a is not None:
        confidence = {"Confidence, |P(A) − ½|": f"{abs(view.prob_a - 0.5):.4f}"}
    who = record.get("feedback_model") or record.get("reviewer") or view.source
    return {"Verdict": view.verdict.value, "Labelled by": who, **confidence, **numbers}


def _find(run: str, comparison: str) -> ComparisonDetail | None:
    index = services.index()
    if not run or not comparison:
        return None
    if (found := index.load_comparison(run, comparison)) is not None:
        return found
    # It may have been written since the index last looked.
    index.ingest()
    return index.load_comparison(run, comparison)


def _controls(found: ComparisonDetail) -> bool:
    with st.container(horizontal=True, key="drawer_controls"):
        st.toggle("Show changes from A to B", key="diff", persist_state="session")
        return show_harmful_toggle("drawer_show_harmful") if is_held(found.view.kind) else True


def _show_answers(found: ComparisonDetail) -> None:
    st.html('<h3 class="cai-part">The label</h3>')
    st.html(build_facts(list_label_facts(found)))
    if found.view.verdict is not None:
        own = {"run": found.view.run, VIEW: LIST, LABEL: found.view.comparison}
        place, icon = Place(page=LABELS, params=own), ":material/fact_check:"
        go_button(place, "In Labels, beside its truth", key="comparison_in_labels", icon=icon)
    if not found.answers:
        if found.view.source == "feedback-model":
            st.html('<div class="cai-quiet">No answers of the feedback model are kept.</div>')
        return
    st.html('<h3 class="cai-part">The feedback model’s answers, in both orders</h3>')
    st.html(build_answers([parse_row(one.record) for one in found.answers], _find_mass(found)))


def _find_mass(found: ComparisonDetail) -> float:
    told = found.recipe.get("least_mass")
    default = LabelRecipe.__dataclass_fields__["least_mass"].default
    return float(told if isinstance(told, int | float) else default)  # type: ignore[arg-type]


def _show_votes(found: ComparisonDetail) -> None:
    st.html('<h3 class="cai-part">What people say</h3>')
    if found.view.votes:
        st.html(build_votes(found.view.votes, me=services.actor().name))
    else:
        st.html('<div class="cai-quiet">Nobody has judged it in a review queue yet.</div>')


def _replay(found: ComparisonDetail, *, show_harmful: bool) -> None:
    """Ask for the label again with the same settings, and what differs."""
    st.html('<h3 class="cai-part">Replay</h3>')
    target = build_comparison_target(found)
    replay_button(target, at="comparison")
    if target is not None:
        show_replay(target, show_harmful=show_harmful)


def _show_provenance(found: ComparisonDetail) -> None:
    view = found.view
    labelled = view.verdict is not None
    labels = Place(page=LABELS, params={"run": view.run})
    quality = (labels, "Quality of its run’s labels", ":material/balance:")
    words = "Compare its run side by side"
    side = (find_compare_place(view.run), words, ":material/view_column_2:")
    show_lineage(
        view.run,
        constitution=view.constitution,
        version=found.constitution_hash,
        more=[*_list_chains(found), *([quality] if labelled else []), side],
        alike=_list_alike(found),
    )
    st.html('<h3 class="cai-part">What made it</h3>')
    st.html(build_facts(_list_facts(found)))
    for number, answer in enumerate(found.answers, start=1):
        with st.expander(_title(number, answer)):
            if answer.error is not None:
                st.html(build_error("No answer", answer.error))
            hidden = {"text", "scoring", "run_id", "prompt", "error"}
            told = {n: v for n, v in answer.record.items() if n not in hidden and v is not None}
            st.html(build_facts(told))
    with st.expander("Recipe of the run"):
        st.code(_as_json(found.recipe), language="json", wrap_lines=True)
    st.caption("Open this comparison elsewhere: add this to the workbench's address.")
    query = urlencode({COMPARISON: view.comparison, OF: view.run}, errors="replace")
    st.code(f"preferences?{query}", language=None, wrap_lines=True)


def _list_chains(found: ComparisonDetail) -> list[Link]:
    chains = {"A": found.chain_a, "B": found.chain_b}
    return [
        (find_chain_place(chain), f"Chain of response {side}", ":material/rate_review:")
        for side, chain in chains.items()
        if chain is not None
    ]


def _list_alike(found: ComparisonDetail) -> list[Alike]:
    view = found.view
    alike: list[Alike] = [
        ({"principle": name}, f"All under {name}", ":material/gavel:")
        for name in view.principles[:_MOST_ALIKE]
    ]
    if view.model:
        alike.append(({"model": view.model}, f"All labels of {view.model}", ":material/smart_toy:"))
    return alike


def _list_facts(found: ComparisonDetail) -> dict[str, Any]:
    view, record = found.view, found.record
    return {
        "Run": view.run,
        "Kind of run": found.run_kind,
        "State of run": found.run_state,
        "Started": found.started_at,
        "Constitution": view.constitution,
        "Version": found.constitution_hash,
        "Response A from": _describe_source(record.get("source_a")),
        "Response B from": _describe_source(record.get("source_b")),
        "Prompt": record.get("prompt_id"),
        "Tags": ", ".join(found.tags) or "none",
        "Place in the run": view.place % BEHIND,
        "Comparison": view.comparison,
    }


def _describe_source(source: Any) -> str:
    parts = source.values() if isinstance(source, Mapping) else ()
    return " · ".join(map(str, parts)) or "elsewhere"


def _title(number: int, answer: AnswerView) -> str:
    # Without the principle: Streamlit makes a link of what looks like one in an expander's label.
    return f"Answer {number}: {'B' if answer.order else 'A'} shown first"


def _as_json(recipe: dict[str, Any]) -> str:
    return make_showable(json.dumps(recipe, indent=2, ensure_ascii=False, default=str))
