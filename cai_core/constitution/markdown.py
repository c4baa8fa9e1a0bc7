"""A constitution as Markdown that people read and `read_markdown` reads back to the letter.

Texts stand as they are, with Markdown's own characters escaped. A text whose white space or
characters Markdown would not keep stands as a JSON text in a code span.
"""

from __future__ import annotations

import json
import re

from cai_core.constitution.model import FORMAT
from cai_core.errors import ImportFormatError
from cai_core.records import Constitution

MARK = f"<!-- constitution format {FORMAT} -->"
_LABELS = {
    "critique_request": "Critique request",
    "revision_request": "Revision request",
    "comparison_request": "Comparison request",
    "tags": "Tags",
    "weight": "Weight",
    "enabled": "Enabled",
}
_FIELDS = {label: field for field, label in _LABELS.items()}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&:$^=])")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>()#+\-.!|~&:$^=])")
_FIELD = re.compile(r"- \*\*([A-Z][a-z ]+):\*\* (.*)")
_HEADING = re.compile(r"(#{1,2}) (.*)")


def write_markdown(constitution: Constitution) -> str:
    """The Markdown text."""
    lines = [MARK, "", f"# {_write(constitution.name)}", ""]
    if constitution.description:
        lines += [_write(constitution.description), ""]
    for principle in constitution.principles:
        lines += [f"## {_write(principle.id)}", "", _write(principle.text), ""]
        told = {
            "critique_request": _write(principle.critique_request),
            "revision_request": _write(principle.revision_request),
        }
        if principle.comparison_request:
            told["comparison_request"] = _write(principle.comparison_request)
        if principle.tags:
            told["tags"] = _write_json(list(principle.tags))
        if principle.weight != 1:
            told["weight"] = _write_json(principle.weight)
        if not principle.enabled:
            told["enabled"] = _write_json(value=False)
        lines += [f"- **{_LABELS[field]}:** {value}" for field, value in told.items()] + [""]
    return "\n".join(lines)


def is_own_markdown(text: str) -> bool:
    """Whether a text begins as `write_markdown` begins one."""
    return text.lstrip("\ufeff \r\n").startswith(MARK)


def read_markdown(text: str, source: str) -> dict[str, object]:
    """The document that our JSON format holds; checked by its reader.

    Raises:
        ImportFormatError: a line that is none of `write_markdown`'s, with its number.
    """
    document: dict[str, object] = {"format": FORMAT, "description": ""}
    principles: list[dict[str, object]] = []
    started = False
    for number, raw in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        line = raw.removesuffix("\r").strip()
        if not line or (line == MARK and not started):
            continue
        started = True
        try:
            if heading := _HEADING.fullmatch(line):
                if len(heading[1]) == 1:
                    document["name"] = _read(heading[2])
                else:
                    principles.append({"id": _read(heading[2])})
            elif (field := _FIELD.fullmatch(line)) and principles:
                _put(principles[-1], _FIELDS[field[1]], _read_field(field[1], field[2]))
            elif principles:
                _put(principles[-1], "text", _read(line))
            else:
                document["description"] = _read(line)
        except (KeyError, ValueError) as error:
            raise ImportFormatError(
                f"{source}:{number}: not a line of a constitution: {line[:60]!r} ({error}). Export "
                "it again, or import it as a plain list."
            ) from error
    document["principles"] = principles
    return document


def _put(fields: dict[str, object], field: str, value: object) -> None:
    if field in fields:
        raise ValueError(f"a second {field}")
    fields[field] = value


def _write(text: str) -> str:
    plain = text == " ".join(text.split()) and text.isprintable()
    if text and plain:
        return _SPECIAL.sub(r"\\\1", text)
    return _write_json(text)


def _write_json(value: object) -> str:
    # A code span shows everything but its own mark.
    return "`" + json.dumps(value).replace("`", "\\u0060") + "`"


def _read(written: str) -> str:
    if written.startswith("`"):
        found = _read_json(written)
        if not isinstance(found, str):
            raise ValueError("a code span that holds no text")
        return found
    return _ESCAPED.sub(r"\1", written)


def _read_field(label: str, written: str) -> object:
    if _FIELDS[label] in ("tags", "weight", "enabled"):
        return _read_json(written)
    return _read(written)


def _read_json(written: str) -> object:
    if not (len(written) > 1 and written.startswith("`") and written.endswith("`")):
        raise ValueError("not a code span")
    found: object = json.loads(written[1:-1])
    return found
