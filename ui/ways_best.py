"""How best-of-n chose: each sample with its score, and each comparison with what was answered."""

from __future__ import annotations

from collections.abc import Mapping

from cai_core.pipeline.ways_answers import Answer, JudgedMatch
from cai_core.pipeline.ways_live import WaysRequest, WaysSnapshot
from cai_core.records import Verdict
from ui.look import build_badge, escape


def describe_stage(request: WaysRequest, snapshot: WaysSnapshot, answer: Answer) -> str:
    """How far best-of-n is, or why it chose nothing."""
    n, way = request.recipe.n, answer.way
    if answer.best is not None:
        return (
            "Nothing was chosen: no answer of the feedback model could be read, and a guess would "
            "be no choice. The samples are below."
        )
    if not snapshot.is_live(way):
        return f"Stopped with {len(answer.samples)} of {n} samples and no choice."
    if not answer.samples and not snapshot.list_partial(request.recipe, way):
        return "Waiting for the model."
    if len(answer.samples) < n:
        writing = len(snapshot.list_partial(request.recipe, way))
        return f"{len(answer.samples)} of {n} samples written, {writing} being written."
    asked = answer.questions
    return f"{n} samples written; {asked} of {2 * len(answer.matches)} questions answered."


def build_samples(answer: Answer, shown: Mapping[int, str], remarks: Mapping[int, str]) -> str:
    """Every sample: its text, what the oracle says of it, and its score.

    Args:
        shown: sample → its text as HTML. remarks: sample → badges.
    """
    standings = {s.sample: s for s in answer.best.standings} if answer.best else {}
    winner = answer.best.winner if answer.best else None
    scores = {s.score for s in standings.values()}
    pieces = []
    if len(scores) == 1 and None not in scores and len(standings) > 1:
        words = "No sample was preferred to another, so the first one stays."
        pieces.append(f'<div class="cai-quiet">{words}</div>')
    for sample, row in sorted(answer.samples.items()):
        badges = build_badge("chosen") if sample == winner else ""
        if (standing := standings.get(sample)) is not None:
            if standing.same_as is not None:
                badges += build_badge(f"the same as sample {standing.same_as + 1}", quiet=True)
            elif standing.score is not None:
                badges += build_badge(f"preferred {standing.score:.0%}", quiet=True)
            elif winner is None or len(standings) > 1:
                badges += build_badge("not judged", quiet=True, dashed=True)
        text = shown.get(sample)
        body = escape(f"Error: {row.error}") if text is None else text
        pieces.append(
            f'<div class="cai-ways-one"><div class="cai-remarks"><b>Sample {sample + 1}</b>'
            f'{badges}{remarks.get(sample, "")}</div><div class="cai-ways-said">{body}</div></div>'
        )
    return "".join(pieces)


def build_matches(answer: Answer) -> str:
    """Every comparison: who against whom, by which principle, and what both orders said."""
    return "".join(_build_match(match) for match in answer.matches)


def _build_match(match: JudgedMatch) -> str:
    first, second, label = match.match.first + 1, match.match.second + 1, match.label
    name = f"{first} against {second}"
    if label is None:
        told = f"{len(match.rows)} of 2 questions answered"
        return f'<div class="cai-ways-match"><b>{name}</b><span>{told}</span></div>'
    principle = ", ".join(label.principle_ids)
    if label.verdict is Verdict.UNPARSED or label.prob_a is None:
        error = next((row.error for row in match.rows if row.error is not None), None)
        what = build_badge("unparsed", quiet=True, dashed=True)
        told = f"{what} {escape(error)}" if error else what
    else:
        side = {Verdict.A: f"{first} preferred", Verdict.B: f"{second} preferred"}
        words = side.get(label.verdict, "a tie")
        orders = [p for p in (label.prob_a_first, label.prob_a_second) if p is not None]
        both = " and ".join(f"{prob:.2f}" for prob in orders)
        told = escape(
            f"{words}; P({first} preferred) {label.prob_a:.2f}: {both} shown first and second"
        )
    return (
        f'<div class="cai-ways-match"><b>{name}</b><span>{told}<br>'
        f'<span class="cai-quiet">by {escape(principle)}</span></span></div>'
    )
