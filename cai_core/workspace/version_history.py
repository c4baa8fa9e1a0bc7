"""What the journal says of constitutions' versions: who saved which, when, why, and on what.

A file that no event names (its writer was killed in between) is not a version, and going back
to an older text is one more event with that text's hash. The constitutions that ship with the
workbench count as version 0 of their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.constitution import ConstitutionSummary, list_constitutions
from cai_core.constitution.model import NAME_PATTERN
from cai_core.workspace.events import Topic, read_events

SAVE, RESTORE = "save constitution", "restore constitution"
SHORT = 12
HASH_PATTERN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """One save of a constitution, or the shipped text.

    Attributes:
        hash: of the content. Two saves have the same one where a person went back.
        number: the n-th save of this name, from 1; 0 for the shipped text.
        note: why it was saved; empty for the shipped text.
        actor, at: who saved it, and when (UTC, ISO 8601); empty for the shipped text.
        parent: hash of the version it was saved on top of, None where it was the first.
        principles: how many.
        restored: whether the save went back to an older version.
        authors: who wrote in it: everybody who changed its draft, and who saved it.
        forked_from: `NAME@HASH` of the text that a new constitution began with, else None.
        provenance: principle id → where it was imported from; empty where nothing was.
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
    authors: tuple[str, ...] = ()
    forked_from: str | None = None
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_histories(workspace: Path, shipped: Path) -> dict[str, list[VersionInfo]]:
    """The versions of every name, oldest first."""
    histories = {
        summary.name: [_build_shipped(summary.name, summary.hash, summary.principles)]
        for summary in list_shipped(shipped)
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


def find_authors(versions: Iterable[VersionInfo], version_hash: str) -> tuple[str, ...]:
    """Everybody who wrote in a text: those who brought it back as it was are none of them.

    Args:
        versions: of its name.
    """
    saves = (v for v in versions if v.hash == version_hash and not v.restored)
    return tuple(dict.fromkeys(author for version in saves for author in version.authors))


def list_shipped(folder: Path) -> tuple[ConstitutionSummary, ...]:
    """The constitutions that come with the workbench, readable or not."""
    return _list_unchanged(folder, tuple(_fingerprints(folder)))


def _is_save(event: dict[str, Any]) -> bool:
    """Whether the event is a save; a foreign or damaged one is no version."""
    texts = [event.get(key) for key in ("name", "version", "note", "actor", "at")]
    return (
        event.get("action") in (SAVE, RESTORE)
        and all(isinstance(text, str) for text in texts)
        and NAME_PATTERN.fullmatch(event["name"]) is not None
        and HASH_PATTERN.fullmatch(event["version"]) is not None
    )


def _build_version(event: dict[str, Any], number: int) -> VersionInfo:
    parent, principles = event.get("parent"), event.get("principles")
    authors, origin = event.get("authors"), event.get("forked_from")
    told = event.get("provenance")
    provenance = told if isinstance(told, dict) else {}
    named = [name for name in authors if isinstance(name, str)] if isinstance(authors, list) else []
    return VersionInfo(
        name=event["name"],
        hash=event["version"],
        number=number,
        note=event["note"],
        actor=event["actor"],
        at=event["at"],
        parent=parent if isinstance(parent, str) and HASH_PATTERN.fullmatch(parent) else None,
        shipped=False,
        principles=principles if isinstance(principles, int) else 0,
        restored=event["action"] == RESTORE,
        authors=tuple(dict.fromkeys([*named, event["actor"]])),
        forked_from=origin if isinstance(origin, str) and origin else None,
        provenance={key: one for key, one in provenance.items() if isinstance(one, dict)},
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


def _fingerprints(folder: Path) -> Iterable[tuple[str, int, int]]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            stat = path.stat()
            yield path.name, stat.st_mtime_ns, stat.st_size


# Parsing takes some 10 ms a file, and a page lists everything at every click.
@lru_cache(maxsize=16)
def _list_unchanged(
    folder: Path, _prints: tuple[tuple[str, int, int], ...]
) -> tuple[ConstitutionSummary, ...]:
    return tuple(list_constitutions(folder))
