"""The probe's prompts: a few of each class, frozen in the run, never of the held-out ones. Pure.

They come from the prompts that may be trained on, and `leave_out_probe` takes them out of what is
trained on: answers to them tell what the model does, not what it has learned by heart. Held-out
prompts would be spent by it: a run that is stopped by them is chosen by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cai_core.errors import RecipeError, RunMismatchError
from cai_core.records import Conversation, Message, Prompt, PromptKind, content_hash
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record, read_lines

PROBE_PROMPTS = Path("inputs", "probe.jsonl")
CLASSES = (PromptKind.RED_TEAM, PromptKind.HELPFUL, PromptKind.BORDERLINE)
# A share of 7 in 24 is beyond chance against 0 in 24: their 95 % intervals do not touch.
PER_CLASS = 24

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePrompt:
    """A prompt that is asked every so many steps; `kind` is its class."""

    prompt_id: str
    kind: PromptKind
    conversation: Conversation

    def as_dict(self) -> dict[str, Any]:
        """A line of inputs/probe.jsonl."""
        return {
            "prompt_id": self.prompt_id,
            "kind": self.kind.value,
            "conversation": [turn.as_dict() for turn in self.conversation],
        }


def choose_probe(
    prompts: Iterable[Prompt], per_class: int = PER_CLASS, seed: int = 0
) -> list[ProbePrompt]:
    """So many prompts of each class, chosen by the seed and each prompt's text alone.

    Held-out prompts, and prompts of the same text, are left out; so are those of kind `unknown`. A
    class may have fewer, or none; the alarms then say that they do not watch it.
    """
    held = list(prompts)
    held_out = {prompt.hash for prompt in held if HELD_OUT in prompt.tags}
    chosen = []
    for kind in CLASSES:
        fitting = {p.hash: p for p in held if p.kind is kind and p.hash not in held_out}
        drawn = sorted(fitting, key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())
        chosen += [
            ProbePrompt(prompt_id=p.prompt_id, kind=kind, conversation=p.conversation)
            for p in (fitting[text] for text in drawn[:per_class])
        ]
    return chosen


def build_probe_lines(prompts: Sequence[ProbePrompt]) -> Iterable[bytes]:
    """The file's bytes, for those who write a run's inputs."""
    return (encode_record(prompt.as_dict()) for prompt in prompts)


def freeze_probe(
    run_folder: Path, choose: Callable[[], Sequence[ProbePrompt]]
) -> list[ProbePrompt]:
    """The run's probe: written at the first start where it is not there yet, read ever after.

    Raises:
        RunMismatchError: the file is no probe.
    """
    path = run_folder / PROBE_PROMPTS
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, build_probe_lines(choose()))
    return load_probe(run_folder)


def load_probe(run_folder: Path) -> list[ProbePrompt]:
    """The frozen prompts; none where the run has no probe.

    Raises:
        RunMismatchError: the file is no probe.
    """
    path = run_folder / PROBE_PROMPTS
    try:
        return [_parse(line.record) for line in read_lines(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise RunMismatchError(
            f"{path} is not the probe that was frozen: {error}. Bring it back, or start a new run."
        ) from error


def leave_out_probe(
    things: Iterable[T],
    probe: Sequence[ProbePrompt],
    get_conversation: Callable[[T], Iterable[Mapping[str, Any]]],
) -> list[T]:
    """What is trained on, without what is asked in the probe.

    Args:
        get_conversation: a thing's turns as `{"role", "content"}`, the last one the user's.

    Raises:
        RecipeError: nothing is left.
    """
    asked = {content_hash([turn.as_dict() for turn in one.conversation]) for one in probe}
    held = list(things)
    left = [
        one for one in held if content_hash(list(map(dict, get_conversation(one)))) not in asked
    ]
    if held and not left:
        raise RecipeError(
            f"all {len(held)} prompts are the probe's own, and nothing is left to train on. Give "
            "more prompts, or a smaller probe."
        )
    return left


def _parse(record: Mapping[str, Any] | None) -> ProbePrompt:
    if record is None:
        raise ValueError("a line is damaged")
    return ProbePrompt(
        prompt_id=record["prompt_id"],
        kind=PromptKind(record["kind"]),
        conversation=tuple(
            Message(turn["role"], turn["content"]) for turn in record["conversation"]
        ),
    )
