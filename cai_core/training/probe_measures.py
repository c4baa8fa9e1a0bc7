"""What a probe's answers are, class by class, and the file in which a run keeps them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cai_core.evaluation.refusals import RefusalPhrases, drop_refusals, is_evasive, is_refusal
from cai_core.evaluation.text_measures import (
    compute_distinct,
    compute_identical,
    compute_length,
    compute_longest_repeat,
    find_phrases,
    has_emoji,
    is_loop,
    split_words,
)
from cai_core.records import PromptKind
from cai_core.training.probe_prompts import CLASSES, ProbePrompt
from cai_core.workspace.journal import read_journal

PROBES = "probe.jsonl"
# Variety is compared over the beginnings, so that longer answers are not less varied by length.
_DISTINCT_WORDS = 64
# From which share on one passage that stands twice is a repetition: a third of the answer. Shorter
# texts repeat by accident.
_REPEATED = 1 / 3
_FEWEST_WORDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMeasures:
    """Of the answers to one class of prompts.

    Attributes:
        n: answers; the counts below are of them.
        refusals, evasive: by phrases (`evaluation.refusals`); evasive ones refuse too.
        repeating: loop, or say a third of themselves twice. emoji: hold one.
        identical: also another prompt's answer.
        cut: ended by the token limit.
        length, length_sd: words an answer.
        distinct_1, distinct_2: over the first 64 words of each; None without n-grams.
        phrase: the words that more answers hold than at the start, outside of refusals; None where
            none grew. phrase_count, phrase_before: answers that hold them now, and at the start.
    """

    n: int
    refusals: int
    evasive: int
    repeating: int
    emoji: int
    identical: int
    cut: int
    length: float
    length_sd: float
    distinct_1: float | None
    distinct_2: float | None
    phrase: str | None = None
    phrase_count: int = 0
    phrase_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLine:
    """One asking of the probe: a line of probe.jsonl.

    Attributes:
        step: optimizer steps done.
        classes: a `PromptKind`'s word → measures; classes without prompts are not there.
        answers: one for each prompt, in the order of inputs/probe.jsonl.
        judged: a judge's score of each, None where it gave none; None where there is no judge.
        seconds: that it took.
    """

    step: int
    classes: Mapping[str, ClassMeasures]
    answers: tuple[str, ...] = ()
    judged: tuple[float | None, ...] | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain form; `parse_probe_line` is the inverse."""
        return {
            "step": self.step,
            "classes": {kind: asdict(measures) for kind, measures in self.classes.items()},
            "answers": list(self.answers),
            "judged": None if self.judged is None else list(self.judged),
            "seconds": round(self.seconds, 3),
        }


def parse_probe_line(record: Mapping[str, Any]) -> ProbeLine:
    """The inverse of `ProbeLine.as_dict`.

    Raises:
        KeyError, TypeError: it is no such line.
    """
    judged = record["judged"]
    return ProbeLine(
        step=record["step"],
        classes={kind: ClassMeasures(**held) for kind, held in record["classes"].items()},
        answers=tuple(record["answers"]),
        judged=None if judged is None else tuple(judged),
        seconds=record["seconds"],
    )


def read_probes(run_folder: Path, *, until: int | None = None) -> list[ProbeLine]:
    """By steps; of a step that was done twice the last one. Unreadable lines are left out.

    Args:
        until: steps done; what an earlier attempt wrote beyond them is left out.
    """
    found: dict[int, ProbeLine] = {}
    for record in read_journal(run_folder / PROBES).records:
        try:
            line = parse_probe_line(record)
        except (KeyError, TypeError, AttributeError):
            continue
        if until is None or line.step <= until:
            found[line.step] = line
    return [found[step] for step in sorted(found)]


def measure_answers(
    prompts: Sequence[ProbePrompt],
    answers: Sequence[str],
    start: Sequence[str] | None,
    *,
    cut: Sequence[bool] | None = None,
    phrases: RefusalPhrases | None = None,
) -> dict[str, ClassMeasures]:
    """Measures of each class that has prompts.

    Args:
        answers: one for each prompt. cut: whether the token limit ended it.
        start: the answers at the start, for what grew; None at the start itself.
    """
    ended = cut if cut is not None else [False] * len(answers)
    found = {}
    for kind in CLASSES:
        at = [i for i, prompt in enumerate(prompts) if prompt.kind is kind]
        if at:
            before = [start[i] for i in at] if start is not None else None
            found[kind.value] = _measure(
                [answers[i] for i in at], before, sum(ended[i] for i in at), phrases
            )
    return found


def describe_class(kind: str) -> str:
    """The class's name for people."""
    names = {
        PromptKind.RED_TEAM.value: "red-team prompts",
        PromptKind.HELPFUL.value: "helpful prompts",
    }
    return names.get(kind, f"{kind} prompts")


def _measure(
    texts: Sequence[str], before: Sequence[str] | None, cut: int, phrases: RefusalPhrases | None
) -> ClassMeasures:
    length, identical = compute_length(texts), compute_identical(texts)
    assert length is not None and identical is not None
    grown = []
    if before is not None:
        # What refuses is counted as refusals: learning to say no is no stock phrase.
        said = [[drop_refusals(text, phrases) for text in held] for held in (texts, before)]
        grown = find_phrases(said[0], said[1], most=1)
    return ClassMeasures(
        n=len(texts),
        refusals=sum(is_refusal(text, phrases) for text in texts),
        evasive=sum(is_evasive(text, phrases) for text in texts),
        repeating=sum(_is_repeating(text) for text in texts),
        emoji=sum(map(has_emoji, texts)),
        identical=round(identical * len(texts)),
        cut=cut,
        length=length.mean,
        length_sd=length.sd,
        distinct_1=compute_distinct(texts, 1, words=_DISTINCT_WORDS),
        distinct_2=compute_distinct(texts, 2, words=_DISTINCT_WORDS),
        phrase=grown[0].words if grown else None,
        phrase_count=grown[0].count if grown else 0,
        phrase_before=grown[0].before if grown else 0,
    )


def _is_repeating(text: str) -> bool:
    if len(split_words(text)) < _FEWEST_WORDS:
        return False
    return is_loop(text) or (compute_longest_repeat(text) or 0.0) >= _REPEATED
