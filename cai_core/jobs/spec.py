"""A run as it is handed in: everything that it needs, before its folder exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cai_core.errors import UnknownModelError
from cai_core.inference.model_url import check_url


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


def check_model_url(url: str) -> None:
    """Refuse a model's URL that holds a secret: recipes are shown, exported and never edited.

    Raises:
        UnknownModelError: no URL that can be asked, or with a user name, password or query.
    """
    check_url(url)
    parts = urlsplit(url)
    if parts.query:
        # Not repeated here: keys stand in queries.
        raise UnknownModelError(
            f"The URL of {parts.hostname} holds a query (`?…`). Leave it out: a key goes into "
            "CAI_API_KEY."
        )
