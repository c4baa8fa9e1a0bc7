"""A run as it is handed in: everything that it needs, before its folder exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run to submit.

    Attributes:
        run_id: folder below `runs/`; made of the recipe's hash, so that the same is the same.
        kind: `revise`, `sft`, … : which stage the worker runs.
        recipe: the plain form, frozen in recipe.yaml.
        parents: ids of the runs that must have succeeded before it can begin.
        inputs: file name → its content, in pieces; written into the run's `inputs/`, so that a
            prompt file that is changed or deleted later changes nothing.
    """

    run_id: str
    kind: str
    recipe: Mapping[str, Any]
    parents: tuple[str, ...] = ()
    inputs: Mapping[str, Callable[[], Iterable[bytes]]] = field(default_factory=dict)
