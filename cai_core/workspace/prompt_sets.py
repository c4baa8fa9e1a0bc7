"""Prompt sets of a workspace: immutable files, and the journal that says who added which.

`prompts/<name>/<hash>.jsonl` holds the prompts; `journal/prompts.jsonl` makes them a version of
the set. The lines that were no prompts are kept beside them.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import PromptFileError, WorkspaceError
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.files import replace_file, sync_folder
from cai_core.workspace.journal import FORMAT, encode_record, read_journal
from cai_core.workspace.locks import hold_lock

ADD = "add prompt set"
SHORT = 12
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSetVersion:
    """One adding of a prompt set, or the set that ships with the workbench.

    Attributes:
        hash: of its prompts, ids, kinds, tags and order included.
        number: the n-th adding under this name, from 1; 0 for the shipped set.
        parent: hash of the version before it, None where it was the first.
        source: the file or dataset that it came from.
        prompts, rejected: how many lines were prompts, and how many were none.
        rejected_hash: names the file of the latter, None where there are none.
        kinds, splits: kind or split (without `split:`) → how many prompts.
        tags: its commonest other tags → how many prompts; empty for what was added before tags
            were counted.
        actor, at: who, and when (UTC, ISO 8601); empty for the shipped set.
    """

    name: str
    hash: str
    number: int
    parent: str | None
    source: str
    prompts: int
    rejected: int
    rejected_hash: str | None
    kinds: Mapping[str, int]
    splits: Mapping[str, int]
    tags: Mapping[str, int]
    actor: str
    at: str

    @property
    def label(self) -> str:
        """`name@` and the beginning of its hash."""
        return f"{self.name}@{self.hash[:SHORT]}"


def read_prompt_sets(workspace: Path) -> dict[str, list[PromptSetVersion]]:
    """Every version of every set that was added here, by name, oldest first."""
    histories: dict[str, list[PromptSetVersion]] = {}
    for event in read_events(workspace, Topic.PROMPTS):
        if _is_adding(event):
            versions = histories.setdefault(event["name"], [])
            versions.append(_build_version(event, len(versions) + 1))
    return histories


def get_prompt_set_path(workspace: Path, name: str, version_hash: str) -> Path:
    """Where a version lies.

    Raises:
        PromptFileError: what cannot be a name or a hash never becomes a path.
    """
    check_set_name(name)
    if not _HASH.fullmatch(version_hash):
        raise PromptFileError(
            f"{name}: {version_hash!r:.80} is no SHA-256. Choose a version from the list."
        )
    return workspace / "prompts" / name / f"{version_hash}.jsonl"


def check_set_name(name: str) -> None:
    """Raise PromptFileError unless it can be a set's name."""
    if not NAME_PATTERN.fullmatch(name):
        raise PromptFileError(f"{name!r:.80} is no name of a prompt set. It must {NAME_RULE}.")


def write_prompt_set(
    workspace: Path, name: str, lines: Iterable[bytes], compute_hash: Callable[[Path], str]
) -> str:
    """Write a set's file under the hash of its content. Only `cai_core.actions` calls this.

    Args:
        lines: may raise; then nothing is left behind.
        compute_hash: reads the file that was written and says what it is to be called.

    Returns:
        The hash.

    Raises:
        PromptFileError: the name cannot be one, or from `lines` or `compute_hash`.
        WorkspaceError: the disk is full or refuses.
    """
    check_set_name(name)
    folder = workspace / "prompts" / name
    staged = folder / f".{secrets.token_hex(8)}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staged.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        version_hash = compute_hash(staged)
        # Where the version is there already, the same bytes take its place.
        staged.replace(get_prompt_set_path(workspace, name, version_hash))
        sync_folder(folder)
    except OSError as error:
        raise WorkspaceError(
            f"{folder}: cannot be written: {error.strerror}. Nothing was added."
        ) from error
    finally:
        staged.unlink(missing_ok=True)
    return version_hash


def write_rejected(
    workspace: Path, name: str, rejected_hash: str, lines: Iterable[Mapping[str, Any]]
) -> None:
    """Write the lines that were no prompts. Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: the disk is full or refuses.
    """
    path = _get_rejected_path(workspace, name, rejected_hash)
    records = [{"format": FORMAT}, *lines]
    replace_file(path, (encode_record(record) for record in records))


def load_rejected(workspace: Path, version: PromptSetVersion) -> list[dict[str, Any]]:
    """The lines of a version's source that were no prompts, each `line` and `reason`.

    Raises:
        WorkspaceError: their file is gone, or of a newer format.
    """
    if version.rejected_hash is None:
        return []
    path = _get_rejected_path(workspace, version.name, version.rejected_hash)
    if not path.is_file():
        raise WorkspaceError(f"{path}: is gone. Bring it back from a backup.")
    return read_journal(path).records


@contextmanager
def lock_prompt_sets(workspace: Path) -> Iterator[None]:
    """Nobody else adds a version meanwhile. Only `cai_core.actions` calls this."""
    with hold_lock(workspace, ".prompts.lock"):
        yield


def _get_rejected_path(workspace: Path, name: str, rejected_hash: str) -> Path:
    return get_prompt_set_path(workspace, name, rejected_hash).with_suffix(".rejected")


def _is_adding(event: Mapping[str, Any]) -> bool:
    """Whether the event adds a version; a foreign or damaged one does not."""
    texts = [event.get(key) for key in ("name", "version", "source", "actor", "at")]
    return (
        event.get("action") == ADD
        and all(isinstance(text, str) for text in texts)
        and NAME_PATTERN.fullmatch(event["name"]) is not None
        and _HASH.fullmatch(event["version"]) is not None
    )


def _build_version(event: Mapping[str, Any], number: int) -> PromptSetVersion:
    return PromptSetVersion(
        name=event["name"],
        hash=event["version"],
        number=number,
        parent=_read_hash(event.get("parent")),
        source=event["source"],
        prompts=_read_count(event.get("prompts")),
        rejected=_read_count(event.get("rejected")),
        rejected_hash=_read_hash(event.get("rejected_hash")),
        kinds=_read_counts(event.get("kinds")),
        splits=_read_counts(event.get("splits")),
        tags=_read_counts(event.get("tags")),
        actor=event["actor"],
        at=event["at"],
    )


def _read_hash(value: object) -> str | None:
    return value if isinstance(value, str) and _HASH.fullmatch(value) else None


def _read_count(value: object) -> int:
    return value if type(value) is int else 0


def _read_counts(value: object) -> dict[str, int]:
    return {key: _read_count(count) for key, count in dict(_as_mapping(value)).items()}


def _as_mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
