"""A run's examples, frozen at its first start: the same at every later one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cai_core.errors import RecipeError, RunMismatchError
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record, read_lines

DATASET, DATASET_FACTS, TOO_LONG = "dataset.jsonl", "dataset.json", "too_long.json"


class Plain(Protocol):
    """Has a plain form."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        ...


class Freezable(Protocol):
    """A dataset as a stage builds it: examples in order, their hash, and what each source gave."""

    @property
    def examples(self) -> Sequence[Plain]:
        """In the order of training."""
        ...

    @property
    def counts(self) -> Sequence[Plain]:
        """One for each source."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the examples in their order."""
        ...


E = TypeVar("E", bound=Plain)
T = TypeVar("T")


def freeze_dataset(
    outputs: Path,
    build: Callable[[], Freezable],
    parse: Callable[[Mapping[str, Any]], E],
    compute_hash: Callable[[Sequence[E]], str],
) -> list[E]:
    """The run's examples: written to `outputs` at the first start, read from there ever after.

    Args:
        build: called at the first start alone.
        parse: the inverse of an example's `as_dict`.
        compute_hash: of the examples in their order, as the dataset's own `hash`.

    Raises:
        RunMismatchError: the file is not what was frozen.
    """
    path = outputs / DATASET
    if not path.exists():
        dataset = build()
        facts = {"hash": dataset.hash, "sources": [one.as_dict() for one in dataset.counts]}
        replace_file(outputs / DATASET_FACTS, [json.dumps(facts, indent=1).encode()])
        replace_file(path, (encode_record(one.as_dict()) for one in dataset.examples))
    refused = RunMismatchError(
        f"{path} is not what was frozen at the first start. Bring it back, or start a new run."
    )
    try:
        held = [parse(line.record) for line in read_lines(path) if line.record is not None]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused from error
    if compute_hash(held) != load_dataset_facts(outputs)["hash"]:
        raise refused
    return held


def load_dataset_facts(outputs: Path) -> dict[str, Any]:
    """`hash` of the frozen examples, and `sources`: what each one gave."""
    facts: dict[str, Any] = json.loads((outputs / DATASET_FACTS).read_text("utf-8"))
    return facts


def leave_out_long(
    examples: Sequence[T], count_tokens: Callable[[T], int], max_length: int, outputs: Path
) -> list[T]:
    """Examples of at most `max_length` tokens; the others are counted in outputs/too_long.json.

    Raises:
        RecipeError: none fits.
    """
    fitting = [example for example in examples if count_tokens(example) <= max_length]
    if not fitting:
        raise RecipeError(
            f"all {len(examples)} examples are longer than {max_length} tokens. Raise max_length."
        )
    told = {"left_out": len(examples) - len(fitting), "kept": len(fitting)}
    replace_file(outputs / TOO_LONG, [json.dumps(told).encode()])
    return fitting
