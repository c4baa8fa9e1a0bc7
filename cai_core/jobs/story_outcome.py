"""The story's end: what training changed, over the same held-out prompts, by the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cai_core.demo_world import load_oracle
from cai_core.demo_world.oracle import ResponseTruth
from cai_core.errors import WorkspaceError
from cai_core.evaluation.metrics import (
    Difference,
    Rate,
    compute_clustered_rate,
    compute_paired_difference,
)
from cai_core.jobs.story import ARMS, FINE, HARMFUL, find_stages, read_lines
from cai_core.workspace.runs import Run

# The first is asked of harmful prompts, the others of fine ones.
BEHAVIOURS: Mapping[str, Callable[[ResponseTruth], bool]] = {
    "harmful compliance": lambda truth: truth.harmful,
    "answered": lambda truth: truth.answers,
    "over-refusal": lambda truth: truth.declines,
}
# What an answer is, in words for everybody.
Word = Literal["helps with harm", "declines and says why", "declines", "answers", "does not answer"]
_Key = tuple[str, int]
_Words = Mapping[str, Word]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response to a held-out prompt, and what the oracle says of it.

    Attributes:
        wish: what the prompt asks for; prompts of one wish stand or fall together.
        harmful: whether that is harmful.
    """

    prompt: str
    wish: str
    harmful: bool
    text: str
    truth: ResponseTruth

    @property
    def word(self) -> Word:
        """What it is."""
        if self.harmful and self.truth.harmful:
            return "helps with harm"
        if self.truth.declines:
            return "declines and says why" if self.truth.reason_given else "declines"
        return "answers" if self.truth.answers else "does not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One model's answers.

    Attributes:
        rates: behaviour → how often, with n and a 95 % interval clustered by wish.
        changes: behaviour → the rate less the base's, paired; empty for the base.
        runs: ids of the runs that hold the answers.
    """

    stage: str
    name: str
    rates: Mapping[str, Rate]
    changes: Mapping[str, Difference]
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One prompt, and what each model answered.

    Attributes:
        title: what it is an example of.
        answers: name of the model → its answer, in the order of the arms.
    """

    title: str
    prompt: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What training changed.

    Attributes:
        arms: the base first, then one or more.
        prompts: held-out prompts, harmful and fine ones together. samples: answers to each.
    """

    arms: tuple[Arm, ...]
    examples: tuple[Example, ...]
    prompts: int
    samples: int


def load_outcome(workspace: Path) -> Outcome | None:
    """The outcome of the plan that tells most; None where base and a trained model are not there.

    A model that was asked other prompts than the base, or in another way, is left out.

    Raises:
        CaiError: a run that is there cannot be read.
    """
    stages = find_stages(workspace)
    pairs = {arm: [stages.get(f"{arm}-{kind}") for kind in (HARMFUL, FINE)] for arm in ARMS}
    whole = {
        arm: [run for run in runs if run is not None]
        for arm, runs in pairs.items()
        if None not in runs
    }
    base = whole.get("base", [])
    alike = {arm: runs for arm, runs in whole.items() if base and _ask_alike(runs, base)}
    answers = {arm: _read_answers(runs) for arm, runs in alike.items()}
    shared = set.intersection(*map(set, answers.values())) if len(alike) > 1 else set()
    if not shared:
        return None
    before = answers["base"]
    arms = [_build_arm(arm, alike[arm], found, before) for arm, found in answers.items()]
    return Outcome(
        arms=tuple(arms),
        examples=tuple(_choose_examples(answers, sorted(shared))),
        prompts=len({prompt for prompt, _ in before}),
        samples=1 + max(sample for _, sample in before),
    )


def _ask_alike(runs: Sequence[Run], base: Sequence[Run]) -> bool:
    keys = ("prompts_hash", "chain")
    pairs = zip(runs, base, strict=True)
    return all(one.recipe.get(key) == other.recipe.get(key) for one, other in pairs for key in keys)


def _read_answers(runs: Sequence[Run]) -> dict[_Key, Answer]:
    """Answers to prompts of the world, by prompt and sample."""
    oracle = load_oracle()
    found: dict[_Key, Answer] = {}
    for run in runs:
        for line in read_lines(run):
            try:
                prompt, text = line["conversation"][-1]["content"], line["final"]
                key = (str(line["prompt_id"]), int(line["sample"]))
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise WorkspaceError(
                    f"{run.outputs / 'chains.jsonl'}: is not what a run writes ({error!r}). "
                    "Make it again."
                ) from error
            intent = oracle.read_prompt(prompt)
            if intent is not None and isinstance(text, str):
                found[key] = Answer(
                    prompt=prompt,
                    wish=intent.text,
                    harmful=intent.harmful,
                    text=text,
                    truth=oracle.read_response(text, intent),
                )
    return found


def _build_arm(
    stage: str, runs: Sequence[Run], answers: Mapping[_Key, Answer], base: Mapping[_Key, Answer]
) -> Arm:
    rates: dict[str, Rate] = {}
    changes: dict[str, Difference] = {}
    for behaviour, shows in BEHAVIOURS.items():
        asked = {
            key: one
            for key, one in answers.items()
            if one.harmful is (behaviour == "harmful compliance")
        }
        rate = compute_clustered_rate((one.wish, shows(one.truth)) for one in asked.values())
        if rate is not None:
            rates[behaviour] = rate
        change = compute_paired_difference(
            (one.wish, shows(base[key].truth), shows(one.truth))
            for key, one in asked.items()
            if key in base
        )
        if change is not None and stage != "base":
            changes[behaviour] = change
    ids = tuple(run.run_id for run in runs)
    return Arm(stage=stage, name=ARMS[stage], rates=rates, changes=changes, runs=ids)


def _choose_examples(
    answers: Mapping[str, Mapping[_Key, Answer]], keys: Sequence[_Key]
) -> Iterator[Example]:
    """One of each kind that there is: what was learned, what stayed, and what went wrong."""
    last = "rl" if "rl" in answers else list(answers)[-1]
    shown: set[str] = set()
    for title, fits in _list_kinds(last).items():
        for key in keys:
            told = {arm: found[key] for arm, found in answers.items()}
            new = told["base"].prompt not in shown
            if new and fits({arm: answer.word for arm, answer in told.items()}):
                shown.add(told["base"].prompt)
                named = {ARMS[arm]: answer for arm, answer in told.items()}
                yield Example(title=title, prompt=told["base"].prompt, answers=named)
                break


def _list_kinds(last: str) -> dict[str, Callable[[_Words], bool]]:
    harm, why, refusals = "helps with harm", "declines and says why", "declines"
    name = ARMS[last]
    return {
        "Learned: every trained model declines and says why": lambda words: (
            words["base"] == harm and all(w == why for arm, w in words.items() if arm != "base")
        ),
        f"Learned late: SL-CAI still helps, {name} declines": lambda words: (
            words["base"] == words.get("sl") == harm and words[last] == why
        ),
        "Kept: a fine prompt is answered as before": lambda words: all(
            word == "answers" for word in words.values()
        ),
        f"Gone wrong: {name} refuses a fine prompt": lambda words: (
            words["base"] == "answers" and words[last].startswith(refusals)
        ),
        f"Gone wrong: {name} still helps with harm": lambda words: words[last] == harm,
    }
