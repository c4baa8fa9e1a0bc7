"""What a run has told so far: metrics, samples, log, checkpoints, lineage. Reads files alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.jobs.metrics_file import read_metrics_file
from cai_core.training.checkpoints import MANIFEST
from cai_core.workspace.journal import read_journal
from cai_core.workspace.runs import diff_recipes, open_run
from cai_core.workspace.status import RunState

_TAIL_BYTES = 32 * 1024
_MOST_ANCESTORS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The answer to one fixed prompt, after so many steps."""

    step: int
    prompt_id: str
    prompt: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedStep:
    """A checkpoint's folder.

    Attributes:
        size: bytes.
        sealed: whether it was written to its end; its hashes are compared when a run goes on.
    """

    step: int
    size: int
    sealed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A run of a lineage.

    Attributes:
        kind: None where the run is not here any more, or cannot be read.
        parents: ids of the runs that it was made from.
    """

    run: str
    kind: str | None
    state: RunState | None
    parents: tuple[str, ...]


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """A line for each step, in order; of a step that was done twice the last one.

    Of a long run at most MOST_POINTS, every spike of the loss among them. Cheap when called
    again: new lines alone are read.
    """
    return read_metrics_file(folder)[0]


def read_notes(folder: Path) -> list[str]:
    """What the trainer said beside the numbers, e.g. of a broken checkpoint."""
    return read_metrics_file(folder)[1]


def read_samples(folder: Path) -> list[Sample]:
    """In the order in which they were written."""
    names = {item.name for item in fields(Sample)}
    return [
        Sample(**{name: record[name] for name in names})
        for record in read_journal(folder / "samples.jsonl").records
        if names <= record.keys()
    ]


def read_log_tail(folder: Path) -> str:
    """The end of worker.log, from the beginning of a line."""
    try:
        with (folder / "worker.log").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if size <= _TAIL_BYTES else text.partition("\n")[2]


def list_saved(folder: Path) -> list[SavedStep]:
    """Checkpoints, the newest first; cheap, for a page that looks often."""
    found = []
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if step.isdecimal():
            try:
                size = sum(file.stat().st_size for file in path.iterdir())
            except OSError:
                continue  # deleted this moment
            sealed = (path / MANIFEST).is_file()
            found.append(SavedStep(step=int(step), size=size, sealed=sealed))
    return sorted(found, key=lambda saved: -saved.step)


def find_lineage(workspace: Path, run_id: str) -> list[Ancestor]:
    """The run and all that it was made from, parents after children."""
    waiting, found = [run_id], dict[str, Ancestor]()
    while waiting and len(found) < _MOST_ANCESTORS:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = _find_ancestor(workspace, name)
        waiting += found[name].parents
    return list(found.values())


def compare_recipes(held: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each key that differs, and `this → that`."""
    told = []
    for line in diff_recipes(held, other):
        key, _, values = line.partition(": ")
        this, _, that = values.removesuffix(" asked").partition(" in the folder, ")
        told.append((key, f"{this} → {that}"))
    return told


def read_dataset_counts(folder: Path) -> dict[str, Any] | None:
    """The examples' hash, and what each source gave; None before they are frozen."""
    try:
        told = json.loads((folder / "outputs" / "dataset.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def list_made_models(workspace: Path) -> dict[str, Path]:
    """Run id → folder of the model that it made and that answers, the newest first.

    A reward model gives a number and no answer; it is left out.
    """
    found = [
        config.parent
        for config in (workspace / "runs").glob("*/outputs/model/config.json")
        if (config.parent / MANIFEST).is_file() and _answers(config, _read_time(config))
    ]
    newest = sorted(found, key=_read_time, reverse=True)
    return {folder.parents[1].name: folder for folder in newest}


@lru_cache(maxsize=1024)
def _answers(config: Path, changed: float) -> bool:
    """Whether a model's config is one of a model that writes; asked once for each file."""
    del changed
    try:
        architectures = json.loads(config.read_text("utf-8")).get("architectures") or []
    except (OSError, ValueError, AttributeError):
        return False
    return not any(str(name).endswith("ForSequenceClassification") for name in architectures)


def _read_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # deleted this moment


def _find_ancestor(workspace: Path, name: str) -> Ancestor:
    try:
        run = open_run(workspace / "runs" / name)
        state = run.status().state
    except CaiError:
        return Ancestor(run=name, kind=None, state=None, parents=())
    return Ancestor(run=name, kind=run.kind, state=state, parents=run.parents)
