"""A replay's result as HTML: what came out, why it may differ, and each step stored and new."""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.replay_live import ReplaySnapshot
from cai_core.pipeline.replay_report import ReplayReport, ReplayStep
from cai_core.records import Finding, StepKind
from cai_core.workspace.index.prepare import parse_text
from cai_core.workspace.rows import Row
from ui.diff import build_diff
from ui.explorer_list import FINDING_BADGES
from ui.harm import HeldBack, hold_back, hold_removed
from ui.labels_words import build_verdict as build_verdict_badge
from ui.look import Thing, build_badge, build_card, escape
from ui.side_pairs import TWO_STYLE, build_absent

_THINGS: dict[StepKind, Thing] = {
    StepKind.RESPONSE: "response",
    StepKind.CRITIQUE: "critique",
    StepKind.REVISION: "revision",
    StepKind.LABEL: "critique",
}
STYLE = f"""{TWO_STYLE}<style>
.cai-reasons {{ margin: 0.2rem 0 0; padding-left: 1.1rem; white-space: normal; }}
</style>"""


def build_verdict(report: ReplayReport) -> str:
    """Whether it is the same to the letter, else where it first differs, and why it may."""
    if (first := report.first) is None:
        notes = _build_list(report.notes)
        words = "Every step is what is stored." + (
            " Though not all is as it was:" if report.notes else ""
        )
        return build_card("revision", "The same to the letter", escape(words) + notes)
    same = sum(step.same for step in report.steps)
    words = f"{same} of {len(report.steps)} steps are the same. Why it may differ:"
    title = f"Differs from the {first.name} on"
    if not all(step.same for step in report.steps[report.steps.index(first) + 1 :]):
        return build_card("note", title, escape(words) + _build_list(report.reasons))
    title = f"Differs in the {first.name}"
    return build_card("note", title, escape(words) + _build_list(report.reasons))


def build_label(stored: LabelRecord, new: LabelRecord) -> str:
    """Both labels that the answers come to."""
    cells = []
    for name, label in (("Stored", stored), ("New", new)):
        told = "not told" if label.prob_a is None else f"{label.prob_a:.6f}"
        badge = f'<span class="cai-label">{build_verdict_badge(label.verdict)}</span>'
        if label is new and (label.verdict, label.prob_a) == (stored.verdict, stored.prob_a):
            badge += build_badge("the same", quiet=True)
        cells.append(
            build_card("principle", f"{name} label", f"P(A preferred) {told}", badges=badge)
        )
    return f'<div class="cai-two">{"".join(cells)}</div>'


def build_steps(snapshot: ReplaySnapshot, held: HeldBack) -> str:
    """Each step, stored on the left and new on the right, with what changed in it."""
    is_over = not snapshot.state.is_live
    return "".join(_build_step(step, held, is_over=is_over) for step in snapshot.steps)


def _build_step(step: ReplayStep, held: HeldBack, *, is_over: bool) -> str:
    name = step.name[:1].upper() + step.name[1:]
    cells = []
    for side, row in (("stored", step.stored), ("new", step.new)):
        title = f"{name}: {side}"
        if row is None:
            waits = side == "new" and not is_over
            words = "waits to be asked" if waits else "there is none"
            cells.append(build_absent(f"{title}: {words}"))
            continue
        if row.error is not None:
            cells.append(build_card("error", f"{title}: no text", escape(row.error)))
            continue
        before = step.stored if side == "new" else None
        body, badges = _build_body(row, before, held), _build_badges(row)
        if before is not None:
            badges += build_badge("the same" if step.same else "differs", quiet=step.same)
            if not step.same and step.moved:
                badges += build_badge(f"moved by {step.moved:.2g}", quiet=True)
        cells.append(build_card(_THINGS[row.kind], title, body, badges=badges))
    return f'<div class="cai-two">{"".join(cells)}</div>'


def _build_body(row: Row, before: Row | None, held: HeldBack) -> str:
    text = row.text or "" if row.kind is StepKind.LABEL else parse_text(row)
    told = _build_scores(row)
    if not text:
        return told
    may_harm = row.kind in (StepKind.RESPONSE, StepKind.REVISION)
    old = "" if before is None or before.text is None else parse_text(before)
    is_other = bool(old) and old != text
    # Of a new answer to a red-team prompt nobody has said yet that it does no harm.
    if may_harm and (held.holds(text) or (held.red_team and is_other)):
        return hold_back(escape(text)) + told
    if not is_other:
        return escape(text) + told
    marked = build_diff(old, text)
    return (hold_removed(marked) if may_harm and held.holds(old) else marked) + told


def _build_scores(row: Row) -> str:
    scoring = row.scoring or {}
    if not scoring.get("options"):
        return ""
    pairs = zip(scoring["options"], scoring["probabilities"], strict=False)
    told = " · ".join(f"{word.strip()} {share:.6f}" for word, share in pairs)
    return f'<div class="cai-quiet">{escape(told)}</div>'


def _build_badges(row: Row) -> str:
    badges = ""
    if row.kind is StepKind.CRITIQUE:
        badges += FINDING_BADGES[row.finding or Finding.UNPARSED]
    if row.kind is not StepKind.LABEL and row.principle_id:
        badges += f'<span class="cai-quiet">{escape(row.principle_id)}</span>'
    return badges


def _build_list(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    found = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="cai-reasons">{found}</ul>'
