"""Which prompts a policy is trained on, and in which order. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from cai_core.errors import RecipeError
from cai_core.records import Prompt, PromptKind
from cai_core.training.datasets import HELD_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPrompts:
    """The prompts that are trained on, and why others are not.

    Attributes:
        left_out: reason → how many.
    """

    prompts: tuple[Prompt, ...]
    left_out: Mapping[str, int]


def choose_prompts(prompts: Sequence[Prompt]) -> ChosenPrompts:
    """Leave out what is held out, wherever the same prompt stands untagged, and what is doubled.

    Raises:
        RecipeError: nothing is left.
    """
    held_out = {prompt.hash for prompt in prompts if HELD_OUT in prompt.tags}
    left_out: Counter[str] = Counter()
    chosen: dict[str, Prompt] = {}
    for prompt in prompts:
        if prompt.hash in held_out:
            left_out["held out"] += 1
        elif prompt.hash in chosen:
            left_out["doubled"] += 1
        else:
            chosen[prompt.hash] = prompt
    if not chosen:
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        raise RecipeError(
            f"there is no prompt to train on ({told or 'none was given'}). Choose other prompts."
        )
    return ChosenPrompts(prompts=tuple(chosen.values()), left_out=dict(left_out))


def build_order(
    prompts: Sequence[Prompt],
    *,
    steps: int,
    per_step: int,
    red_team_share: float | None,
    seed: int,
) -> list[int]:
    """Which prompt comes when, in the whole of a run: places in `prompts`, `per_step` a step.

    Each kind is gone through in a random order before one of it comes again, except within a step,
    where none comes twice as long as there are enough of them.

    Args:
        red_team_share: of each step's prompts, in [0, 1]; None takes all as of one kind.

    Raises:
        RecipeError: a kind that is to have a share has no prompt.
    """
    if red_team_share is None:
        turns = _go_round(range(len(prompts)), random.Random(f"{seed}:prompts"))
        return [next(turns) for _ in range(steps * per_step)]
    red = [n for n, prompt in enumerate(prompts) if prompt.kind is PromptKind.RED_TEAM]
    others = [n for n, prompt in enumerate(prompts) if prompt.kind is not PromptKind.RED_TEAM]
    first = round(red_team_share * per_step)
    for name, held, wanted in (("red-team", red, first), ("other", others, per_step - first)):
        if wanted and not held:
            raise RecipeError(
                f"red_team_share is {red_team_share}, and there is no {name} prompt. Add some, or "
                "leave the share out."
            )
    red_turns = _go_round(red, random.Random(f"{seed}:red-team"))
    other_turns = _go_round(others, random.Random(f"{seed}:other"))
    order: list[int] = []
    for _ in range(steps):
        order += [next(red_turns) for _ in range(first)]
        order += [next(other_turns) for _ in range(per_step - first)]
    return order


def _go_round(places: Sequence[int], draw: random.Random) -> Iterator[int]:
    while True:
        yield from draw.sample(places, len(places))


def choose_sampled(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """So many prompts whose answers are shown as the training goes on, from each kind in turn."""
    kinds: dict[PromptKind, list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda one: one.prompt_id):
        kinds.setdefault(prompt.kind, []).append(prompt)
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [prompt for turn in turns for prompt in turn if prompt is not None][:count]
