"""What models said of constitutions, one file an asking: `opinions/<name>/<model>-<hash>.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cai_core.constitution.opinions import Opinion, parse_opinion
from cai_core.errors import WorkspaceError
from cai_core.records import content_hash
from cai_core.workspace.files import replace_file

FOLDER = "opinions"
_ID_DIGITS = 12
_LONGEST_NAME = 60


def write_opinion(workspace: Path, opinion: Opinion) -> Path:
    """Keep an opinion. Raises WorkspaceError when the disk refuses."""
    document = opinion.as_dict()
    digits = content_hash(document)[:_ID_DIGITS]
    name = f"{_clean(opinion.model or opinion.model_id)}-{digits}.json"
    path = workspace / FOLDER / _clean(opinion.constitution) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path.parent}: cannot be made: {error.strerror}.") from error
    replace_file(path, [(json.dumps(document, indent=1) + "\n").encode()])
    return path


def list_opinions(workspace: Path, constitution: str) -> list[Opinion]:
    """Those of a constitution, the newest first; what is damaged counts as not there."""
    found = [one for one in _read(workspace, constitution) if one.constitution == constitution]
    return sorted(found, key=lambda one: one.at, reverse=True)


def _read(workspace: Path, constitution: str) -> Iterator[Opinion]:
    for path in (workspace / FOLDER / _clean(constitution)).glob("*.json"):
        try:
            document: Any = json.loads(path.read_bytes())
            yield parse_opinion(document)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue


def _clean(name: str) -> str:
    """A name for a file: of a long one its end."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-_LONGEST_NAME:] or "unnamed"
