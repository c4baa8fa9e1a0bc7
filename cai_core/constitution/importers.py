"""Reading the paper's official prompt files from a path the user gives.

The files (arXiv 2212.08073, supplementary material) carry no licence: they are imported where
the user has them and never shipped. Requests are kept to the byte, irregular blanks included,
so that `prompts.paper` renders the official prompts again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from cai_core.constitution.markers import (
    CRITIQUE,
    CRITIQUE_REQUEST,
    REVISION,
    REVISION_REQUEST,
    join_examples,
)
from cai_core.constitution.model import NAME_PATTERN, with_hash
from cai_core.errors import ImportFormatError, TemplateError
from cai_core.records import Constitution, Principle

MAX_FILE_BYTES = 8 * 1024 * 1024
OFFICIAL_NAME = "anthropic-harmlessness"
OFFICIAL_DESCRIPTION = "Imported from the official files of Constitutional AI, arXiv 2212.08073."
_COMPARISON_START, _COMPARISON_END = "\n", " Options:"


def load_official_constitution(path: Path, comparisons: Path | None = None) -> Constitution:
    """Read CritiqueRevisionInstructions.json: principles harmful0 … harmful15.

    The files have no separate rule text; `text` is the revision request, which says what
    a response should be.

    Args:
        path: CritiqueRevisionInstructions.json.
        comparisons: RLMadisonInstructions.json, whose n-th string becomes the comparison
            request of principle n. The official files pair the two lists by nothing but
            their order; the paper draws from each independently.

    Raises:
        ImportFormatError: every problem of a file, one a line.
    """
    principles = parse_instructions(load_json(path), str(path))
    requests = [""] * len(principles)
    if comparisons is not None:
        requests = parse_comparisons(load_json(comparisons), str(comparisons))
        if len(requests) != len(principles):
            raise ImportFormatError(
                f"{comparisons}: {len(requests)} instructions for {len(principles)} principles "
                f"of {path}. They are paired by order: use two files of the same set."
            )
    return with_hash(
        Constitution(
            name=OFFICIAL_NAME,
            description=OFFICIAL_DESCRIPTION,
            principles=tuple(
                _principle(*parts, request)
                for parts, request in zip(principles, requests, strict=True)
            ),
        )
    )


def load_official_few_shot(path: Path) -> str:
    """Read CritiqueRevisionFewShotPrompts.json into the text that goes before a conversation.

    Raises:
        ImportFormatError: not a list of transcripts that begin with "Human:".
    """
    strings = _strings(load_json(path), str(path), "example transcripts")
    try:
        return join_examples(strings)
    except TemplateError as error:
        raise ImportFormatError(f"{path}: {error}") from error


def parse_instructions(document: object, source: str) -> list[tuple[str, str, str]]:
    """(principle id, critique request, revision request) in the order of the ids' numbers.

    Raises:
        ImportFormatError: every problem, one a line.
    """
    if not isinstance(document, dict) or not document:
        raise ImportFormatError(
            f"{source}: not an object of principles. Give CritiqueRevisionInstructions.json."
        )
    problems = _gaps(list(document), source)
    principles = []
    for key in sorted(document, key=_order):
        try:
            principles.append((key, *parse_instruction(document[key], f"{source}: {key}")))
        except ImportFormatError as error:
            problems.append(str(error))
    if problems:
        raise ImportFormatError("\n".join(problems))
    return principles


def parse_instruction(entry: object, where: str) -> tuple[str, str]:
    """The critique and the revision request of one {prompt: [text], edit_request: text}.

    Raises:
        ImportFormatError: another shape, or a text without its markers.
    """
    if not isinstance(entry, dict):
        raise ImportFormatError(f"{where} is not an object with 'prompt' and 'edit_request'.")
    prompt, edit = entry.get("prompt"), entry.get("edit_request")
    if not isinstance(prompt, list) or len(prompt) != 1:
        raise ImportFormatError(f"{where}: 'prompt' is not a list of one text.")
    critique = _between(prompt[0], f"{CRITIQUE_REQUEST} ", CRITIQUE, f"{where}: 'prompt'")
    revision = _between(edit, f"{REVISION_REQUEST} ", REVISION, f"{where}: 'edit_request'")
    return critique, revision


def parse_comparisons(document: object, source: str) -> list[str]:
    """The comparison requests of RLMadisonInstructions.json, without their frame.

    Raises:
        ImportFormatError: not a list of texts that end in " Options:".
    """
    strings = _strings(document, source, "instructions")
    return [
        _between(text, _COMPARISON_START, _COMPARISON_END, f"{source}: instruction {number}")
        for number, text in enumerate(strings)
    ]


def load_json(path: Path) -> object:
    """The parsed file.

    Raises:
        ImportFormatError: cannot be read, too large, not UTF-8 or not JSON; with the line.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ImportFormatError(f"{path}: more than {MAX_FILE_BYTES} bytes. Check the path.")
        return parse_json(raw.decode("utf-8-sig"), str(path))
    except OSError as error:
        raise ImportFormatError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ImportFormatError(
            f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8."
        ) from error


def parse_json(text: str, source: str) -> object:
    """The document.

    Raises:
        ImportFormatError: not JSON, with the line; or an object with the same key twice.
    """
    try:
        document: object = json.loads(text, object_pairs_hook=_unique)
        return document
    except json.JSONDecodeError as error:
        raise ImportFormatError(
            f"{source}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}. "
            "Fetch the file again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ImportFormatError(f"{source}: broken JSON: {error}. Fetch the file again.") from error


def _principle(
    principle_id: str, critique_request: str, revision_request: str, comparison_request: str
) -> Principle:
    return Principle(
        id=principle_id,
        text=revision_request,
        critique_request=critique_request,
        revision_request=revision_request,
        comparison_request=comparison_request,
        tags=("harm",),
    )


def _between(text: object, start: str, end: str, where: str) -> str:
    if not isinstance(text, str):
        raise ImportFormatError(f"{where} is not a text.")
    inner = text.removeprefix(start).removesuffix(end)
    if len(inner) + len(start) + len(end) != len(text) or not inner.strip():
        raise ImportFormatError(
            f"{where} is not a request between {start!r} and {end!r}; it begins with "
            f"{text[:30]!r} and ends with {text[-20:]!r}. Fetch the file again."
        )
    return inner


def _strings(document: object, source: str, what: str) -> list[str]:
    if not isinstance(document, list) or not document:
        raise ImportFormatError(f"{source}: not a list of {what}. Check which file this is.")
    for number, text in enumerate(document):
        if not isinstance(text, str):
            raise ImportFormatError(f"{source}: entry {number} is not a text but {text!r:.40}.")
    return document


def _gaps(keys: list[str], source: str) -> list[str]:
    """Ids that are no ids, and holes in a numbered series: signs of a damaged file."""
    problems = [
        f"{source}: {key!r} cannot be a principle's id. Fetch the file again."
        for key in keys
        if not NAME_PATTERN.fullmatch(key)
    ]
    numbers = {_order(key)[1] for key in keys}
    stem = _order(keys[0])[0]
    if {_order(key)[0] for key in keys} == {stem} and min(numbers) >= 0:
        missing = sorted(set(range(max(numbers) + 1)) - numbers)[:20]
        problems += [f"{source}: {stem}{n} is missing. Fetch the file again." for n in missing]
    return problems


def _order(key: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(\d{1,6})", key, re.DOTALL)
    return (found[1], int(found[2])) if found else (key, -1)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    counted = dict(pairs)
    if len(counted) != len(pairs):
        raise ValueError("an object holds the same key twice")
    return counted
