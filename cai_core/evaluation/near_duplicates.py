"""Prompts that are nearly the same: a suite's against those that a model was trained on. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz, process

from cai_core.evaluation.suites import Suite, SuitePrompt
from cai_core.records import Prompt

# Of a hundred. Light edits of the shipped suites (case, "please", a word left out) reach it in
# 99.9 % of 702 × 5 cases; of 19,900 pairs of red-team prompts that people wrote one does.
LIKE_PROMPTS = 85
# A prompt of fewer words may stand in a longer text by accident.
_CONTAINED_WORDS = 6
_BATCH = 4096
# Characters that are compared: what texts begin with tells whether they are the same.
_COMPARED = 2000
_NOT_A_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPrompt:
    """A suite's prompt and the training prompt that is most like it.

    Attributes:
        likeness: 0 to 100, see `compute_near`; 100 as well where the one stands in the other.
    """

    prompt_id: str
    text: str
    training_id: str
    training_text: str
    likeness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutCheck:
    """Whether a suite is new to whoever was trained on these prompts.

    Attributes:
        near: the suite's prompts that are not, in its order.
        compared: prompts of the suite. training: prompts they were compared with.
        enforced: whether the suite asks to be held out.
    """

    suite: str
    near: tuple[NearPrompt, ...]
    compared: int
    training: int
    enforced: bool

    @property
    def broken(self) -> bool:
        """Whether the suite asks to be held out and is not."""
        return self.enforced and bool(self.near)

    def describe(self, most: int = 3) -> str:
        """For people: how many, and the first ones."""
        if not self.near:
            return f"{self.suite}: none of its {self.compared} prompts is in the training prompts."
        told = "; ".join(
            f"{one.prompt_id} ({one.likeness} % like {one.training_id})" for one in self.near[:most]
        )
        more = f", and {len(self.near) - most} more" if len(self.near) > most else ""
        return (
            f"{self.suite}: {len(self.near)} of its {self.compared} prompts are, or nearly are, "
            f"training prompts: {told}{more}. Leave them out of the training, or measure with "
            "another suite."
        )


def check_held_out(
    suite: Suite, training: Iterable[Prompt], *, least: int = LIKE_PROMPTS
) -> HeldOutCheck:
    """Compare a suite with training prompts, which may be any number: they are read in batches."""
    counted = _Counted(training)
    near = compute_near(suite.prompts, counted, least=least)
    return HeldOutCheck(
        suite=suite.label,
        near=near,
        compared=len(suite.prompts),
        training=counted.seen,
        enforced=suite.held_out,
    )


def compute_near(
    prompts: Sequence[SuitePrompt], training: Iterable[Prompt], *, least: int = LIKE_PROMPTS
) -> tuple[NearPrompt, ...]:
    """The prompts that are like a training prompt, each with the one it is most like.

    Likeness is the ratio of matching letters (Indel) of the words in alphabetical order, case and
    punctuation aside, so another order of words changes nothing. A prompt of six words or more that
    stands in a longer text, or the other way round, is like it wholly. Of several turns the first
    alone is compared, and all together.

    Args:
        least: likeness from which on they count, 1 to 100.
    """
    owners, texts = _list_texts((at, (p.turns[0], p.text)) for at, p in enumerate(prompts))
    best: dict[int, tuple[int, Prompt]] = {}
    stream = iter(training)
    while batch := list(islice(stream, _BATCH)):
        theirs, told = _list_texts((at, _list_said(one)) for at, one in enumerate(batch))
        likeness = compute_likeness(texts, told, least)
        for row, column in zip(*map(np.ndarray.tolist, likeness.nonzero()), strict=True):
            found, owner = int(likeness[row, column]), owners[row]
            if found > best.get(owner, (0, None))[0]:
                best[owner] = found, batch[theirs[column]]
    return tuple(
        NearPrompt(
            prompt_id=prompts[at].id,
            text=prompts[at].text,
            training_id=one.prompt_id,
            training_text=one.text,
            likeness=likeness,
        )
        for at, (likeness, one) in sorted(best.items())
    )


def find_alike(texts: Sequence[str], *, least: int = LIKE_PROMPTS) -> list[tuple[int, int, int]]:
    """(place, later place, likeness) of the texts that are like each other, most alike first."""
    words = [_split(text) for text in texts]
    likeness = np.triu(compute_likeness(words, words, least), 1)
    pairs = zip(*map(np.ndarray.tolist, likeness.nonzero()), strict=True)
    found = [(one, two, int(likeness[one, two])) for one, two in pairs]
    return sorted(found, key=lambda pair: -pair[2])


def compute_likeness(
    texts: Sequence[str], others: Sequence[str], least: int
) -> npt.NDArray[np.uint8]:
    """Likeness of each of one list with each of the other; 0 where it is below `least`.

    Shape (texts, others). Both hold words with single spaces, as `_split` gives them.
    """
    ours, theirs = [_sort(text) for text in texts], [_sort(text) for text in others]
    likeness = process.cdist(ours, theirs, scorer=fuzz.ratio, score_cutoff=least, dtype=np.uint8)
    for row, column in _find_contained(texts, others):
        likeness[row, column] = 100
    for column, row in _find_contained(others, texts):
        likeness[row, column] = 100
    return likeness


def _find_contained(needles: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where a whole needle stands in a text, words and all. One search over all texts."""
    parts = [f" {text} \n" for text in texts]
    starts = [0, *accumulate(map(len, parts))]
    joined = "".join(parts)
    for row, needle in enumerate(needles):
        if needle.count(" ") < _CONTAINED_WORDS - 1:
            continue
        place = joined.find(f" {needle} ")
        while place >= 0:
            yield row, bisect_right(starts, place) - 1
            place = joined.find(f" {needle} ", place + 1)


def _list_texts(said: Iterable[tuple[int, Iterable[str]]]) -> tuple[list[int], list[str]]:
    """Whose each text is, and the texts as words; of one owner no text twice, and no empty one."""
    pairs = [
        (at, words) for at, texts in said for words in dict.fromkeys(map(_split, texts)) if words
    ]
    return [at for at, _ in pairs], [words for _, words in pairs]


def _list_said(prompt: Prompt) -> list[str]:
    said = [turn.content for turn in prompt.conversation if turn.role == "user"]
    return [said[0], said[-1], "\n\n".join(said)] if said else []


def _split(text: str) -> str:
    return _NOT_A_WORD.sub(" ", text[: 2 * _COMPARED].casefold()).strip()[:_COMPARED]


def _sort(words: str) -> str:
    return " ".join(sorted(words.split()))


class _Counted:
    """Prompts that are counted while they are read."""

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self._prompts, self.seen = prompts, 0

    def __iter__(self) -> Iterator[Prompt]:
        for prompt in self._prompts:
            self.seen += 1
            yield prompt
