"""Drafts of constitutions: what somebody is writing and has not saved as a version.

`drafts/<draft_id>.json` holds the form's raw fields, valid or not, so that a draft outlives
reloads, tabs and the app. Drafts are nobody's decision yet: they are not journalled.
"""

from __future__ import annotations

import json
import re
import secrets
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from cai_core.constitution import dump_constitution, parse_constitution
from cai_core.constitution.nodes import compose_yaml, line_of
from cai_core.errors import ConstitutionError, WorkspaceError
from cai_core.records import Constitution, Principle
from cai_core.workspace.files import replace_file
from cai_core.workspace.locks import hold_lock

FORMAT = 1
# Room for a constitution of the largest size there may be, with every character escaped.
MAX_BYTES = 6 * 1024 * 1024
TEXT_FIELDS = ("id", "text", "critique_request", "revision_request", "comparison_request")
_ID = re.compile(r"[0-9a-f]{12}")
_KEY = re.compile(r"[0-9a-f]{8}")
_WHERE = re.compile(r"draft(?::(\d+))?: ")
_REPEATED = re.compile(r"repeats the id of the one in line (\d+)\.")
_FIELD_NAME = re.compile(r"(?<![\w'])(critique|revision|comparison)_request(?![\w'])")


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPrinciple:
    """A principle's fields as they stand in the form.

    Attributes:
        key: 8 hex digits that stay with the principle when it is moved or renamed.
    """

    key: str
    id: str = ""
    text: str = ""
    critique_request: str = ""
    revision_request: str = ""
    comparison_request: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A constitution being written.

    Attributes:
        draft_id: 12 hex digits, the one in the page's address.
        base_hash: the version it was begun from; None for a new constitution.
        note: the note for the save, as far as it is written.
        actor: who changed it last; `updated_at` is when (UTC, ISO 8601).
    """

    draft_id: str
    name: str
    base_hash: str | None
    description: str = ""
    principles: tuple[DraftPrinciple, ...] = ()
    note: str = ""
    actor: str = ""
    updated_at: str = ""

    def principle(self, key: str) -> DraftPrinciple | None:
        """The principle of that key, None when it was deleted."""
        return next((p for p in self.principles if p.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftProblem:
    """What keeps a draft from being saved, in words.

    Attributes:
        key: of the principle concerned, None for the constitution as a whole.
        field: of the principle or the constitution, None where it is about all of it.
    """

    key: str | None
    field: str | None
    message: str


def build_draft(
    constitution: Constitution | None, *, base_hash: str | None, name: str | None = None
) -> Draft:
    """A fresh draft of a constitution's text, or of nothing."""
    principles = constitution.principles if constitution else ()
    return Draft(
        draft_id=secrets.token_hex(6),
        name=name if name is not None else constitution.name if constitution else "",
        base_hash=base_hash,
        description=constitution.description if constitution else "",
        principles=tuple(build_draft_principle(p) for p in principles),
    )


def build_draft_principle(principle: Principle | DraftPrinciple | None = None) -> DraftPrinciple:
    """A copy of a principle's fields, or empty ones, under a key of its own."""
    if principle is None:
        return DraftPrinciple(key=secrets.token_hex(4))
    texts = {name: getattr(principle, name) for name in TEXT_FIELDS}
    return DraftPrinciple(key=secrets.token_hex(4), tags=principle.tags, **texts)


def as_constitution(draft: Draft) -> Constitution:
    """The draft's fields as they are, unchecked and without a hash."""
    return Constitution(
        name=draft.name,
        description=draft.description,
        principles=tuple(
            Principle(tags=p.tags, **{name: getattr(p, name) for name in TEXT_FIELDS})
            for p in draft.principles
        ),
    )


def build_constitution(draft: Draft) -> Constitution:
    """The constitution that saving the draft would store, checked.

    Raises:
        ConstitutionError: every problem, one a line (see `check_draft`).
    """
    problems = check_draft(draft)
    if problems:
        raise ConstitutionError("\n".join(problem.message for problem in problems))
    return parse_constitution(dump_constitution(as_constitution(draft)), "draft")


def check_draft(draft: Draft) -> tuple[DraftProblem, ...]:
    """Every problem of a draft, each with the field it is about."""
    text = dump_constitution(as_constitution(draft))
    try:
        parse_constitution(text, "draft")
    except ConstitutionError as error:
        places = _find_places(draft, text)
        return tuple(_build_problem(draft, line, places) for line in str(error).split("\n"))
    return ()


