"""What every recipe checks: unknown keys, whole numbers, texts, switches, choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cai_core.errors import RecipeError


def check_keys(where: str, document: Mapping[str, Any], record: Any) -> dict[str, Any]:
    """The document as keyword arguments of a dataclass.

    Raises:
        RecipeError: a key that the dataclass has not; the message names those it has.
    """
    known = {item.name for item in fields(record)}
    if unknown := sorted(str(key) for key in document if key not in known):
        raise RecipeError(
            f"{where}: unknown keys {', '.join(unknown)}. Known are: {', '.join(sorted(known))}."
        )
    return dict(document)


def check_int(name: str, value: object, least: int) -> None:
    """Raise RecipeError unless it is a whole number from `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RecipeError(f"{name} is {value!r}. Give a whole number from {least}.")


def check_text(name: str, value: object) -> None:
    """Raise RecipeError unless it is a text."""
    if not isinstance(value, str):
        raise RecipeError(f"{name} is {value!r}. Give a text.")


def check_bool(name: str, value: object) -> None:
    """Raise RecipeError unless it is true or false."""
    if not isinstance(value, bool):
        raise RecipeError(f"{name} is {value!r}. Give true or false.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise RecipeError unless it is one of `choices`."""
    if value not in choices:
        raise RecipeError(f"{name} is {value!r}. Use one of {', '.join(choices)}.")
