"""Suites: fixed prompts that models are asked again and again, with a hash. Pure but for `load_*`.

A suite is a .jsonl file. Its first line says what it is, each other line is a prompt:

    {"format": 1, "suite": "harmful", "version": 1, "description": "…", "held_out": true}
    {"id": "harmful-001", "kind": "harmful", "category": "fraud", "prompt": "…"}
    {"id": "turns-001", "kind": "multi-turn", "category": "theft", "turns": ["…", "…", "…"]}

A person's file may leave the first line out, and be a prompt set: `messages` for `prompt`, and the
kinds `red-team` and `helpful`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cai_core.records import Conversation, Message, Prompt, PromptKind, content_hash

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "suites"
Form = Literal["neutral", "pressed"]


class SuiteKind(StrEnum):
    """What a prompt asks for, and so what a good answer is.

    Harmful ones are to be declined; fine and borderline ones (which sound harmful) answered. A
    sycophancy prompt comes neutral and pressed (a wrong belief, or a push), and the answer should
    be the same. In a multi-turn one somebody pushes towards harm over several turns.
    """

    HARMFUL = "harmful"
    FINE = "fine"
    BORDERLINE = "borderline"
    SYCOPHANCY = "sycophancy"
    MULTI_TURN = "multi-turn"


_PROMPT_KINDS = {
    SuiteKind.HARMFUL: PromptKind.RED_TEAM,
    SuiteKind.MULTI_TURN: PromptKind.RED_TEAM,
    SuiteKind.FINE: PromptKind.HELPFUL,
    SuiteKind.BORDERLINE: PromptKind.BORDERLINE,
    SuiteKind.SYCOPHANCY: PromptKind.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePrompt:
    """One prompt of a suite.

    Attributes:
        turns: what the person says, in order; the model answers each before the next is said.
        context: turns before the first of them, the same for every model; often none.
        intent: prompts of one intent stand or fall together, and their intervals are clustered by
            it; the prompt's own id where nothing else is given.
        form: of a sycophancy prompt; None otherwise.
        reference: what a right answer says, for a judge; None where there is no such thing.
    """

    id: str
    kind: SuiteKind
    turns: tuple[str, ...]
    category: str
    intent: str
    context: Conversation = ()
    form: Form | None = None
    reference: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the person says, turns apart by an empty line."""
        return "\n\n".join(self.turns)

    def build_conversation(self, answers: Sequence[str] = ()) -> Conversation:
        """What the model is to answer next, after so many answers of its own.

        Raises:
            ValueError: every turn has its answer.
        """
        if len(answers) >= len(self.turns):
            raise ValueError(f"{self.id}: all {len(self.turns)} turns are answered")
        said = [Message("user", turn) for turn in self.turns[: len(answers) + 1]]
        told = [Message("assistant", answer) for answer in answers]
        both = [turn for pair in zip(said, told, strict=False) for turn in pair]
        return (*self.context, *both, said[-1])

    def build_prompt(self) -> Prompt:
        """The first turn as a prompt of a prompt set; its id is the suite's."""
        return Prompt(
            prompt_id=self.id,
            conversation=self.build_conversation(),
            kind=_PROMPT_KINDS[self.kind],
            tags=(f"category:{self.category}", *self.tags),
        )

    def as_dict(self) -> dict[str, Any]:
        """A line of a suite's file; what is empty or the default is left out."""
        if self.context:
            turns = {"context": [turn.as_dict() for turn in self.context]}
        else:
            turns = {}
        said: dict[str, Any] = (
            {"prompt": self.turns[0]} if len(self.turns) == 1 else {"turns": list(self.turns)}
        )
        rest = {
            "intent": self.intent if self.intent != self.id else None,
            "form": self.form,
            "reference": self.reference,
            "tags": list(self.tags),
        }
        return {
            "id": self.id,
            "kind": self.kind.value,
            "category": self.category,
            **turns,
            **said,
            **{key: value for key, value in rest.items() if value},
        }


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Prompts in a fixed order.

    Attributes:
        version: from 1; told to people. What identifies the content is `hash`.
        held_out: models that are measured with it must not have been trained on its prompts.
    """

    name: str
    version: int
    description: str
    prompts: tuple[SuitePrompt, ...]
    held_out: bool = True

    @cached_property
    def hash(self) -> str:
        """Content hash of the prompts, in order; neither the name nor the version changes it."""
        return content_hash([prompt.as_dict() for prompt in self.prompts])

    @property
    def label(self) -> str:
        """`name@hash`, short."""
        return f"{self.name}@{self.hash[:12]}"

    def count_categories(self) -> dict[str, int]:
        """Category → prompts, in order of appearance."""
        return dict(Counter(prompt.category for prompt in self.prompts))

    def count_kinds(self) -> dict[SuiteKind, int]:
        """Kind → prompts, in order of appearance."""
        return dict(Counter(prompt.kind for prompt in self.prompts))


def choose_prompts(suite: Suite, limit: int, seed: int = 0) -> tuple[SuitePrompt, ...]:
    """At most `limit` prompts, spread evenly over kinds and categories, in the suite's
    order.

    Intents stay whole, so that a pressed prompt keeps its neutral one. The same for a seed; with a
    higher limit the former ones are among them, as long as no intent is left out for its size.
    """
    rng = random.Random(f"suite:{seed}")
    groups: dict[tuple[SuiteKind, str], dict[str, list[SuitePrompt]]] = defaultdict(dict)
    for prompt in suite.prompts:
        groups[prompt.kind, prompt.category].setdefault(prompt.intent, []).append(prompt)
    queues = [rng.sample(list(intents.values()), len(intents)) for intents in groups.values()]
    chosen: set[str] = set()
    for turn in range(max(map(len, queues), default=0)):
        for queue in rng.sample(queues, len(queues)):
            if turn < len(queue) and len(chosen) + len(queue[turn]) <= limit:
                chosen.update(prompt.id for prompt in queue[turn])
    return tuple(prompt for prompt in suite.prompts if prompt.id in chosen)
