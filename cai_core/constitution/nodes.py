"""YAML text → a tree of nodes with line numbers, within `yaml.safe_load`'s language and caps.

Values are taken from the node tree and never constructed, so no tag can build an object;
size, depth, number, anchors and aliases are checked on the event stream, before any tree exists.
"""

from __future__ import annotations

from typing import Any

import yaml

from cai_core.errors import ConstitutionError

MAX_BYTES = 1024 * 1024
# A constitution needs four levels: file, principles, principle, tags.
MAX_DEPTH = 8
# Some 4,000 principles; PyYAML may need seconds for more, and a page waits for it.
MAX_EVENTS = 50_000
# libyaml's reader, where PyYAML was built with it, takes a twelfth of the time.
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose_yaml(text: str, source: str) -> yaml.Node | None:
    """The root node of one YAML document; None when the text holds none.

    Raises:
        ConstitutionError: too large, too deep, anchors or aliases, or not YAML; with the line.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise ConstitutionError(
            f"{source}: {size} bytes; a constitution may have {MAX_BYTES}. Split it."
        )
    try:
        _check_events(text, source, _FAST)
        if (root := yaml.compose(text, Loader=_FAST)) is not None:
            return root
    except (yaml.YAMLError, ValueError, OverflowError):
        pass  # told below
    return _compose_slowly(text, source)


def _compose_slowly(text: str, source: str) -> yaml.Node | None:
    """By PyYAML's own reader, whose messages are for people."""
    try:
        _check_events(text, source, yaml.SafeLoader)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        raise ConstitutionError(_reader_message(error, text, source)) from error
    except yaml.MarkedYAMLError as error:
        raise ConstitutionError(_marked_message(error, source)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML leaks the last two for impossible escapes ("\\UFFFFFFFF").
        raise ConstitutionError(f"{source}: broken YAML: {error}. Correct the file.") from error


def line_of(node: yaml.Node) -> int:
    """1-based line on which the node starts."""
    return int(node.start_mark.line) + 1


def _check_events(text: str, source: str, loader: Any) -> None:
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=loader)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConstitutionError(
                f"{source}:{line}: anchors (&name) and aliases (*name) are refused. "
                "Write the text out, or put a text that begins with & or * in quotes."
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if number > MAX_EVENTS:
            raise ConstitutionError(
                f"{source}:{line}: more than {MAX_EVENTS} keys, values and lists. Split the file."
            )
        if depth > MAX_DEPTH:
            raise ConstitutionError(
                f"{source}:{line}: nested deeper than {MAX_DEPTH} levels. "
                "A constitution is a name and a flat list of principles."
            )


def _reader_message(error: yaml.reader.ReaderError, text: str, source: str) -> str:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return (
        f"{source}:{line}: character U+{ord(text[error.position]):04X} at column {column} is "
        'not allowed in YAML. Delete it, or write it as an escape inside "double quotes".'
    )


def _marked_message(error: yaml.MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{source}:{mark.line + 1}" if mark else source
    column = f" at column {mark.column + 1}" if mark else ""
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return (
        f"{where}: broken YAML{column}: {what}. Check the indentation, and put texts that "
        "contain ': ' or ' #' or begin with a special character in quotes."
    )
