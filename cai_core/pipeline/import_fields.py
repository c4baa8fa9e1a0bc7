"""One field of a foreign record, checked: a text, turns, tags, a number. Pure.

Each raises ValueError where the record holds something else; nothing is guessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_records import ImportSettings, SourceRecord
from cai_core.pipeline.import_text import parse_json
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.prompts.paper import parse_transcript
from cai_core.records import Conversation, Message, PromptKind

# Where a prompt stands, in the order in which it is looked for.
PROMPTS = (
    *("conversation", "messages", "prompt", "init_prompt", "input", "instruction", "question"),
    # A dialogue whose last turn is the response.
    "transcript",
)
_TURNS = ("conversation", "messages")
_WORDS: dict[type, str] = {
    type(None): "nothing",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_TRANSCRIPT = ("\n\nHuman:", "\n\nAssistant:")


def find_name(record: SourceRecord, names: Sequence[str]) -> str | None:
    """The first of the names that the record says something under."""
    return next((name for name in names if record.fields.get(name) is not None), None)


def read_text(record: SourceRecord, *names: str) -> str:
    """The text under the first of the names that is there; an empty cell is an empty text."""
    name = find_name(record, names)
    if name is None and record.cells and any(one in record.fields for one in names):
        return ""
    return check_text(record.fields.get(name or names[0]), name or names[0])


def read_optional_text(record: SourceRecord, *names: str) -> str | None:
    """The same, None where nothing is there."""
    name = find_name(record, names)
    return None if name is None else check_text(record.fields[name], name)


def check_text(value: object, name: str) -> str:
    """The value, which must be a text."""
    if not isinstance(value, str):
        what = _WORDS.get(type(value), "something else")
        raise ValueError(f"has {what} under `{name}`, not a text")
    return value


def check_plain(value: object, name: str) -> None:
    """Raise ValueError for what no line of JSON can hold: NaN, or something else than values."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"`{name}` cannot be kept: {error}") from error


def read_answer(record: SourceRecord, *names: str) -> str:
    """A response: a text, or one turn of the assistant's."""
    name = find_name(record, names)
    value = record.fields.get(name) if name else None
    if not isinstance(value, list):
        return read_text(record, *names)
    turns = parse_conversation(value)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise ValueError(f"`{name}` is not one turn of the assistant's")
    return turns[0].content


def read_prompt(record: SourceRecord, names: Sequence[str] = PROMPTS) -> Conversation:
    """The turns of a prompt; a text is the user's, unless it is a transcript."""
    name = find_name(record, names)
    if name is None:
        return (Message("user", read_text(record, *names)),)
    return parse_turns(record.fields[name], name)


def parse_turns(value: object, name: str) -> Conversation:
    """Turns as a list, as JSON text where the name is that of turns, as a transcript, or a text."""
    if isinstance(value, str) and name in _TURNS:
        value = parse_json(value)
    if isinstance(value, list):
        # Tables give every turn the keys of all turns; None says nothing.
        turns = [
            {key: told for key, told in one.items() if told is not None}
            if isinstance(one, dict)
            else one
            for one in value
        ]
        return parse_conversation(turns)
    text = check_text(value, name)
    if text.startswith(_TRANSCRIPT):
        return parse_dialogue(text)
    return (Message("user", text),)


def parse_dialogue(text: str) -> Conversation:
    """A transcript's turns."""
    try:
        return parse_transcript(text)
    except ImportFormatError as error:
        raise ValueError(str(error)) from error


def read_kind(record: SourceRecord, settings: ImportSettings) -> PromptKind:
    """The prompt's kind, as the record or else the person says; other words are no kind."""
    told = record.fields.get("prompt_kind")
    if told is not None:
        try:
            return PromptKind(told)
        except ValueError as error:
            raise ValueError(
                f"prompt_kind is {told!r:.40}, not one of {', '.join(PromptKind)}"
            ) from error
    word = record.fields.get("kind")
    if isinstance(word, str) and word in list(PromptKind):
        return PromptKind(word)
    return settings.prompt_kind or PromptKind.UNKNOWN


def read_texts(record: SourceRecord, name: str) -> tuple[str, ...]:
    """A list of texts; of a cell, a JSON list or texts with `;` between them."""
    value = record.fields.get(name)
    if value is None:
        return ()
    if isinstance(value, str):
        if value.startswith("["):
            value = parse_json(value)
        else:
            value = [one.strip() for one in value.split(";") if one.strip()]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"`{name}` is not a list of texts")
    return tuple(value)


def read_tags(record: SourceRecord, settings: ImportSettings, *more: str) -> tuple[str, ...]:
    """The prompt's tags and those that the import adds, each once."""
    return tuple(dict.fromkeys([*read_texts(record, "tags"), *settings.tags, *more]))


def read_number(record: SourceRecord, name: str, low: float, high: float) -> float | None:
    """A number in [low, high]; None where nothing is there."""
    value = record.fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and record.cells:
        value = _parse_number(value, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` is {value!r:.40} and no number")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"`{name}` is {value}, not in [{low:g}, {high:g}]")
    return float(value)


def read_whole_number(record: SourceRecord, name: str, high: int) -> int | None:
    """A whole number in [0, high]; None where nothing is there."""
    value = read_number(record, name, 0, high)
    if value is None:
        return None
    if value != int(value):
        raise ValueError(f"`{name}` is {value} and no whole number")
    return int(value)


def read_bool(record: SourceRecord, name: str) -> bool:
    """A truth value; False where nothing is there."""
    value: Any = record.fields.get(name)
    if record.cells and isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError(f"`{name}` is {value!r:.40}, not true or false")


def read_object(record: SourceRecord, name: str) -> dict[str, str]:
    """An object of texts, as JSON text in a table; empty where nothing is there."""
    value = record.fields.get(name)
    if isinstance(value, str):
        value = parse_json(value)
    value = {} if value is None else value
    if not isinstance(value, dict) or not all(isinstance(told, str) for told in value.values()):
        raise ValueError(f"`{name}` is not an object of texts")
    return value


def _parse_number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"`{name}` is {text!r:.40} and no number") from error
