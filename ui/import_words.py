"""What an import comes to, as HTML: counts, the first records, the refused lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cai_core.pipeline.import_reading import ImportLook, ImportSource, describe_place
from cai_core.pipeline.import_records import (
    Imported,
    ImportedChain,
    ImportedPair,
    RejectedLine,
)
from cai_core.records import StepKind
from ui.harm import hold_back
from ui.look import build_badge, escape
from ui.prompts_words import STYLE as PROMPTS_STYLE

MOST_REFUSED, MOST_TEXT = 50, 400
# What is counted, in the order in which it is told.
_COUNTED = {
    "chains": "chains",
    "responses": "responses",
    "critiques": "critiques",
    "revisions": "revisions",
    "comparisons": "comparisons",
    "labels": "labels",
    "verdict A": "prefer A",
    "verdict B": "prefer B",
    "verdict tie": "ties",
    "verdict unparsed": "unparsed",
    "by human": "by a person",
    "by feedback-model": "by a model",
    "by revision": "by construction",
    "votes": "votes of annotators",
    "several turns": "that part before the last turn",
    "questions": "questions",
    "held out": "held out of training",
}
# How the command line would say it; the page has a field for each.
_OPTION = re.compile(r" \(--[^)]*\)")
STYLE = PROMPTS_STYLE + "<style>.st-key-import_panel { max-width: 80rem; }</style>"


def build_look(source: ImportSource, found: ImportLook) -> str:
    """How many records of what, in the words of the counts."""
    facts = [(f"{found.records:,}", "record" if found.records == 1 else "records")]
    told = [(found.counts[name], words) for name, words in _COUNTED.items()]
    facts += [(f"{count:,}", words) for count, words in told if count]
    if found.rejected:
        facts.append((f"{found.rejected:,}", "refused"))
    shown = "".join(f"<span><b>{count}</b> {escape(name)}</span>" for count, name in facts)
    names = sorted(set(source.formats.values())) or ["no known format"]
    badges = "".join(build_badge(name, quiet=True) for name in names)
    return f'<div class="cai-counts">{shown}</div><div class="cai-tags">{badges}</div>'


def build_records(records: Sequence[Imported], *, show_harmful: bool) -> str:
    """A row for each record. Nobody knows yet what they hold: texts are blurred until asked for."""
    return "".join(_build_record(one, show_harmful) for one in records)


def build_refused(told: Sequence[RejectedLine], total: int) -> str:
    """A table of the first refused lines, each with its place and reason."""
    shown = told[:MOST_REFUSED]
    alone = len({one.file for one in told}) == 1
    rows = ""
    for one in shown:
        place = str(one.line) if alone and one.line else describe_place(one)
        reason = _OPTION.sub("", one.reason)
        rows += f"<tr><td>{escape(place)}</td><td>{escape(reason)}</td></tr>"
    rest = total - len(shown)
    more = f'<div class="cai-quiet">and {rest:,} more</div>' if rest > 0 else ""
    where = "Line" if alone else "Where"
    head = f"<thead><tr><th>{where}</th><th>Why it was refused</th></tr></thead>"
    return f'<table class="cai-rejects">{head}<tbody>{rows}</tbody></table>{more}'


def _build_record(one: Imported, show_harmful: bool) -> str:
    match one:
        case ImportedChain():
            line, badge = one.prompt.line, ""
            texts = [("Prompt", one.prompt.text), *_list_steps(one)]
        case ImportedPair(comparison=comparison, label=label):
            line = int(comparison.prompt_id.rpartition("#")[2] or 0)
            verdict = label.verdict.value if label is not None else "no label"
            badge = build_badge(f"preferred: {verdict}" if label is not None else verdict)
            texts = [("Prompt", comparison.conversation[-1].content)]
            texts += [("Response A", comparison.response_a), ("Response B", comparison.response_b)]
        case _:
            line, badge = one.line, build_badge(f"right: {', '.join(one.corrects)}")
            texts = [("Question", one.prompt)]
    body = "".join(_build_text(name, text, show_harmful) for name, text in texts)
    return (
        f'<div class="cai-prow"><div class="cai-line-no">{line}</div><div>{body}{badge}</div></div>'
    )


def _list_steps(chain: ImportedChain) -> list[tuple[str, str]]:
    names = {StepKind.RESPONSE: "Response", StepKind.CRITIQUE: "Critique"}
    steps = [(names.get(step.kind, "Revision"), step.text) for step in chain.steps[:3]]
    rest = len(chain.steps) - len(steps)
    return [*steps, ("", f"and {rest} more texts")] if rest else steps


def _build_text(name: str, text: str, show_harmful: bool) -> str:
    cut = f"{text[:MOST_TEXT]}… ({len(text):,} characters)" if len(text) > MOST_TEXT else text
    body = f'<div class="cai-wrap">{escape(cut)}</div>'
    if not show_harmful and name not in ("", "Prompt"):
        body = hold_back(body)
    return f'<div class="cai-turn">{escape(name)}</div>{body}'
