"""Multiple-choice files: HHH evaluations and their like (arXiv 2112.00861, 2212.08073 appendix).

A line holds a prompt that ends before its answer, and the answers: `corrects` and `incorrects`, of
which each is as it would be written (` (A)`). A model is scored by how probable it finds each.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cai_core.errors import ImportFormatError
from cai_core.evaluation.bootstrap import Mean, compute_clustered_mean
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.prompts.paper import parse_transcript
from cai_core.records import Conversation, content_hash

# What may stand behind the last option.
_TAIL = re.compile(r"\n+The (?:best |right )?answer is:?\s*$")
# Where the options begin: what stands before it is the context that questions share.
_OPTIONS = re.compile(r"\n[^\n]*(?:Options:|:)\s*\n ?\(A\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One question.

    Attributes:
        prompt: up to where the answer begins.
        options: the answers, at least two, in alphabetical order.
        correct: places in `options` of the right ones; neither none nor all.
        cluster: hash of the context: questions about one stand or fall together.
        kind: what it is about, where the line tells (`kind` or `category`), else `unknown`.
        conversations: of each option the whole conversation that ends with it, which is what a
            reward model reads; empty where the line does not tell them.
    """

    prompt: str
    options: tuple[str, ...]
    correct: frozenset[int]
    cluster: str
    kind: str = "unknown"
    conversations: tuple[Conversation, ...] = ()

    @property
    def moved(self) -> Choice | None:
        """The same with each option's text one place up and the first one's last, so that another
        letter stands before each: option i of these is i − 1 there, the first one the last.

        None where the prompt does not show its options as letters, each on a line.
        """
        found = _split_options(self.prompt, self.options)
        if found is None:
            return None
        before, texts, after = found
        turned = [*texts[1:], texts[0]]
        shown = "".join(f"\n {mark}{text}" for mark, text in zip(self._marks, turned, strict=True))
        count = len(self.options)
        return replace(
            self,
            prompt=f"{before}{shown}{after}",
            correct=frozenset((place - 1) % count for place in self.correct),
            conversations=(*self.conversations[1:], *self.conversations[:1]),
        )

    @property
    def _marks(self) -> list[str]:
        return [option.strip() for option in self.options]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceAnswer:
    """What a model makes of a question.

    Attributes:
        points: 1 where the most probable option is right, 0 where it is not; where several are
            equally probable, the share of right ones among them, as a draw would give.
        probability: of the right options together, in [0, 1].
        chosen: place of the most probable option, the first of several.
    """

    points: float
    probability: float
    chosen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceQuality:
    """How well a model answers a file; intervals are clustered by context.

    Attributes:
        n: questions. unscored: those without numbers, which count as no answer and are in no rate.
        accuracy: share answered right; `by_kind` the same of each kind; None without any scored.
        chance: what guessing gets, the mean of right options ÷ options, in (0, 1); of the scored.
        above_chance: whether the whole interval is.
        probability: mean of the right options' probability; `chance` for a model that is unsure.
        first_chosen: share of the scored with the first option chosen; `first_right`: with it
            right. Far apart, the model goes by the place.
    """

    n: int
    unscored: int
    accuracy: Mean | None
    by_kind: Mapping[str, Mean]
    chance: float | None
    above_chance: bool
    probability: Mean | None
    first_chosen: Rate | None
    first_right: Rate | None


