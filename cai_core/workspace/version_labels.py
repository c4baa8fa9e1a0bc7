"""Labels of constitutions' versions: `draft`, `approved`, `production` and others, as pointers.

A label points to one version of a name; the journal holds every move, so that going back is one
more move, and who moved what and why stays. Nothing here writes: see `actions.constitution_labels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.constitution.model import NAME_PATTERN
from cai_core.errors import ConstitutionError
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.version_history import HASH_PATTERN, VersionInfo, find_authors

MOVE, REMOVE, RULE = "move label", "remove label", "set approval rule"
DRAFT, APPROVED, PRODUCTION = "draft", "approved", "production"
STANDARD = (DRAFT, APPROVED, PRODUCTION)
LABEL_RULE = (
    "begin with a small letter, then small letters, digits or '-', at most 32, and not be readable "
    "as the beginning of a hash (six or more of 0-9 and a-f)"
)
_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEX = re.compile(r"[0-9a-f]{6,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMove:
    """A label was put on a version, or taken away.

    Attributes:
        hash: of the version it points to from then on; None where it was taken away.
        was: where it pointed before, None where it was new.
        at: when (UTC, ISO 8601).
    """

    name: str
    label: str
    hash: str | None
    was: str | None
    note: str
    actor: str
    at: str


def check_label(label: str) -> None:
    """Refuse what cannot be a label.

    Raises:
        ConstitutionError: with the rule.
    """
    if not _PATTERN.fullmatch(label) or _HEX.fullmatch(label):
        raise ConstitutionError(f"{label!r:.80} cannot be a label. It must {LABEL_RULE}.")


def list_moves(workspace: Path, name: str) -> list[LabelMove]:
    """Every move of the labels of a name, the newest first."""
    return [move for move in _read_moves(workspace) if move.name == name][::-1]


def read_labels(workspace: Path, name: str) -> dict[str, LabelMove]:
    """The labels of a name with the move that put each where it is: the standard ones first."""
    return read_all_labels(workspace).get(name, {})


def read_all_labels(workspace: Path) -> dict[str, dict[str, LabelMove]]:
    """`read_labels` of every name that has any."""
    held: dict[str, dict[str, LabelMove]] = {}
    for move in _read_moves(workspace):
        labels = held.setdefault(move.name, {})
        labels.pop(move.label, None)
        if move.hash is not None:
            labels[move.label] = move
    return {name: sort_labels(labels) for name, labels in held.items() if labels}


def sort_labels(labels: Mapping[str, LabelMove]) -> dict[str, LabelMove]:
    """The standard labels in the order in which a text goes through them, then the others."""
    order = [*(label for label in STANDARD if label in labels), *sorted(labels)]
    return {label: labels[label] for label in order}


def find_approver(
    moves: Iterable[LabelMove], versions: Iterable[VersionInfo], version_hash: str
) -> str | None:
    """Who, of those who did not write the text, put `approved` on it; None where nobody did.

    Args:
        moves, versions: of its name.
    """
    authors = find_authors(versions, version_hash)
    return next(
        (
            move.actor
            for move in moves
            if (move.label, move.hash) == (APPROVED, version_hash) and move.actor not in authors
        ),
        None,
    )


def needs_other_person(workspace: Path) -> bool:
    """Whether who wrote a version may not approve it, and only approved ones go to production."""
    held = False
    for event in read_events(workspace, Topic.SETTINGS):
        if event.get("action") == RULE and isinstance(event.get("other_person"), bool):
            held = event["other_person"]
    return held


def _read_moves(workspace: Path) -> list[LabelMove]:
    """Oldest first; a foreign or damaged event is no move."""
    events = read_events(workspace, Topic.CONSTITUTIONS)
    return [move for event in events if (move := _parse_move(event)) is not None]


def _parse_move(event: dict[str, Any]) -> LabelMove | None:
    if event.get("action") not in (MOVE, REMOVE):
        return None
    texts = {key: event.get(key) for key in ("name", "label", "note", "actor", "at")}
    # Of a label that was taken away, `version` is what it pointed to.
    version, was = event.get("version"), event.get("was")
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    if not NAME_PATTERN.fullmatch(event["name"]) or not _PATTERN.fullmatch(event["label"]):
        return None
    if not _is_hash(version):
        return None
    return LabelMove(
        hash=version if event["action"] == MOVE else None,
        was=was if _is_hash(was) else None,
        **texts,  # type: ignore[arg-type]  # each is a text, as was just seen
    )


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and HASH_PATTERN.fullmatch(value) is not None
