"""Ids of runs: a name, and a hash of what the run is, wherever its workspace lies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cai_core.jobs.plan_names import RUN
from cai_core.records import content_hash

_DIGITS = 8


def build_run_id(
    stem: str, kind: str, recipe: Mapping[str, Any], parents: tuple[str, ...], workspace: Path
) -> str:
    """`<stem>-<8 hex digits of what the run is>`, the same in every workspace.

    Seeds and draws come from ids: the same plan, handed in elsewhere, then gives the same.
    """
    what = {"kind": kind, "recipe": forget_place(recipe, workspace), "parents": list(parents)}
    return f"{stem}-{content_hash(what)[:_DIGITS]}"


def forget_place(recipe: Mapping[str, Any], workspace: Path) -> dict[str, Any]:
    """The recipe with folders of the workspace's runs as `run:…`."""
    runs = f"{(workspace / 'runs').absolute()}{os.sep}"

    def rename(value: Any) -> Any:
        match value:
            case str() if value.startswith(runs):
                return f"{RUN}{value.removeprefix(runs)}"
            case dict():
                return {key: rename(one) for key, one in value.items()}
            case list() | tuple():
                return [rename(one) for one in value]
        return value

    return {key: rename(value) for key, value in recipe.items()}
