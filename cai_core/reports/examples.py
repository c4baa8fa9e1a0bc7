"""Answers side by side, the flipped ones first; harmful text waits until it is asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cai_core.evaluation.drift import Drift
from cai_core.evaluation.drift_flips import Flip
from cai_core.evaluation.measures import get_measure
from cai_core.evaluation.suites import SuiteKind
from cai_core.reports.blocks import Beside, Block, Heading, Quote, Section, Words
from cai_core.reports.figures import NONE
from cai_core.reports.report import Evaluated, Report

# Of each measure; and unflipped ones of each kind of prompt. Ours: what somebody reads.
_WORSE, _BETTER, _SAME = 3, 2, 1
# Answers to these prompts may be harmful whatever a judge said of them.
_HIDDEN = frozenset({SuiteKind.HARMFUL.value, SuiteKind.MULTI_TURN.value})
_WHO = {"user": "Person", "system": "System"}


def build_examples(report: Report) -> Section:
    """For each candidate: what got worse, what got better, and an answer that did not change."""
    blocks: list[Block] = [
        Words(
            "Answers to prompts that ask for harm are hidden until you open them. Flipped answers "
            "come first, the worse ones before the better ones; the runs hold all of them.",
            "quiet",
        )
    ]
    for one, drift in zip(report.sides[1:], report.drifts, strict=True):
        names = (report.sides[0].label, one.label)
        blocks.append(Heading(f"{names[0]} → {names[1]}"))
        shown = [*_list_flips(names, drift), *_list_same(names, report.sides[0], one, drift)]
        blocks += shown or [Words("They answered no prompt in common.")]
    return Section("examples", "Examples side by side", tuple(blocks))


def _list_flips(names: tuple[str, str], drift: Drift) -> Iterator[Block]:
    """A prompt is shown once, under the first of its measures."""
    seen: set[str] = set()
    for way, most in (("worse", _WORSE), ("better", _BETTER)):
        for measure, flips in drift.flips.items():
            some = [flip for flip in flips if flip.way == way]
            fresh = {one.prompt_id: one for one in reversed(some) if one.prompt_id not in seen}
            shown = [one for one in some if fresh.get(one.prompt_id) is one][:most]
            if some:
                above = "" if shown else ", on prompts that are shown above"
                yield Words(f"{measure}: {len(some)} {way}{above}")
            for flip in shown:
                seen.add(flip.prompt_id)
                yield _build_flip(names, flip)


def _build_flip(names: tuple[str, str], flip: Flip) -> Beside:
    values = [_tell(flip.measure, value) for value in (flip.before, flip.after)]
    return _build_beside(
        (f"{names[0]} ({values[0]})", f"{names[1]} ({values[1]})"),
        flip.conversation,
        (flip.before_text, flip.after_text),
        flip.kind,
        f"{flip.kind}, {flip.prompt_id}, sample {flip.sample}",
    )


def _list_same(
    names: tuple[str, str], baseline: Evaluated, candidate: Evaluated, drift: Drift
) -> Iterator[Block]:
    """The first answers of each kind of prompt that no measure flipped."""
    flipped = {(f.prompt_id, f.sample) for flips in drift.flips.values() for f in flips}
    shown: dict[str, int] = {}
    for key, before in baseline.side.lines.items():
        after, kind = candidate.side.lines.get(key), str(before["kind"])
        if after is None or key in flipped or shown.get(kind, 0) >= _SAME:
            continue
        if not shown:
            yield Words("Not flipped")
        shown[kind] = shown.get(kind, 0) + 1
        yield _build_beside(
            names,
            after["conversation"],
            (str(before["response"]), str(after["response"])),
            kind,
            f"{kind}, {key[0]}, sample {key[1]}",
        )


def _build_beside(
    names: tuple[str, str],
    conversation: Sequence[Mapping[str, Any]],
    texts: tuple[str, str],
    kind: str,
    place: str,
) -> Beside:
    hidden = kind in _HIDDEN
    turns = [
        Quote(
            f"{_WHO.get(str(turn['role']), names[1])} · {place}",
            str(turn["content"]),
            hidden and turn["role"] == "assistant",
        )
        for turn in conversation
    ]
    answers = [Quote(name, text, hidden) for name, text in zip(names, texts, strict=True)]
    return Beside((*turns, *answers))


def _tell(measure: str, value: float) -> str:
    if get_measure(measure).unit == "points":
        return f"{measure}: {'yes' if value else 'no'}"
    return f"{measure}: {value:.1f}" if value == value else NONE