def load_choices(path: Path) -> tuple[Choice, ...]:
    """Read a .jsonl.

    Raises:
        ImportFormatError: it cannot be read, holds no question, or a line is none.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFormatError(f"{path}: cannot be read: {error}. Check the path.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(parse_choice(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ImportFormatError(
                f"{path}:{number}: no multiple-choice question: {error}. A line needs prompt, "
                "corrects and incorrects: a text and two lists of texts."
            ) from error
    if not found:
        raise ImportFormatError(f"{path}: holds no question. Choose another file.")
    return tuple(found)


def parse_choice(record: Mapping[str, Any]) -> Choice:
    """One line.

    Raises:
        ValueError, TypeError, KeyError: it is no question.
    """
    prompt, right, wrong = record["prompt"], record["corrects"], record["incorrects"]
    for name, answers in (("corrects", right), ("incorrects", wrong)):
        if not isinstance(answers, list) or not answers:
            raise ValueError(f"{name} is no list with an answer in it")
        if not all(isinstance(answer, str) and answer.strip() for answer in answers):
            raise ValueError(f"{name} holds something other than texts")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("prompt is no text")
    options = tuple(sorted({*right, *wrong}))
    if len(options) < len(right) + len(wrong):
        raise ValueError("an answer is listed twice")
    return Choice(
        prompt=prompt,
        options=options,
        correct=frozenset(map(options.index, right)),
        cluster=_find_cluster(record, prompt),
        kind=str(record.get("kind") or record.get("category") or "unknown"),
        conversations=_read_conversations(record, options, right, wrong),
    )


def score_choice(choice: Choice, logprobs: Sequence[float | None]) -> ChoiceAnswer | None:
    """What a model makes of a question; None where nothing can be told.

    Args:
        logprobs: of each option (natural logarithm, -inf where impossible), in their order; a
            reward of each does as well. None where one is not known.

    Raises:
        ValueError: not one number for each option.
    """
    if len(logprobs) != len(choice.options):
        raise ValueError(f"{len(logprobs)} numbers for {len(choice.options)} options")
    numbers = np.array([np.nan if one is None else one for one in logprobs], dtype=np.float64)
    if np.isnan(numbers).any() or not np.isfinite(numbers).any():
        return None
    shares = np.exp(numbers - numbers.max())
    best = np.flatnonzero(numbers == numbers.max()).tolist()
    return ChoiceAnswer(
        points=sum(place in choice.correct for place in best) / len(best),
        probability=float(shares[sorted(choice.correct)].sum() / shares.sum()),
        chosen=best[0],
    )


def compute_choice_quality(
    choices: Sequence[Choice], answers: Sequence[ChoiceAnswer | None]
) -> ChoiceQuality:
    """Count; an answer for each question, None where there is none.

    Raises:
        ValueError: not one answer for each question.
    """
    pairs = list(zip(choices, answers, strict=True))
    told = [(choice, answer) for choice, answer in pairs if answer is not None]
    chance = [len(choice.correct) / len(choice.options) for choice, _ in told]
    kinds = sorted({choice.kind for choice, _ in told})
    accuracy = compute_clustered_mean((c.cluster, a.points) for c, a in told)
    mean_chance = sum(chance) / len(chance) if chance else None
    return ChoiceQuality(
        n=len(choices),
        unscored=len(choices) - len(told),
        accuracy=accuracy,
        by_kind={
            kind: mean
            for kind in kinds
            if (
                mean := compute_clustered_mean(
                    (c.cluster, a.points) for c, a in told if c.kind == kind
                )
            )
        },
        chance=mean_chance,
        above_chance=bool(accuracy and mean_chance is not None and accuracy.low > mean_chance),
        probability=compute_clustered_mean((c.cluster, a.probability) for c, a in told),
        first_chosen=compute_clustered_rate((c.cluster, a.chosen == 0) for c, a in told),
        first_right=compute_clustered_rate((c.cluster, 0 in c.correct) for c, _ in told),
    )


def shuffle_labels(choices: Sequence[Choice], seed: int) -> tuple[Choice, ...]:
    """The questions with right ones drawn anew: whoever scores above chance here is scored wrong.

    Contexts, options and the number of right ones stay. The right ones of a context are drawn for
    each of its questions.
    """
    rng = random.Random(f"shuffled labels:{seed}")
    return tuple(
        replace(
            choice,
            correct=frozenset(rng.sample(range(len(choice.options)), len(choice.correct))),
        )
        for choice in choices
    )


def _read_conversations(
    record: Mapping[str, Any], options: tuple[str, ...], right: list[str], wrong: list[str]
) -> tuple[Conversation, ...]:
    """Of a question with one right and one wrong answer that is told as two transcripts."""
    texts = record.get("text_correct"), record.get("text_incorrect")
    if len(right) != 1 or len(wrong) != 1 or not all(isinstance(text, str) for text in texts):
        return ()
    try:
        told = dict(zip((right[0], wrong[0]), map(parse_transcript, map(str, texts)), strict=True))
    except ImportFormatError:
        return ()
    if any(turns[-1].role != "assistant" for turns in told.values()):
        return ()
    return tuple(told[option] for option in options)


def _split_options(prompt: str, options: Sequence[str]) -> tuple[str, list[str], str] | None:
    """What stands before the options, each one's text, and what stands after them."""
    at, places = 0, list[tuple[int, int]]()
    for option in options:
        mark = f"\n {option.strip()}"
        # The last one of the first mark: examples may stand before the question itself.
        found = prompt.rfind(mark) if not places else prompt.find(mark, at)
        if found < 0:
            return None
        places.append((found, found + len(mark)))
        at = found + len(mark)
    ends = [start for start, _ in places[1:]]
    tail = _TAIL.search(prompt, at)
    ends.append(tail.start() if tail else len(prompt))
    texts = [prompt[end:stop] for (_, end), stop in zip(places, ends, strict=True)]
    return prompt[: places[0][0]], texts, prompt[ends[-1] :]


def _find_cluster(record: Mapping[str, Any], prompt: str) -> str:
    """By the turns before the better answer, where the line has them; else by the context."""
    if isinstance(text := record.get("text_correct"), str):
        try:
            return content_hash([turn.as_dict() for turn in parse_transcript(text)[:-1]])
        except ImportFormatError:
            pass  # The prompt tells it as well.
    found = _OPTIONS.search(prompt)
    return content_hash(prompt[: found.start()].strip() if found else prompt.strip())