def load_draft(workspace: Path, draft_id: str) -> Draft:
    """Read one draft.

    Raises:
        WorkspaceError: no draft of that id, or its file is damaged.
    """
    if not _ID.fullmatch(draft_id):
        raise WorkspaceError(f"{draft_id!r:.80} is no draft's id. Choose a draft from the list.")
    path = get_draft_path(workspace, draft_id)
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise WorkspaceError(
            f"{path}: no such draft. It was saved or discarded; choose another from the list."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise WorkspaceError(f"{path}: cannot be read: {error}. Delete the file.") from error
    try:
        return _parse_draft(document, draft_id)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkspaceError(f"{path}: not a draft: {error!r}. Delete the file.") from error


def list_drafts(workspace: Path) -> tuple[list[Draft], int]:
    """Every draft, the one changed last first, and how many files could not be read."""
    drafts, damaged = [], 0
    for path in sorted((workspace / "drafts").glob("*.json")):
        try:
            drafts.append(load_draft(workspace, path.stem))
        except WorkspaceError:
            # One that was saved in this instant is gone, not damaged.
            damaged += path.exists()
    return sorted(drafts, key=lambda draft: draft.updated_at, reverse=True), damaged


def get_draft_path(workspace: Path, draft_id: str) -> Path:
    """Where a draft lies."""
    return workspace / "drafts" / f"{draft_id}.json"


def write_draft(workspace: Path, draft: Draft) -> None:
    """Write a draft's file. Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: the draft is too large, or the disk refuses; the old file is untouched.
    """
    path = get_draft_path(workspace, draft.draft_id)
    text = json.dumps({"format": FORMAT, **asdict(draft)}, indent=1) + "\n"
    if len(text) > MAX_BYTES:
        raise WorkspaceError(
            f"{path}: the draft is larger than {MAX_BYTES} bytes and was not stored. "
            "Shorten its texts."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, [text.encode()])


def delete_draft(workspace: Path, draft_id: str) -> None:
    """Delete a draft's file if it is there. Only `cai_core.actions` calls this."""
    get_draft_path(workspace, draft_id).unlink(missing_ok=True)


@contextmanager
def lock_constitutions(workspace: Path) -> Iterator[None]:
    """Nobody else saves a version or a draft meanwhile. Only `cai_core.actions` calls this."""
    with hold_lock(workspace, ".constitutions.lock"):
        yield


def _parse_draft(document: dict[str, Any], draft_id: str) -> Draft:
    """Raises KeyError, TypeError, ValueError or AttributeError on anything but a draft."""
    if document["format"] != FORMAT or document["draft_id"] != draft_id:
        raise ValueError("another format, or another draft's content")
    base = document["base_hash"]
    draft = Draft(
        draft_id=draft_id,
        base_hash=None if base is None else _text(base),
        principles=tuple(_parse_principle(p) for p in document["principles"]),
        **{
            name: _text(document[name])
            for name in ("name", "description", "note", "actor", "updated_at")
        },
    )
    if len({p.key for p in draft.principles}) != len(draft.principles):
        raise ValueError("two principles under one key")
    return draft


def _parse_principle(document: dict[str, Any]) -> DraftPrinciple:
    key = _text(document["key"])
    if not _KEY.fullmatch(key) or not isinstance(document["tags"], list):
        raise ValueError("a principle without a key or a list of tags")
    tags = tuple(_text(tag) for tag in document["tags"])
    texts = {name: _text(document[name]) for name in TEXT_FIELDS}
    return DraftPrinciple(key=key, tags=tags, **texts)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    key: str | None
    field: str | None


def _find_places(draft: Draft, text: str) -> list[_Place]:
    """Where each field of the draft begins in its YAML text, by line."""
    places: list[_Place] = []
    try:
        root = compose_yaml(text, "draft")
    except ConstitutionError:  # too large to be read at all
        return places
    for key, value in _entries(root):
        places.append(_Place(line_of(key), None, str(key.value)))
        if key.value != "principles" or not isinstance(value, yaml.SequenceNode):
            continue
        for node, principle in zip(value.value, draft.principles, strict=True):
            places += [_Place(line_of(k), principle.key, str(k.value)) for k, _ in _entries(node)]
    return places


def _entries(node: yaml.Node | None) -> Sequence[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _build_problem(draft: Draft, message: str, places: list[_Place]) -> DraftProblem:
    """A parser's message without its line, which means nothing to who sees a form."""
    found = _WHERE.match(message)
    place = _place_at(places, int(found[1])) if found and found[1] else None
    words = message[found.end() :] if found else message
    if repeated := _REPEATED.search(words):
        earlier = _place_at(places, int(repeated[1]))
        keys = [p.key for p in draft.principles]
        number = keys.index(earlier.key) + 1 if earlier and earlier.key else 0
        words = (
            words[: repeated.start()]
            + f"has the same id as principle number {number}."
            + words[repeated.end() :]
        )
    words = _FIELD_NAME.sub(r"\1 request", words)
    words = re.sub(r"\Athe file\b", "the constitution", words)
    return DraftProblem(
        key=place.key if place else None,
        field=place.field if place else None,
        message=words[:1].upper() + words[1:],
    )


def _place_at(places: list[_Place], line: int) -> _Place | None:
    index = bisect_right([place.line for place in places], line)
    return places[index - 1] if index else None
