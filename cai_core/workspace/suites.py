"""Suites that people added: immutable files, and the journal that says who added which.

`suites/<name>/<hash>.jsonl` holds the prompts; `journal/prompts.jsonl` makes them a version, and
says whether they are held out of training. Nothing here but `write_suite` writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import ImportFormatError, WorkspaceError
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.files import replace_file

ADD = "add suite"
LOCK = ".suites.lock"
_HASH = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("name", "version", "description", "note", "source", "actor", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVersion:
    """One adding of a suite.

    Attributes:
        hash: of its prompts. number: the n-th adding under this name, from 1.
        held_out: nothing that is measured with it may be trained on its prompts.
        source: the file that it came from. note: why it was added.
        kinds, categories: → how many prompts.
        actor, at: who, and when (UTC, ISO 8601).
    """

    name: str
    hash: str
    number: int
    description: str
    held_out: bool
    source: str
    note: str
    prompts: int
    kinds: Mapping[str, int]
    categories: Mapping[str, int]
    actor: str
    at: str

    @property
    def label(self) -> str:
        """`name@` and the beginning of its hash."""
        return f"{self.name}@{self.hash[:12]}"


def read_suites(workspace: Path) -> dict[str, list[SuiteVersion]]:
    """Every version of every suite that was added here, by name, oldest first."""
    histories: dict[str, list[SuiteVersion]] = {}
    for event in read_events(workspace, Topic.PROMPTS):
        if event.get("action") != ADD:
            continue
        number = len(histories.get(str(event.get("name")), ())) + 1
        version = _parse(event, number)
        if version is not None:
            histories.setdefault(version.name, []).append(version)
    return histories


def get_suite_path(workspace: Path, name: str, suite_hash: str) -> Path:
    """Where a version lies.

    Raises:
        ImportFormatError: what cannot be a name or a hash never becomes a path.
    """
    check_suite_name(name)
    if not _HASH.fullmatch(suite_hash):
        raise ImportFormatError(f"{name}: {suite_hash!r:.80} is no SHA-256. Choose a version.")
    return workspace / "suites" / name / f"{suite_hash}.jsonl"


def check_suite_name(name: str) -> None:
    """Raise ImportFormatError unless it can be a suite's name."""
    if not NAME_PATTERN.fullmatch(name) or name.lower().endswith(".jsonl"):
        raise ImportFormatError(
            f"{name!r:.80} is no name of a suite. It must {NAME_RULE}, and not end in .jsonl."
        )


def write_suite(workspace: Path, name: str, suite_hash: str, text: str) -> None:
    """Write a suite's file under the hash of its prompts. Only `cai_core.actions` calls this.

    Raises:
        ImportFormatError: the name cannot be one.
        WorkspaceError: the disk is full or refuses. Nothing was added.
    """
    path = get_suite_path(workspace, name, suite_hash)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path.parent}: cannot be made: {error.strerror}.") from error
    replace_file(path, [text.encode()])


def _parse(event: Mapping[str, Any], number: int) -> SuiteVersion | None:
    """A foreign or damaged event adds nothing."""
    texts = {key: event.get(key) for key in _TEXTS}
    held_out, prompts = event.get("held_out"), event.get("prompts")
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    told: dict[str, str] = {key: str(text) for key, text in texts.items()}
    suite_hash = told.pop("version")
    if not NAME_PATTERN.fullmatch(told["name"]) or not _HASH.fullmatch(suite_hash):
        return None
    if not isinstance(held_out, bool) or not isinstance(prompts, int):
        return None
    return SuiteVersion(
        hash=suite_hash,
        number=number,
        held_out=held_out,
        prompts=prompts,
        kinds=_read_counts(event.get("kinds")),
        categories=_read_counts(event.get("categories")),
        **told,
    )


def _read_counts(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    return {str(name): count for name, count in value.items() if isinstance(count, int)}
