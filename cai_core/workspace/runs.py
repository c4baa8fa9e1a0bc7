"""Run folders: a frozen recipe, a status, rows by epoch, metrics, outputs, and one live writer.

A writer holds an flock for its life, so a dead one is known at once and cannot block. Each
writer opens an epoch of its own and seals the files before it by recording their lengths in
`epochs.jsonl`: what an older worker still writes into its file lies behind that length, and is
ignored and counted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cai_core.errors import RunMismatchError, WorkspaceError
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT, read_journal
from cai_core.workspace.locks import live_writer, take_lock
from cai_core.workspace.status import (
    RunState,
    RunStatus,
    load_status,
    replace_status,
    save_status,
)

ROW_FILE = re.compile(r"(?P<step>[a-z][a-z0-9_-]*)\.(?P<epoch>\d+)\.jsonl")
_RECIPE_KEYS = {"format", "run_id", "kind", "parents", "recipe"}
_OWN_NAMES = {"writer.lock", "rows", "outputs", "inputs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFile:
    """One attempt's rows, and how much of the file counts.

    Attributes:
        limit: bytes that count; None while its epoch is the newest.
        late_bytes: bytes behind the limit.
    """

    path: Path
    epoch: int
    limit: int | None
    late_bytes: int


class Run:
    """A run folder, for reading. Use `create_run` or `open_run`."""

    def __init__(self, path: Path, document: Mapping[str, Any]):
        self.path = path
        self.run_id: str = document["run_id"]
        self.kind: str = document["kind"]
        self.parents: tuple[str, ...] = tuple(document["parents"])
        self.recipe: dict[str, Any] = document["recipe"]

    @property
    def outputs(self) -> Path:
        """Folder of what the run made for others."""
        return self.path / "outputs"

    def status(self) -> RunStatus:
        """Where the run stands; `running` without a live writer reads as interrupted."""
        return read_status(self.path)

    def row_files(self, step: str | None = None) -> list[RowFile]:
        """Row files of a step (all steps when None), oldest epoch first, with their seals."""
        epochs = read_journal(self.path / "epochs.jsonl").records
        newest = max((record["epoch"] for record in epochs), default=0)
        found = []
        for path in sorted((self.path / "rows").glob("*.jsonl")):
            match = ROW_FILE.fullmatch(path.name)
            if match and step in (None, match["step"]):
                found.append(_row_file(path, int(match["epoch"]), newest, epochs))
        return sorted(found, key=lambda file: (file.epoch, file.path.name))


def read_status(path: Path) -> RunStatus:
    """As `Run.status`, without reading the recipe.

    Raises:
        WorkspaceError: there is no status, or it is broken.
    """
    status = load_status(path / "status.json")
    if status.state is RunState.RUNNING and live_writer(path) is None:
        # Asked again: the writer may have said its last word and left in between.
        status = load_status(path / "status.json")
    if status.state is RunState.RUNNING and live_writer(path) is None:
        reason = f"its worker (pid {status.pid}) is gone; resume to go on"
        return replace_status(status, state=RunState.INTERRUPTED, reason=reason)
    return status


def create_run(
    path: Path, *, kind: str, recipe: Mapping[str, Any], parents: Sequence[str] = ()
) -> Run:
    """Make the run folder and freeze its recipe; an equal one that exists is opened.

    The run's id is the folder's name at this moment.

    Raises:
        RunMismatchError: the folder holds a run of another recipe; the message shows each key.
        WorkspaceError: the folder holds something else, or cannot be written.
    """
    document = {
        "format": FORMAT,
        # Resolved: the name of `.` is empty.
        "run_id": path.resolve().name,
        "kind": kind,
        "parents": list(parents),
        "recipe": dict(recipe),
    }
    if (path / "recipe.yaml").exists():
        run = open_run(path, kind=kind, recipe=recipe)
        if (path / "status.json").exists() and run.status().state is RunState.DELETED:
            raise WorkspaceError(
                f"{path}: the run was deleted; its tombstone.json says by whom and when. Choose "
                "another seed, which makes another run."
            )
        return run
    _check_empty(path)
    try:
        for folder in ("rows", "outputs"):
            (path / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be made: {error.strerror}.") from error
    lock = take_lock(path / "writer.lock")
    try:
        if not (path / "recipe.yaml").exists():  # else another was faster
            save_status(path / "status.json", RunStatus(state=RunState.QUEUED))
            replace_file(path / "recipe.yaml", [dump_recipe(document).encode("utf-8")])
    finally:
        os.close(lock)
    return open_run(path, kind=kind, recipe=recipe)


def dump_recipe(document: Mapping[str, Any]) -> str:
    """The YAML text of a recipe: reading it gives back exactly the same values."""
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) == document:
        return text
    # Some line separators come back as others unless they are escaped.
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=False)


def open_run(
    path: Path, *, kind: str | None = None, recipe: Mapping[str, Any] | None = None
) -> Run:
    """Open a run folder, and compare its kind and recipe where they are given.

    Raises:
        WorkspaceError: no run there, recipe.yaml is broken or holds unknown keys.
        RunMismatchError: it is another recipe; the message shows each key that differs.
    """
    run = Run(path, _load_recipe(path / "recipe.yaml"))
    asked: dict[str, Any] = {} if recipe is None else {"recipe": dict(recipe)}
    asked |= {} if kind is None else {"kind": kind}
    held: dict[str, Any] = {key: getattr(run, key) for key in asked}
    if differences := diff_recipes(held, asked):
        lines = "\n".join(f"  {line}" for line in differences)
        raise RunMismatchError(
            f"{path} holds a run with another recipe:\n{lines}\n"
            "Repeat its command to go on with it, or choose another folder."
        )
    return run


def diff_recipes(held: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """`key: held … , asked …` for every leaf that differs, sorted by key."""
    old, new = _flatten(_plain(held)), _flatten(_plain(asked))
    missing = "(not set)"
    return [
        f"{key.removeprefix('recipe.')}: {old.get(key, missing)!r} in the folder, "
        f"{new.get(key, missing)!r} asked"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, missing) != new.get(key, missing)
    ]


def _row_file(path: Path, epoch: int, newest: int, epochs: list[dict[str, Any]]) -> RowFile:
    if epoch >= newest:
        return RowFile(path=path, epoch=epoch, limit=None, late_bytes=0)
    # The first takeover after the file's epoch counts; where its line is damaged, the next one,
    # so that no acknowledged row is lost.
    sealed = next(record["sealed"] for record in epochs if record["epoch"] > epoch)
    limit = sealed.get(path.name, 0)
    late = max(0, path.stat().st_size - limit)
    return RowFile(path=path, epoch=epoch, limit=limit, late_bytes=late)


def _load_recipe(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be read: {error.strerror}. Is this a run?") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{path}: broken: {error}. A recipe is never edited.") from error
    if not isinstance(document, dict) or document.keys() != _RECIPE_KEYS:
        keys = sorted(map(str, document)) if isinstance(document, dict) else document
        raise WorkspaceError(f"{path}: has {keys}, not exactly {sorted(_RECIPE_KEYS)}.")
    if document["format"] != FORMAT:
        raise WorkspaceError(
            f"{path}: format {document['format']!r}; this version reads {FORMAT}. "
            "Open the run with the version that wrote it."
        )
    return document


def _check_empty(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise WorkspaceError(f"{path}: is a file. Choose a folder that is new or empty.")
    others = {entry.name for entry in path.iterdir()} - _OWN_NAMES if path.exists() else set()
    if strangers := sorted(name for name in others if name != "status.json" and name[0] != "."):
        raise WorkspaceError(
            f"{path}: holds other files ({', '.join(strangers[:3])}) and no recipe.yaml. "
            "Choose a folder that is new or empty."
        )


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    # As YAML gives it back: tuples are lists, words of an enum are words.
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        leaves |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return leaves
