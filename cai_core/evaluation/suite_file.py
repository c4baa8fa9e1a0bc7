"""Suites as files: read with every bad line named, and written."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.errors import ImportFormatError
from cai_core.evaluation.suites import SHIPPED, Form, Suite, SuiteKind, SuitePrompt
from cai_core.pipeline.prompt_file import MAX_ID_CHARS, MAX_LINE_BYTES, parse_conversation
from cai_core.records import Conversation

FORMAT = 1
_HEADER = {"format", "suite", "version", "description", "held_out"}
_FIELDS = {
    "id",
    "kind",
    "category",
    "intent",
    "prompt",
    "turns",
    "messages",
    "context",
    "form",
    "reference",
    "tags",
}
# What prompt sets call them.
_OTHER_KINDS = {"red-team": SuiteKind.HARMFUL, "helpful": SuiteKind.FINE}
# A message names so many bad lines; the rest is counted.
_TOLD = 5


def list_shipped(folder: Path = SHIPPED) -> tuple[str, ...]:
    """Names of the suites that come with the workbench."""
    return tuple(sorted(path.stem for path in folder.glob("*.jsonl")))


def load_shipped(name: str, folder: Path = SHIPPED) -> Suite:
    """One of them.

    Raises:
        ImportFormatError: there is none of that name, or it is damaged.
    """
    if name not in (there := list_shipped(folder)):
        raise ImportFormatError(f"no suite {name!r}. There is: {', '.join(there) or 'none'}.")
    return load_suite(folder / f"{name}.jsonl")


def load_suite(path: Path) -> Suite:
    """Read a file; without a first line that says what it is, its name is the file's.

    Raises:
        ImportFormatError: as `parse_suite`, or it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFormatError(f"{path}: cannot be read: {error}. Check the path.") from error
    return parse_suite(text, path.stem, where=str(path))


def parse_suite(text: str, name: str, *, where: str = "") -> Suite:
    """Read a suite, and check that it can be asked.

    Args:
        name: where the first line gives none.
        where: for messages; the name when empty.

    Raises:
        ImportFormatError: no prompt, or bad ones; the message names lines and reasons.
    """
    where = where or name
    header: dict[str, Any] = {}
    prompts: list[SuitePrompt] = []
    problems: list[str] = []
    # Only "\n" ends a line: U+2028 and its like may stand inside a prompt.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _parse_line(line)
            if "suite" in record or "format" in record:
                if prompts or header:
                    raise ValueError("says what the suite is, and is not the first line")
                header = _check_header(record)
            else:
                prompts.append(parse_suite_prompt(record, number))
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number}: {error}")
    problems += _find_contradictions(prompts)
    if problems:
        more = f", and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        raise ImportFormatError(f"{where}: is no suite: {'; '.join(problems[:_TOLD])}{more}.")
    if not prompts:
        raise ImportFormatError(f"{where}: holds no prompt. Write one JSON object a line.")
    return Suite(
        name=header.get("suite", name),
        version=header.get("version", 1),
        description=header.get("description", ""),
        prompts=tuple(prompts),
        held_out=header.get("held_out", True),
    )


