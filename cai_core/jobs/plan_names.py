"""What a plan may name when it comes from a page: names alone, never a place on the server's disk.

Whoever sits before a page must not find out which files there are. So a name is judged before
anything is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from cai_core.errors import RecipeError
from cai_core.inference.model_folder import DEMO

# Before a run's name, in the place of a model.
RUN = "run:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = (".jsonl", ".txt", ".csv", ".parquet", ".yaml", ".yml", ".json")


def check_place(name: str, folder: Path, *more: Path) -> None:
    """Refuse a path; a file's name is taken where the file ships in one of the folders.

    Raises:
        RecipeError: it is a path, or a file's name that is not there.
    """
    if _is_path(name):
        raise RecipeError(
            f"{name!r:.80} is a path. A page takes names alone: add the file as a prompt set or a "
            "constitution and name that, or hand the plan in on the command line."
        )
    is_file = name.lower().endswith(_FILES)
    if is_file and not any((place / name).is_file() for place in (folder, *more)):
        raise RecipeError(
            f"{name!r:.80} is no file that ships with the workbench. A page takes names alone; the "
            "command line takes files."
        )


def check_model(name: str, endpoints: Collection[str]) -> None:
    """Refuse what is no endpoint, `demo`, `run:NAME` or hub id.

    Args:
        endpoints: their names.

    Raises:
        RecipeError: it is a folder or a URL.
    """
    if name == DEMO or name in endpoints or name.startswith(RUN) or is_hub_id(name):
        return
    raise RecipeError(
        f"{name!r:.80} is no endpoint, `demo`, `run:NAME` or Hugging Face id. Folders and URLs "
        "are an admin's to name: ask for an endpoint on the page Models."
    )


def is_hub_id(name: str) -> bool:
    """Whether it has the form `owner/name`; nothing is looked for."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name


def _is_path(name: str) -> bool:
    return any(mark in name for mark in ("/", "\\", "\0")) or name.startswith((".", "~"))
