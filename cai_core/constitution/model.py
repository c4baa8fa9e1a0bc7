"""What identifies a constitution, and what its file may hold."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cai_core.records import Constitution, Principle, content_hash

FORMAT = 1
# The name becomes a folder and the id a column value and part of a file name, so both stay
# within what every file system and shell takes literally.
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# Beyond it one principle would be all that is ever drawn; switch the others off instead.
MAX_WEIGHT = 1_000_000
NAME_RULE = "start with a letter or digit, then letters, digits, '-', '_' or '.', at most 64"


def constitution_hash(constitution: Constitution) -> str:
    """SHA-256 (hex) that names a version of a constitution.

    Covered: `name`, `description`, and of every principle, in order, `id`, `text`,
    `critique_request`, `revision_request`, `comparison_request` and `tags` (in order).
    The description is covered because a version is stored as one immutable file of this name.
    `weight` and `enabled` are covered where they are not 1 and true, so that a constitution
    without them has the hash it had before there were any.

    Not covered: the file's name, key order, comments and YAML style, the `hash` field itself,
    and white space: in every text each run of white space (`str.split`: blanks, tabs, line
    breaks, no-break spaces) counts as one blank, and none counts at either end. Letters are
    compared as they are: case and Unicode form matter.
    """
    return content_hash(
        {
            "format": FORMAT,
            "name": _squeeze(constitution.name),
            "description": _squeeze(constitution.description),
            "principles": [_principle_fields(p) for p in constitution.principles],
        }
    )


def with_hash(constitution: Constitution) -> Constitution:
    """The same constitution, its `hash` field filled in."""
    return replace(constitution, hash=constitution_hash(constitution))


def _principle_fields(principle: Principle) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": _squeeze(principle.id),
        "text": _squeeze(principle.text),
        "critique_request": _squeeze(principle.critique_request),
        "revision_request": _squeeze(principle.revision_request),
        "comparison_request": _squeeze(principle.comparison_request),
        "tags": [_squeeze(tag) for tag in principle.tags],
    }
    if principle.weight != 1:
        fields["weight"] = float(principle.weight)
    if not principle.enabled:
        fields["enabled"] = False
    return fields


def _squeeze(text: str) -> str:
    return " ".join(text.split())
