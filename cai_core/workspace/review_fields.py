"""What the fields of people's votes may hold. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from cai_core.errors import CaiError

MAX_REASON, MAX_TEXT = 4000, 300
MAX_SECONDS = 24 * 3600.0


def check_texts(
    record: Mapping[str, Any],
    fields: Iterable[str],
    filled: Iterable[str],
    others: Iterable[str],
    limits: Mapping[str, int],
) -> None:
    """Refuse a record that lacks a field, or one of whose texts is none, too long or empty.

    Args:
        fields: that it must have. filled: texts that say something; `others` may be empty.
        limits: characters of those that may be longer than MAX_TEXT.

    Raises:
        ValueError: which, and why.
    """
    for name in fields:
        if name not in record:
            raise ValueError(f"{name} is missing")
    needed = frozenset(filled)
    for name in (*filled, *others):
        most = limits.get(name, MAX_TEXT)
        if not isinstance(record[name], str):
            raise ValueError(f"{name} is {record[name]!r:.40}, not a text")
        if len(record[name]) > most:
            raise ValueError(f"{name} has {len(record[name])} characters, more than {most}")
        if name in needed and not record[name].strip():
            raise ValueError(f"{name} is empty")


def check_flags(record: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises ValueError where one of these is neither true nor false."""
    for name in names:
        if not isinstance(record[name], bool):
            raise ValueError(f"{name} is {record[name]!r:.40}, not true or false")


def check_seconds(seconds: Any) -> None:
    """Raises ValueError for what is no time of looking."""
    if type(seconds) not in (int, float) or not math.isfinite(seconds):
        raise ValueError(f"seconds is {seconds!r:.40}, not a number")
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"seconds is {seconds!r:.40}, not from 0 to {MAX_SECONDS:g}")


def check_round(round: Any) -> None:
    """Raises ValueError for what is no round of a chain."""
    if type(round) is not int or round < 1:
        raise ValueError(f"round is {round!r:.40}, not a whole number from 1")


def parse_moment(at: str) -> datetime:
    """A time with its zone, UTC where it names none. Raises ValueError where it is none."""
    try:
        moment = datetime.fromisoformat(at)
        # At the calendar's ends there is no telling it in another zone.
        if not MINYEAR < moment.year < MAXYEAR:
            raise ValueError("its year is out of range")
    except ValueError as error:
        raise ValueError(f"at is {at!r:.40}, not a time such as 2026-01-31T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def clean_text(text: str, name: str, most: int) -> str:
    """What a person typed, as it is kept: without white space around it and lone surrogates.

    Raises:
        CaiError: it is longer than `most` characters.
    """
    told = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    if len(told) > most:
        raise CaiError(f"The {name} has {len(told)} characters. Shorten it to {most}.")
    return told


def round_seconds(seconds: float) -> float:
    """A time of looking as it is kept: to a tenth, in [0, MAX_SECONDS]."""
    return round(min(MAX_SECONDS, max(0.0, seconds)), 1)
