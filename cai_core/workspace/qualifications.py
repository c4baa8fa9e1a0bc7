"""What feedback models showed on comparisons whose better response is known: `qualifications/`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from cai_core.records import content_hash

Standing = Literal["qualified", "below", "not known"]

FOLDER = "qualifications"
_ID_DIGITS = 12
# What makes a qualification another one; the newest of the same replaces the older.
_KEYS = ("model", "model_id", "weights_hash", "template", "reasoned", "set_hash")
_LONGEST_NAME = 60


def build_path(workspace: Path, document: Mapping[str, Any]) -> Path:
    """`qualifications/<model>-<12 hex digits>.json`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(document["model"])).strip("-.") or "model"
    digits = content_hash([document.get(key) for key in _KEYS])[:_ID_DIGITS]
    return workspace / FOLDER / f"{name[-_LONGEST_NAME:]}-{digits}.json"


def list_qualifications(workspace: Path) -> list[dict[str, Any]]:
    """Every readable one, the newest first; what is damaged counts as not there."""
    return sorted(_read(workspace), key=lambda told: str(told.get("at", "")), reverse=True)


def find_qualification(
    workspace: Path, model: str, *, template: str, reasoned: bool
) -> dict[str, Any] | None:
    """The newest of a model that was asked the same way; None where there is none.

    Args:
        model: as a recipe's `feedback_model` names it.
    """
    wanted = {"model": model, "template": template, "reasoned": reasoned}
    for told in list_qualifications(workspace):
        if all(told.get(key) == value for key, value in wanted.items()):
            return told
    return None


def get_standing(told: Mapping[str, Any] | None) -> Standing:
    """What a qualification comes to."""
    if told is None:
        return "not known"
    return "qualified" if told["qualified"] else "below"


def _read(workspace: Path) -> Iterator[dict[str, Any]]:
    for path in (workspace / FOLDER).glob("*.json"):
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(told, dict) and isinstance(told.get("qualified"), bool):
            yield told
