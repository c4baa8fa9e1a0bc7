"""Versions of constitutions: immutable files, found by name, hash or label.

`constitutions/<name>/<hash>.yaml` holds a text; `journal/constitutions.jsonl` makes it a version
(see `version_history`) and puts labels on it (see `version_labels`).
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from cai_core.constitution import find_constitution, load_constitution
from cai_core.constitution.model import NAME_PATTERN
from cai_core.constitution.store import SHIPPED, SUFFIXES
from cai_core.errors import ConstitutionError, WorkspaceError
from cai_core.records import Constitution
from cai_core.workspace.draft_check import dump_by_parts
from cai_core.workspace.files import replace_file
from cai_core.workspace.version_history import (
    HASH_PATTERN,
    RESTORE,
    SAVE,
    SHORT,
    VersionInfo,
    list_shipped,
    read_histories,
)
from cai_core.workspace.version_labels import read_labels

__all__ = [
    "RESTORE",
    "SAVE",
    "SHORT",
    "NameInfo",
    "VersionInfo",
    "find_head",
    "get_version_path",
    "list_names",
    "list_versions",
    "load_version",
    "resolve_constitution",
    "write_version",
]

_PREFIX = re.compile(r"[0-9a-f]{6,64}")


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
    histories = read_histories(workspace, shipped)
    listed = [_build_name(workspace, name, found, shipped) for name, found in histories.items()]
    listed += [
        NameInfo(name=summary.name, head=None, versions=0, error=summary.error)
        for summary in list_shipped(shipped)
        if summary.error is not None and summary.name not in histories
    ]
    return sorted(listed, key=lambda info: info.name.casefold())


def list_versions(workspace: Path, name: str, shipped: Path = SHIPPED) -> list[VersionInfo]:
    """Every version of a name, newest first; none for a name nobody has saved or shipped."""
    return read_histories(workspace, shipped).get(name, [])[::-1]


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
        for summary in list_shipped(shipped):
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
        ref: `NAME` (its newest version), `NAME@HASHPREFIX` (at least 6 hex digits), `NAME@LABEL`
            (where the label points now), or a path.

    Raises:
        ConstitutionError: unknown (the message lists what there is), ambiguous, or broken.
    """
    name, at, wanted = ref.partition("@")
    is_path = "/" in ref or "\\" in ref
    if at and not is_path and NAME_PATTERN.fullmatch(name):
        return load_version(workspace, name, _find_hash(workspace, name, wanted, shipped), shipped)
    histories = {} if is_path else read_histories(workspace, shipped)
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
    if not NAME_PATTERN.fullmatch(name) or not HASH_PATTERN.fullmatch(version_hash):
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
    replace_file(path, [dump_by_parts(constitution).encode()])
    _cache.put(path, constitution)


def _find_hash(workspace: Path, name: str, wanted: str, shipped: Path) -> str:
    """The one version that a label or the beginning of a hash means."""
    versions = list_versions(workspace, name, shipped)
    if not _PREFIX.fullmatch(wanted):
        labels = read_labels(workspace, name)
        if (move := labels.get(wanted)) is not None and move.hash is not None:
            return move.hash
        there = ", ".join(labels) or "none"
        raise ConstitutionError(
            f"{name}@{wanted}: {wanted!r} is neither the beginning of a hash (6 to 64 digits of "
            f"0-9 and a-f) nor one of its labels. Its labels: {there}."
        )
    # A parent may be a shipped text that a later release changed: it is kept as a file.
    hashes = dict.fromkeys(v.hash for v in versions)
    hashes |= dict.fromkeys(v.parent for v in versions if v.parent)
    found = [version_hash for version_hash in hashes if version_hash.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(version_hash[:SHORT] for version_hash in hashes) or "none"
    problem = "several versions begin with it" if found else "no such version"
    raise ConstitutionError(f"{name}@{wanted}: {problem}. There is: {there}.")


def _build_name(workspace: Path, name: str, found: list[VersionInfo], shipped: Path) -> NameInfo:
    error = None
    try:
        load_version(workspace, name, found[-1].hash, shipped)
    except ConstitutionError as problem:
        error = str(problem)
    return NameInfo(name=name, head=found[-1], versions=len(found), error=error)


class _Cache:
    """Texts by file. Parsing takes some 2 ms a principle, and a page lists everything each time.

    Size and time of change are looked at, so that a file somebody edits by hand is read again.
    """

    _MOST = 256

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[tuple[int, int], Constitution]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> Constitution | None:
        """The file's text, None where it is not known or the file was changed."""
        with self._lock:
            held = self._held.get(path)
            if held is None or held[0] != _stamp(path):
                return None
            self._held.move_to_end(path)
            return held[1]

    def put(
        self, path: Path, constitution: Constitution, stamp: tuple[int, int] | None = None
    ) -> None:
        """Remember what a file holds.

        Args:
            stamp: of the file before it was read; None when it was just written.
        """
        found = _stamp(path)
        if found is None or stamp not in (None, found):
            return
        with self._lock:
            self._held[path] = (found, constitution)
            self._held.move_to_end(path)
            while len(self._held) > self._MOST:
                self._held.popitem(last=False)


_cache = _Cache()


def _load(path: Path) -> Constitution:
    if (known := _cache.get(path)) is not None:
        return known
    stamp = _stamp(path)
    found = load_constitution(path)
    _cache.put(path, found, stamp)
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
