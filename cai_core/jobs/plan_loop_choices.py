"""What a person chooses of the whole loop, and what its sizes mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_choice, check_text
from cai_core.training.rl_recipe import Algorithm

Training = Literal["rl", "dpo"]
Size = Literal["small", "usual"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopChoices:
    """What a person chooses; everything else is in the plan, where it can be changed.

    Attributes:
        name: of the plan, with which its runs' ids begin.
        constitution: of critiques, revisions and labels: a name or NAME@HASH.
        base: the model to train, which answers and revises, too.
        feedback_model: labels the comparisons.
        red_team, helpful: prompt sets with the tags `split:train` and `split:held-out`.
        training: `rl` against a reward model, `dpo` on the labels, or both.
        algorithm: of RL.
        size: see `describe_size`.
        in_demo_world: the base is the demo model, or was trained from it: it is small, so it is
            trained in full and at higher rates, and its answers are short.
    """

    name: str
    constitution: str
    base: str
    feedback_model: str
    red_team: str
    helpful: str
    training: tuple[Training, ...] = ("rl", "dpo")
    algorithm: Algorithm = "rloo"
    size: Size = "usual"
    in_demo_world: bool

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise RecipeError(f"the plan's name is {self.name!r}. It must {NAME_RULE}.")
        for key in ("constitution", "base", "feedback_model", "red_team", "helpful"):
            check_text(key, getattr(self, key))
            if not getattr(self, key):
                raise RecipeError(f"{key} is empty. Name one.")
        if not self.training:
            raise RecipeError("training is empty. Choose rl, dpo, or both.")
        for one in self.training:
            check_choice("training", one, get_args(Training))
        check_choice("algorithm", self.algorithm, get_args(Algorithm))
        check_choice("size", self.size, get_args(Size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much is done; None takes every prompt.

    Attributes:
        chains, fine, samples, refused, held_out: prompts of the runs of that name.
        answers: to each held-out prompt.
        epochs, refuser_epochs: of SL-CAI, and of the model that learns refusals alone.
        steps: of RL.
    """

    chains: int | None = None
    fine: int | None = None
    samples: int | None = None
    refused: int | None = None
    held_out: int | None = None
    answers: int
    epochs: int
    refuser_epochs: int = 1
    steps: int


# By whether it is in the demo world, and size. The demo's usual counts are measured to do; those of
# other models are those of data/recipes/rlaif-lora.yaml; small ones are ours.
COUNTS: Mapping[tuple[bool, Size], Counts] = {
    (True, "usual"): Counts(
        chains=500, fine=762, samples=400, refused=600, answers=2, epochs=4, steps=60
    ),
    (True, "small"): Counts(
        chains=40,
        fine=60,
        samples=32,
        refused=48,
        held_out=12,
        answers=1,
        epochs=8,
        refuser_epochs=12,
        steps=4,
    ),
    (False, "usual"): Counts(answers=2, epochs=1, steps=500),
    (False, "small"): Counts(
        chains=100, fine=150, samples=100, refused=120, held_out=50, answers=1, epochs=1, steps=20
    ),
}


def describe_size(size: Size, *, in_demo_world: bool) -> str:
    """What a size means, in a line for people."""
    told = COUNTS[in_demo_world, size]
    prompts = "every training prompt" if told.chains is None else f"{told.chains} chains"
    held = "every held-out prompt" if told.held_out is None else f"{told.held_out} of each set"
    line = f"{prompts}, {told.steps} RL steps, answers to {held}"
    if size == "small":
        return f"{line}. Shows that every stage works; its figures say little."
    return f"{line}." + (" The demo’s own size." if in_demo_world else "")
