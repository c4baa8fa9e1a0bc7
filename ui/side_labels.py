"""Pairs of labels: both verdicts about the same responses, and the reasons word by word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cai_core.evaluation.kappa import mirror_verdict
from cai_core.pipeline.label_answers import read_prob_first
from cai_core.workspace.index.side_views import SideLabel, SidePair
from cai_core.workspace.rows import Row
from ui.diff import build_diff
from ui.harm import hold_back
from ui.labels_words import build_verdict
from ui.look import build_badge, build_card, build_error, escape
from ui.side_pairs import build_absent, build_head, is_harmful_kind

_LEAST_MASS = 0.5
_Key = tuple[str | None, int, int]


def build_label_pair(
    pair: SidePair,
    recipes: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    with_diff: bool,
    show_harmful: bool,
    opened: bool = False,
) -> str:
    """Both labels, as the left one's A and B; the responses once where both are about them.

    Args:
        recipes: of the left and the right run, whose least mass says what is an answer.
    """
    labels = (pair.left_label, pair.right_label)
    blurred = is_harmful_kind(pair.kind) and not show_harmful
    note = ""
    if pair.mirrored:
        note = build_badge("right asked with A and B exchanged", quiet=True)
    left, right = labels
    shared = left is None or right is None or _is_about_same(left, right, pair.mirrored)
    body = "" if shared else f'<div class="cai-two">{_responses(left, right, blurred)}</div>'
    if shared and (only := left or right) is not None:
        body = f'<div class="cai-two">{_build_responses(only, blurred)}</div>'
    cells = [
        _build_label(label, number, mirrored=bool(number) and pair.mirrored)
        for number, label in enumerate(labels)
    ]
    body += f'<div class="cai-two">{"".join(cells)}</div>'
    asked = max(len(label.answers) if label else 0 for label in labels)
    if asked:
        state = " open" if opened else ""
        body += (
            f'<details class="cai-steps"{state}><summary>What was said, answer by answer'
            f"</summary>{_build_answers(pair, recipes, with_diff=with_diff)}</details>"
        )
    return f'<div role="article" aria-label="Pair">{build_head(pair, note=note)}{body}</div>'


def _is_about_same(left: SideLabel, right: SideLabel, mirrored: bool) -> bool:
    texts = (right.response_a, right.response_b)
    return (left.response_a, left.response_b) == (texts[::-1] if mirrored else texts)


def _responses(left: SideLabel | None, right: SideLabel | None, blurred: bool) -> str:
    found = [
        f"<div>{_build_responses(label, blurred, f'{name} · ')}</div>"
        for name, label in (("Left", left), ("Right", right))
        if label is not None
    ]
    return "".join(found)


def _build_responses(label: SideLabel, blurred: bool, prefix: str = "") -> str:
    cards = []
    for name, text in (("A", label.response_a), ("B", label.response_b)):
        body = escape(text)
        cards.append(
            build_card(
                "response",
                f"{prefix}Response {name}",
                hold_back(body) if blurred else body,
            )
        )
    return "".join(cards)


def _build_label(label: SideLabel | None, number: int, *, mirrored: bool) -> str:
    name = "Right" if number else "Left"
    if label is None:
        return build_absent(f"{name}: no label of this")
    if label.verdict is None:
        return build_absent(f"{name}: not labelled yet")
    verdict = mirror_verdict(label.verdict) if mirrored else label.verdict
    prob = label.prob_a
    if prob is not None and mirrored:
        prob = 1.0 - prob
    told = [
        "P(A) not told" if prob is None else f"P(A) {prob:.3f}",
        "" if label.position_bias is None else f"position bias {label.position_bias:+.3f}",
        ", ".join(label.principles),
        label.model or label.source,
    ]
    words = " · ".join(part for part in told if part)
    badge = f'<span class="cai-label">{build_verdict(verdict)}</span>'
    body = f'<span class="cai-quiet">{escape(words)}</span>'
    return build_card("label", f"{name} · label", body, badges=badge)


def _build_answers(
    pair: SidePair, recipes: tuple[Mapping[str, Any], Mapping[str, Any]], *, with_diff: bool
) -> str:
    left = {_key(row): row for row in pair.left_label.answers} if pair.left_label else {}
    right = {}
    if pair.right_label:
        right = {_key(row, turned=pair.mirrored): row for row in pair.right_label.answers}
    cells = []
    for key in dict.fromkeys([*left, *right]):
        old, new = left.get(key), right.get(key)
        text = old.text if old is not None else None
        cells += [
            _build_answer(old, "Left", key, recipes[0], None),
            _build_answer(new, "Right", key, recipes[1], text if with_diff else None),
        ]
    return f'<div class="cai-two">{"".join(cells)}</div>'


def _build_answer(
    row: Row | None, side: str, key: _Key, recipe: Mapping[str, Any], before: str | None
) -> str:
    if row is None:
        return build_absent(f"{side}: not asked")
    principle, shown, cot = key
    thought = f", thought {cot + 1}" if cot else ""
    title = f"{side} · {'B' if shown else 'A'} shown first{thought}"
    if row.error is not None:
        return build_error(f"{title}: no answer", row.error)
    least = float(recipe.get("least_mass", _LEAST_MASS))
    prob = read_prob_first(row.scoring, row.verdict, least_mass=least) if row.scoring else None
    badge = build_badge("unparsed", quiet=True, dashed=True)
    if prob is not None:
        badge = build_badge(f"P(first preferred) {prob:.4f}")
    badge += f'<span class="cai-quiet">{escape(principle or "")}</span>'
    text = row.text or ""
    body = escape(text)
    if before is not None and text:
        body = build_diff(before, text)
        badge += build_badge("the same", quiet=True) if before == text else ""
    if not text:
        body = '<span class="cai-quiet">Scored without words.</span>'
    return build_card("label", title, body, badges=badge, slim=True)


def _key(row: Row, *, turned: bool = False) -> _Key:
    """What was asked; where A and B are exchanged, the other order shows the same text first."""
    return row.principle_id, 1 - row.order if turned else row.order, row.cot
