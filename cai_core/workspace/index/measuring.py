"""How long texts are, and how much of one its revision changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rapidfuzz.distance import Indel

# Tags of prompts that name the harm that is asked for.
_HARM = "harm:"


def count_words(text: str) -> int:
    """Words between white space."""
    return len(text.split())


def measure_distance(before: str, after: str) -> int:
    """Words that are taken out or put in, of the words of both texts, in thousandths.

    The same share as `evaluation.principle_effect.compute_words_changed`, which a test holds it
    against: 0 where they are the same words in the same order, 1000 where no word stayed.
    """
    return round(1000 * Indel.normalized_distance(before.split(), after.split()))


def parse_category(prompt: Mapping[str, object] | None) -> str:
    """The harm that a row's prompt field is tagged with; empty where it has no such tag."""
    tags = (prompt or {}).get("tags")
    told = tags if isinstance(tags, list) else []
    named = (tag for tag in told if isinstance(tag, str) and tag.startswith(_HARM))
    return next(named, _HARM).removeprefix(_HARM)
