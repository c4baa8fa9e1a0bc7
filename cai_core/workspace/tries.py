"""Behavioural diffs that were asked for: two runs of the same prompts, one a constitution's text.

The journal of launches names both texts by hash, so that a draft's try belongs to the version
that it becomes. Nothing here writes: see `actions.tries`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.version_history import HASH_PATTERN

TRY = "try constitution"
_TEXTS = ("name", "version", "against_name", "against", "before_run", "run", "prompts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One behavioural diff.

    Attributes:
        name, version: the text that was tried; its hash.
        against_name, against: the text it is compared with.
        before_run, after_run: ids of the `revise` runs of the latter and of the former.
        prompts: label of the prompt set; `count` prompts of it.
        principle: id of the one principle that was used, empty where they were drawn.
    """

    name: str
    version: str
    against_name: str
    against: str
    before_run: str
    after_run: str
    prompts: str
    count: int
    principle: str
    actor: str
    at: str


def list_tries(workspace: Path, name: str, version_hash: str | None = None) -> list[Try]:
    """The tries of a name's texts, or of one text on either side, the newest first."""
    found = [tried for tried in _read(workspace) if name in (tried.name, tried.against_name)]
    if version_hash is not None:
        found = [tried for tried in found if version_hash in (tried.version, tried.against)]
    return found[::-1]


def find_try(workspace: Path, before_run: str, after_run: str) -> Try | None:
    """The try of those two runs, the newest; None where nobody asked for it."""
    runs = (before_run, after_run)
    found = (t for t in reversed(_read(workspace)) if (t.before_run, t.after_run) == runs)
    return next(found, None)


def _read(workspace: Path) -> list[Try]:
    events = read_events(workspace, Topic.LAUNCHES)
    return [tried for event in events if (tried := _parse(event)) is not None]


def _parse(event: dict[str, Any]) -> Try | None:
    """A foreign or damaged event is no try."""
    texts = {key: event.get(key) for key in (*_TEXTS, "principle", "actor", "at")}
    count = event.get("count")
    if event.get("action") != TRY or type(count) is not int:
        return None
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    if not all(HASH_PATTERN.fullmatch(event[key]) for key in ("version", "against")):
        return None
    texts["after_run"] = texts.pop("run")
    return Try(count=count, **texts)  # type: ignore[arg-type]  # each is a text, as was just seen
