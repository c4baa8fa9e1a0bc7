"""Drafts of constitutions: what somebody is writing and has not saved as a version.

`drafts/<draft_id>.json` holds the form's raw fields, valid or not, so that a draft outlives
reloads, tabs and the app. Drafts are nobody's decision yet: they are not journalled.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.records import Constitution, Principle
from cai_core.workspace.files import replace_file
from cai_core.workspace.locks import hold_lock

FORMAT = 1
# Room for a constitution of the largest size there may be, with every character escaped.
MAX_BYTES = 6 * 1024 * 1024
TEXT_FIELDS = ("id", "text", "critique_request", "revision_request", "comparison_request")
_ID = re.compile(r"[0-9a-f]{12}")
_KEY = re.compile(r"[0-9a-f]{8}")


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
    weight: float = 1.0
    enabled: bool = True


# What a principle and its draft have in common.
_COMMON = tuple(
    item.name for item in fields(Principle) if item.name in DraftPrinciple.__dataclass_fields__
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A constitution being written.

    Attributes:
        draft_id: 12 hex digits, the one in the page's address.
        base_hash: the version it was begun from; None for a new constitution.
        note: the note for the save, as far as it is written.
        actor: who changed it last; `updated_at` is when (UTC, ISO 8601).
        authors: everybody who changed it.
        forked_from: `NAME@HASH` of the text that a new constitution was begun with.
        provenance: principle id → where it was imported from (`Provenance.as_dict`).
    """

    draft_id: str
    name: str
    base_hash: str | None
    description: str = ""
    principles: tuple[DraftPrinciple, ...] = ()
    note: str = ""
    actor: str = ""
    updated_at: str = ""
    authors: tuple[str, ...] = ()
    forked_from: str | None = None
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def principle(self, key: str) -> DraftPrinciple | None:
        """The principle of that key, None when it was deleted."""
        return next((p for p in self.principles if p.key == key), None)


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
    return DraftPrinciple(key=secrets.token_hex(4), **_copy_fields(principle))


def as_constitution(draft: Draft) -> Constitution:
    """The draft's fields as they are, unchecked and without a hash."""
    return Constitution(
        name=draft.name,
        description=draft.description,
        principles=tuple(Principle(**_copy_fields(p)) for p in draft.principles),
    )


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
    base, origin = document["base_hash"], document.get("forked_from")
    draft = Draft(
        draft_id=draft_id,
        base_hash=None if base is None else _text(base),
        forked_from=None if origin is None else _text(origin),
        authors=tuple(_text(name) for name in document.get("authors", [])),
        provenance=_parse_provenance(document.get("provenance", {})),
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
    weight, enabled = document.get("weight", 1.0), document.get("enabled", True)
    if type(weight) not in (int, float) or not math.isfinite(weight) or type(enabled) is not bool:
        raise ValueError("a principle's weight is no number, or it is neither on nor off")
    texts = {name: _text(document[name]) for name in TEXT_FIELDS}
    return DraftPrinciple(key=key, tags=tags, weight=float(weight), enabled=enabled, **texts)


def _parse_provenance(document: object) -> dict[str, dict[str, Any]]:
    if not isinstance(document, dict) or not all(isinstance(v, dict) for v in document.values()):
        raise ValueError("a provenance that is no mapping of mappings")
    return document


def _copy_fields(principle: Principle | DraftPrinciple) -> dict[str, Any]:
    return {name: getattr(principle, name) for name in _COMMON}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value
