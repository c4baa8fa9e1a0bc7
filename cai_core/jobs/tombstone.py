"""Deleting a run: what it was stays, its content goes.

`recipe.yaml` and the status stay, and `tombstone.json` says who deleted what and when. So lineage
and audit log keep their ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.jobs.run_files import WORKER_LOCK
from cai_core.records import content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState, load_status, now

FILE = "tombstone.json"
_KEPT = frozenset({"recipe.yaml", "status.json", FILE, "writer.lock", WORKER_LOCK})
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedFile:
    """One file that is gone.

    Attributes:
        path: within the run's folder.
        sha256: of its content; of its target's name where it was a symbolic link.
    """

    path: str
    bytes: int
    sha256: str


def find_children(workspace: Path, run_id: str) -> list[str]:
    """Ids of the runs that name this one as a parent and have not been deleted themselves."""
    children = []
    for path in sorted((workspace / "runs").glob("*/recipe.yaml")):
        # YAML takes milliseconds to read: only those that name it at all.
        if path.parent.name == run_id or run_id.encode() not in path.read_bytes():
            continue
        child = open_run(path.parent)
        state = load_status(child.path / "status.json").state
        if run_id in child.parents and state is not RunState.DELETED:
            children.append(child.run_id)
    return children


def write_tombstone(run: Run, actor: str) -> list[DeletedFile]:
    """Say what is about to be deleted; the tombstone of a run that is deleted stays.

    Raises:
        WorkspaceError: a file cannot be read, or the tombstone cannot be written.
    """
    path, state = run.path / FILE, load_status(run.path / "status.json").state
    # One of a deletion that was broken off before the status said so knows too little.
    if state is RunState.DELETED and path.exists():
        return [DeletedFile(**file) for file in _load(path)["files"]]
    try:
        files = [_describe(file, run.path) for file in _walk(run.path)]
    except OSError as error:
        raise WorkspaceError(f"{error.filename}: cannot be read: {error.strerror}.") from error
    document = {
        "format": FORMAT,
        "run_id": run.run_id,
        "kind": run.kind,
        "deleted_by": actor,
        "deleted_at": now(),
        "state": state,
        "recipe_hash": content_hash(run.recipe),
        "files": [asdict(file) for file in files],
    }
    replace_file(path, [json.dumps(document, indent=1).encode()])
    return files


def clear_folder(run: Run) -> None:
    """Delete all but recipe, status, tombstone and locks.

    Raises:
        WorkspaceError: something cannot be deleted; calling it again goes on.
    """
    try:
        for entry in sorted(run.path.iterdir()):
            if entry.name in _KEPT:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{error.filename}: cannot be deleted: {error.strerror}. Mend that, then delete the "
            "run again."
        ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {"files": list(document["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(f"{path}: cannot be read: {error}. Move it away.") from error


def _walk(folder: Path) -> Iterator[Path]:
    """Every file that goes; links are named, not followed."""
    for entry in sorted(folder.iterdir()):
        if entry.name in _KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from (path for path in sorted(entry.rglob("*")) if _is_leaf(path))
        else:
            yield entry


def _is_leaf(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def _describe(path: Path, folder: Path) -> DeletedFile:
    digest = hashlib.sha256()
    if path.is_symlink():
        digest.update(str(path.readlink()).encode())
    else:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return DeletedFile(
        path=path.relative_to(folder).as_posix(),
        bytes=path.lstat().st_size,
        sha256=digest.hexdigest(),
    )
