"""Reading a constitution from what others write: one function for every format.

    path or bytes ──► which kind? ──► its reader ──► Imported(constitution, provenance, warnings)

Own formats (YAML, JSON, Markdown) come back as they were, or are refused. From all others what
can be read is taken, and what is not is listed: nothing is dropped in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args

import yaml

from cai_core.constitution.import_json import (
    LANGCHAIN_CLASS,
    detect_json,
    read_icai,
    read_langchain,
    read_official,
    read_own,
    read_python,
)
from cai_core.constitution.import_text import read_list, read_votes
from cai_core.constitution.imported import Collector, Imported, Provenance, build_id
from cai_core.constitution.importers import MAX_FILE_BYTES, parse_json
from cai_core.constitution.markdown import is_own_markdown, read_markdown
from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.constitution.parse import parse_constitution
from cai_core.errors import ConstitutionError, ImportFormatError
from cai_core.records import Constitution

__all__ = ["KINDS", "ImportKind", "Imported", "Provenance", "import_constitution"]

ImportKind = Literal[
    "auto", "yaml", "json", "markdown", "text", "csv", "langchain", "icai", "official"
]
KINDS: tuple[str, ...] = get_args(ImportKind)
_BY_SUFFIX = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".py": "langchain",
}
_CALLED = {
    "markdown": "a Markdown list",
    "text": "a plain list",
    "csv": "a table of votes",
    "langchain": "LangChain principles",
    "icai": "principles of Inverse Constitutional AI",
}


def import_constitution(
    path_or_bytes: Path | str | bytes, kind: ImportKind = "auto", name: str | None = None
) -> Imported:
    """Read a constitution of any format that is known here.

    Args:
        path_or_bytes: a path, or the content of an uploaded file.
        kind: `auto` goes by the file's ending and then by its content.
        name: of the constitution; None takes the one in the file, else the file's.

    Raises:
        ImportFormatError: cannot be read, is not of that kind, or holds no principle at all.
    """
    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise ImportFormatError(f"the name {name[:80]!r} cannot be. It must {NAME_RULE}.")
    if kind not in KINDS:
        raise ImportFormatError(f"kind is {kind!r}. Use one of {', '.join(KINDS)}.")
    if isinstance(path_or_bytes, bytes):
        source, suffix, stem, raw = "upload", "", "imported", path_or_bytes
    else:
        path = Path(path_or_bytes)
        source, suffix, stem, raw = path.name, path.suffix.lower(), path.stem, _load(path)
    text = _decode(raw, source)
    found = _BY_SUFFIX.get(suffix) if kind == "auto" else kind
    found = found or _detect(text)
    return _read(text, found, source, name, build_id(stem))


def _read(text: str, kind: str, source: str, name: str | None, stem: str) -> Imported:
    if kind == "yaml":
        return _keep(_parse_yaml(text, source), Collector(source, kind), name)
    if kind == "markdown" and is_own_markdown(text):
        taken = Collector(source, kind)
        return _keep(read_own(read_markdown(text, source), taken), taken, name)
    if kind in ("markdown", "text", "csv"):
        taken = Collector(source, kind)
        description = ""
        if kind == "csv":
            read_votes(text, taken)
        else:
            description = read_list(text, taken, markdown=kind == "markdown")
        return taken.build(name or stem, description or _describe(kind, source))
    document = _read_langchain(text, source) if kind == "langchain" else parse_json(text, source)
    kind = detect_json(document) if kind == "json" else kind
    taken = Collector(source, kind)
    if kind == "json":
        return _keep(read_own(document, taken), taken, name)
    if kind == "official":
        return taken.build(name or stem, read_official(document, taken))
    if kind == "langchain":
        read_langchain(document, taken)
    else:
        read_icai(document, taken)
    return taken.build(name or stem, _describe(kind, source))


def _read_langchain(text: str, source: str) -> object:
    """JSON, or Python with the same in it."""
    try:
        return parse_json(text, source)
    except ImportFormatError:
        return read_python(text, source)


def _keep(constitution: Constitution, taken: Collector, name: str | None) -> Imported:
    """An own format's constitution, under another name where one is given."""
    if not taken.principles:
        for number, principle in enumerate(constitution.principles, start=1):
            taken.keep(principle, f"principle {number}")
    return taken.build(name or constitution.name, constitution.description)


def _describe(kind: str, source: str) -> str:
    plain = " ".join(source.encode("utf-8", "replace").decode().split())[:100]
    return f"Imported from {plain}: {_CALLED[kind]}."


def _parse_yaml(text: str, source: str) -> Constitution:
    try:
        return parse_constitution(text, source)
    except ConstitutionError as error:
        raise ImportFormatError(str(error)) from error


def _detect(text: str) -> str:
    if is_own_markdown(text):
        return "markdown"
    if _looks_like_json(text):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "langchain" if LANGCHAIN_CLASS in text or "_request" in text else "json"
        return "json"
    if f"{LANGCHAIN_CLASS}(" in text:
        return "langchain"
    if _is_yaml(text):
        return "yaml"
    header = text.lstrip().partition("\n")[0].lower()
    if "agree" in header and any(mark in header for mark in ",;\t"):
        return "csv"
    return "markdown"


def _looks_like_json(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[", '"')


def _is_yaml(text: str) -> bool:
    """Whether it begins as our YAML does; a list in text may be YAML too, but not ours."""
    try:
        events = yaml.parse(text[:4096], Loader=yaml.SafeLoader)
        scalars = [e.value for _, e in zip(range(12), events, strict=False) if hasattr(e, "value")]
    except yaml.YAMLError:
        scalars = []
    return any(key in scalars for key in ("format", "principles")) or text.startswith("format:")


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ImportFormatError(f"{path}: cannot be read: {reason}. Check the path.") from error


def _decode(raw: bytes, source: str) -> str:
    if len(raw) > MAX_FILE_BYTES:
        raise ImportFormatError(f"{source}: more than {MAX_FILE_BYTES} bytes. Check the file.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportFormatError(
            f"{source}: not UTF-8 at byte {error.start}. Save the file as UTF-8."
        ) from error
