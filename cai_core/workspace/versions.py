"""Versions of constitutions: immutable files, and the journal that says who saved which, and why.

`constitutions/<name>/<hash>.yaml` holds a text; `journal/constitutions.jsonl` makes it a version.
A file that no event names (its writer was killed in between) is not a version, and going back
to an older text is one more event with that text's hash. The constitutions that ship with the
workbench count as version 0 of their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.constitution import (
    ConstitutionSummary,
    dump_constitution,
    find_constitution,
    list_constitutions,
    load_constitution,
)
from cai_core.constitution.model import NAME_PATTERN
from cai_core.constitution.store import SHIPPED, SUFFIXES
from cai_core.errors import ConstitutionError, WorkspaceError
from cai_core.records import Constitution
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.files import replace_file

SAVE, RESTORE = "save constitution", "restore constitution"
SHORT = 12
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """One save of a constitution, or the shipped text.

    Attributes:
        hash: of the content. Two saves have the same one where a person went back.
        number: the n-th save of this name, from 1; 0 for the shipped text.
        note: why it was saved; empty for the shipped text.
        actor, at: who, and when (UTC, ISO 8601); empty for the shipped text.
        parent: hash of the version it was saved on top of, None where it was the first.
        principles: how many.
        restored: whether the save went back to an older version.
    """

    name: str
    hash: str
    number: int
    note: str
    actor: str
    at: str
    parent: str | None
    shipped: bool
    principles: int
    restored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NameInfo:
    """A constitution by name.

    Attributes:
        head: its newest version; None where there is only a file that cannot be read.
        versions: how many versions there are, the shipped one counted.
        error: why the newest version cannot be read, None when it can.
    """

    name: str
    head: VersionInfo | None
    versions: int
    error: str | None


def list_names(workspace: Path, shipped: Path = SHIPPED) -> list[NameInfo]:
    """Every constitution of the workspace and of the shipped folder, by name."""
    histories = _read_histories(workspace, shipped)
    listed = [_build_name(workspace, name, found, shipped) for name, found in histories.items()]
    listed += [
        NameInfo(name=summary.name, head=None, versions=0, error=summary.error)
        for summary in _list_shipped(shipped)
        if summary.error is not None and summary.name not in histories
    ]
    return sorted(listed, key=lambda info: info.name.casefold())


def list_versions(workspace: Path, name: str, shipped: Path = SHIPPED) -> list[VersionInfo]:
    """Every version of a name, newest first; none for a name nobody has saved or shipped."""
    return _read_histories(workspace, shipped).get(name, [])[::-1]


def find_head(workspace: Path, name: str, shipped: Path = SHIPPED) -> VersionInfo | None:
    """The newest version of a name, None where there is no such name."""
    return next(iter(list_versions(workspace, name, shipped)), None)


def load_version(
    workspace: Path, name: str, version_hash: str, shipped: Path = SHIPPED
) -> Constitution:
    """The text of a version, checked against its hash.

    Raises:
        ConstitutionError: no such version, or its file is broken or was changed by hand.
    """
    path = get_version_path(workspace, name, version_hash)
    if not path.is_file():
        for summary in _list_shipped(shipped):
            if (summary.name, summary.hash) == (name, version_hash):
                return _load(summary.path)
        raise ConstitutionError(
            f"{path}: this version of {name!r} is missing. Bring the file back from a backup, or "
            "choose another version."
        )
    found = _load(path)
    if (found.name, found.hash) != (name, version_hash):
        raise ConstitutionError(
            f"{path}: was changed after it was saved; it now holds {found.name}@"
            f"{found.hash[:SHORT]}. Bring the file back from a backup, or choose another version."
        )
    return found


def resolve_constitution(workspace: Path, ref: str, shipped: Path = SHIPPED) -> Constitution:
    """The constitution that a reference names.

    Args:
        ref: `NAME` (its newest version), `NAME@HASHPREFIX` (at least 6 hex digits), or a path.

    Raises:
        ConstitutionError: unknown (the message lists what there is), ambiguous, or broken.
    """
    name, at, prefix = ref.partition("@")
    is_path = "/" in ref or "\\" in ref
    if at and not is_path and NAME_PATTERN.fullmatch(name):
        return _resolve_prefix(workspace, name, prefix, shipped)
    histories = {} if is_path else _read_histories(workspace, shipped)
    if ref in histories:
        return load_version(workspace, ref, histories[ref][-1].hash, shipped)
    try:
        return find_constitution(ref, shipped)
    except ConstitutionError as error:
        saved = sorted(name for name, found in histories.items() if not found[-1].shipped)
        if not saved or ref.lower().endswith(SUFFIXES):
            raise
        raise ConstitutionError(f"{error} The workspace holds: {', '.join(saved)}.") from error


def get_version_path(workspace: Path, name: str, version_hash: str) -> Path:
    """Where a version lies.

    Raises:
        ConstitutionError: what cannot be a name or a hash never becomes a path.
    """
    if not NAME_PATTERN.fullmatch(name) or not _HASH.fullmatch(version_hash):
        raise ConstitutionError(
            f"{name!r} and {version_hash!r:.80}: not a constitution's name and its version's "
            "SHA-256. Choose a version from the list."
        )
    return workspace / "constitutions" / name / f"{version_hash}.yaml"


def write_version(workspace: Path, constitution: Constitution) -> None:
    """Write a version's file unless it is there already. Only `cai_core.actions` calls this.

    Raises:
        ConstitutionError: a file of that hash holds something else.
        WorkspaceError: the disk refuses.
    """
    path = get_version_path(workspace, constitution.name, constitution.hash)
    if path.is_file():
        load_version(workspace, constitution.name, constitution.hash)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{path.parent}: cannot be made: {error.strerror}. Nothing was saved."
        ) from error
    replace_file(path, [dump_constitution(constitution).encode()])


def _resolve_prefix(workspace: Path, name: str, prefix: str, shipped: Path) -> Constitution:
    if not _PREFIX.fullmatch(prefix):
        raise ConstitutionError(
            f"{name}@{prefix}: {prefix!r} is not the beginning of a hash. "
            "Give 6 to 64 digits of 0-9 and a-f."
        )
    versions = list_versions(workspace, name, shipped)
    # A parent may be a shipped text that a later release changed: it is kept as a file.
    hashes = dict.fromkeys(v.hash for v in versions)
    hashes |= dict.fromkeys(v.parent for v in versions if v.parent)
    found = [version_hash for version_hash in hashes if version_hash.startswith(prefix)]
    if len(found) == 1:
        return load_version(workspace, name, found[0], shipped)
    there = ", ".join(version_hash[:SHORT] for version_hash in hashes) or "none"
    problem = "several versions begin with it" if found else "no such version"
    raise ConstitutionError(f"{name}@{prefix}: {problem}. There is: {there}.")


def _read_histories(workspace: Path, shipped: Path) -> dict[str, list[VersionInfo]]:
    """The versions of every name, oldest first."""
    histories = {
        summary.name: [_build_shipped(summary.name, summary.hash, summary.principles)]
        for summary in _list_shipped(shipped)
        if summary.hash is not None
    }
    counts: dict[str, int] = {}
    for event in read_events(workspace, Topic.CONSTITUTIONS):
        if not _is_save(event):
            continue
        name = event["name"]
        counts[name] = counts.get(name, 0) + 1
        histories.setdefault(name, []).append(_build_version(event, counts[name]))
    return histories


def _is_save(event: dict[str, Any]) -> bool:
    """Whether the event is a save; a foreign or damaged one is no version."""
    texts = [event.get(key) for key in ("name", "version", "note", "actor", "at")]
    return (
        event.get("action") in (SAVE, RESTORE)
        and all(isinstance(text, str) for text in texts)
        and NAME_PATTERN.fullmatch(event["name"]) is not None
        and _HASH.fullmatch(event["version"]) is not None
    )


def _build_version(event: dict[str, Any], number: int) -> VersionInfo:
    parent, principles = event.get("parent"), event.get("principles")
    return VersionInfo(
        name=event["name"],
        hash=event["version"],
        number=number,
        note=event["note"],
        actor=event["actor"],
        at=event["at"],
        parent=parent if isinstance(parent, str) and _HASH.fullmatch(parent) else None,
        shipped=False,
        principles=principles if isinstance(principles, int) else 0,
        restored=event["action"] == RESTORE,
    )


def _build_shipped(name: str, version_hash: str, principles: int) -> VersionInfo:
    return VersionInfo(
        name=name,
        hash=version_hash,
        number=0,
        note="",
        actor="",
        at="",
        parent=None,
        shipped=True,
        principles=principles,
    )


def _build_name(workspace: Path, name: str, found: list[VersionInfo], shipped: Path) -> NameInfo:
    error = None
    try:
        load_version(workspace, name, found[-1].hash, shipped)
    except ConstitutionError as problem:
        error = str(problem)
    return NameInfo(name=name, head=found[-1], versions=len(found), error=error)


# Parsing takes some 10 ms a file, and a page lists everything at every click. Size and time of
# change are part of the key, so that a file somebody edits by hand is read again.
def _load(path: Path) -> Constitution:
    try:
        stat = path.stat()
    except OSError:
        return load_constitution(path)
    return _load_unchanged(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _load_unchanged(path: Path, _changed: int, _size: int) -> Constitution:
    return load_constitution(path)


def _list_shipped(folder: Path) -> tuple[ConstitutionSummary, ...]:
    return _list_unchanged(folder, tuple(_fingerprints(folder)))


def _fingerprints(folder: Path) -> Iterable[tuple[str, int, int]]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            stat = path.stat()
            yield path.name, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=16)
def _list_unchanged(
    folder: Path, _prints: tuple[tuple[str, int, int], ...]
) -> tuple[ConstitutionSummary, ...]:
    return tuple(list_constitutions(folder))