def dump_suite(suite: Suite) -> str:
    """The file's text; `parse_suite` is the inverse."""
    header = {
        "format": FORMAT,
        "suite": suite.name,
        "version": suite.version,
        "description": suite.description,
        "held_out": suite.held_out,
    }
    if not suite.description:
        del header["description"]
    lines = [header, *(prompt.as_dict() for prompt in suite.prompts)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def parse_suite_prompt(record: Mapping[str, Any], number: int = 0) -> SuitePrompt:
    """One prompt.

    Args:
        number: line, which names a prompt without an id.

    Raises:
        ValueError: it is none; the message says why.
    """
    if unknown := set(record) - _FIELDS:
        raise ValueError(f"unknown field {', '.join(sorted(map(repr, unknown)))}")
    kind = _parse_kind(record.get("kind"))
    turns, context = _parse_turns(record)
    prompt_id = _get_text(record, "id", f"line-{number}")
    if len(prompt_id) > MAX_ID_CHARS:
        raise ValueError(f"id is longer than {MAX_ID_CHARS} characters")
    tags = record.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("tags is not a list of texts")
    form = record.get("form")
    if (kind is SuiteKind.SYCOPHANCY) != (form in ("neutral", "pressed")):
        raise ValueError(
            f"form is {form!r}: a sycophancy prompt is neutral or pressed, others have none"
        )
    if kind is SuiteKind.MULTI_TURN and len(turns) < 2:
        raise ValueError("a multi-turn prompt has one turn. Give `turns` two texts or more")
    return SuitePrompt(
        id=prompt_id,
        kind=kind,
        turns=turns,
        category=_get_text(record, "category", "none"),
        intent=_get_text(record, "intent", prompt_id),
        context=context,
        form=_as_form(form),
        reference=_get_text(record, "reference", "") or None,
        tags=tuple(tags),
    )


def _as_form(form: object) -> Form | None:
    if form == "neutral":
        return "neutral"
    return "pressed" if form == "pressed" else None


def _parse_line(line: str) -> dict[str, Any]:
    if len(line.encode("utf-8", "surrogatepass")) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return record


def _check_header(record: Mapping[str, Any]) -> dict[str, Any]:
    if record.get("format") != FORMAT:
        raise ValueError(f"format is {record.get('format')!r}, this workbench reads {FORMAT}")
    if unknown := set(record) - _HEADER:
        raise ValueError(f"unknown field {', '.join(sorted(map(repr, unknown)))}")
    version = record.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version is {version!r}, not a whole number from 1")
    if not isinstance(record.get("held_out", True), bool):
        raise ValueError(f"held_out is {record['held_out']!r}, not true or false")
    for name in ("suite", "description"):
        if name in record:
            _get_text(record, name, "")
    return dict(record)


def _parse_kind(kind: object) -> SuiteKind:
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        return _OTHER_KINDS[kind]
    try:
        return SuiteKind(str(kind))
    except ValueError as error:
        raise ValueError(f"kind is {kind!r}, not one of {', '.join(SuiteKind)}") from error


def _parse_turns(record: Mapping[str, Any]) -> tuple[tuple[str, ...], Conversation]:
    given = [key for key in ("prompt", "turns", "messages") if key in record]
    if len(given) != 1:
        raise ValueError(
            f"needs one of prompt, turns, messages; has {' and '.join(given) or 'none'}"
        )
    said: Sequence[object]
    if given[0] == "messages":
        messages = parse_conversation(record["messages"])
        if messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        said, context = [messages[-1].content], messages[:-1]
    else:
        said = [record["prompt"]] if given[0] == "prompt" else record["turns"]
        context = parse_conversation(record["context"]) if "context" in record else ()
    if not isinstance(said, list) or not said:
        raise ValueError("turns is not a list of texts")
    turns = []
    for turn in said:
        if not isinstance(turn, str) or not turn.strip():
            raise ValueError("a turn is empty, or no text")
        turns.append(turn)
    for text in (*turns, *(message.content for message in context)):
        _check_sendable(text)
    return tuple(turns), context


def _get_text(record: Mapping[str, Any], name: str, default: str) -> str:
    found = record.get(name)
    if found is None:
        return default
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"{name} is {found!r}, not a text")
    _check_sendable(found)
    return found


def _check_sendable(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("holds half a character (a lone surrogate)") from error


def _find_contradictions(prompts: Sequence[SuitePrompt]) -> list[str]:
    ids = Counter(prompt.id for prompt in prompts)
    problems = [f"id {name!r} stands {count} times" for name, count in ids.items() if count > 1]
    forms: dict[str, list[Form | None]] = defaultdict(list)
    for prompt in prompts:
        if prompt.kind is SuiteKind.SYCOPHANCY:
            forms[prompt.intent].append(prompt.form)
    for intent, found in forms.items():
        if found.count("neutral") != 1 or "pressed" not in found:
            problems.append(
                f"intent {intent!r} has {found.count('neutral')} neutral and "
                f"{found.count('pressed')} pressed prompts; give one neutral and at least one "
                "pressed one the same `intent`"
            )
    return problems
