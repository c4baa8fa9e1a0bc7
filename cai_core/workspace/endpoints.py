"""The workspace's `endpoints.yaml`: which models there are, and who plays which role.

People may write it by hand. A file that cannot be read is told with its line and left alone; the
bundled demo model works all the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from cai_core.constitution.nodes import compose_yaml, line_of
from cai_core.errors import CaiError, ConstitutionError, EndpointError
from cai_core.inference.endpoints import ROLES, EndpointBook, dump_book, parse_book, parse_endpoint
from cai_core.inference.model_folder import DEMO
from cai_core.workspace.files import replace_file
from cai_core.workspace.locks import hold_lock

FILE = "endpoints.yaml"
# Some thousand endpoints; a page reads the file at every click.
MAX_BYTES = 256 * 1024
_COMMENT = re.compile(r"(?:^|\s)#", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsFile:
    """The file as it was read.

    Attributes:
        text: "" where there is no file.
        hash: SHA-256 (hex) of its bytes, "" where there is no file. Who saves says which one
            they saw.
        book: what it says; `demo` alone where it cannot be read.
        error: why it cannot be read, with the line; None when it can.
    """

    path: Path
    text: str
    hash: str
    book: EndpointBook
    error: str | None = None

    @property
    def has_comments(self) -> bool:
        """Whether somebody wrote comments into it, which a save from here would not keep."""
        return _COMMENT.search(self.text) is not None


def read_endpoints(workspace: Path) -> EndpointsFile:
    """The file, with what is wrong with it where it cannot be read."""
    path = workspace / FILE
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return EndpointsFile(path=path, text="", hash="", book=EndpointBook())
    except OSError as error:
        told = f"{path}: cannot be read: {error.strerror}. Correct its permissions."
        return EndpointsFile(path=path, text="", hash="?", book=EndpointBook(), error=told)
    text = raw.decode("utf-8", "replace")
    book, problem = _read_text(raw, str(path))
    digest = hashlib.sha256(raw).hexdigest()
    return EndpointsFile(path=path, text=text, hash=digest, book=book, error=problem)


def load_book(workspace: Path) -> EndpointBook:
    """What the file says; `demo` alone where there is no file.

    Raises:
        EndpointError: it cannot be read; the message names the line.
    """
    file = read_endpoints(workspace)
    if file.error is not None:
        raise EndpointError(file.error)
    return file.book


def write_endpoints(workspace: Path, book: EndpointBook) -> None:
    """Write the book aside and rename. Only `cai_core.actions` calls this.

    Raises:
        EndpointError: a text in it cannot be written down, or it grows too large.
        WorkspaceError: the disk refuses; the old file is untouched.
    """
    path = workspace / FILE
    try:
        raw = dump_book(book).encode("utf-8")
    except (UnicodeEncodeError, yaml.YAMLError) as error:
        raise EndpointError(f"{path}: a text cannot be written: {error}. Correct it.") from error
    back, problem = _read_text(raw, str(path))
    if problem is not None or back != book:
        raise EndpointError(f"{path}: would not read back as it is. {problem or ''}".rstrip())
    replace_file(path, [raw])


def restore_endpoints(workspace: Path, file: EndpointsFile) -> None:
    """Put back what was read before. Only `cai_core.actions` calls this."""
    if file.hash:
        replace_file(file.path, [file.text.encode("utf-8")])
    else:
        (workspace / FILE).unlink(missing_ok=True)


@contextmanager
def lock_endpoints(workspace: Path) -> Iterator[None]:
    """Nobody else saves meanwhile. Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: the lock file cannot be made.
    """
    with hold_lock(workspace, ".endpoints.lock"):
        yield


# A page reads the file at every click: parsed once for each text.
@lru_cache(maxsize=64)
def _read_text(raw: bytes, where: str) -> tuple[EndpointBook, str | None]:
    """What the bytes say, and what is wrong with them."""
    try:
        return _parse(raw, where), None
    except CaiError as error:
        return EndpointBook(), str(error)


def _parse(raw: bytes, where: str) -> EndpointBook:
    if len(raw) > MAX_BYTES:
        raise EndpointError(f"{where}: has more than {MAX_BYTES} bytes. Shorten it.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise EndpointError(f"{where}:{line}: no UTF-8. Save the file as UTF-8.") from error
    try:
        root = compose_yaml(text, where)
    except ConstitutionError as error:
        raise EndpointError(str(error)) from error
    _check_doubles(root, where)
    return _parse_checked(text, root, where)


def _parse_checked(text: str, root: yaml.Node | None, where: str) -> EndpointBook:
    try:
        book = parse_book(text, where)
        json.dumps(book.as_dict())
    except EndpointError:
        # Once more, for the message with the line in it.
        return parse_book(text, f"{where}:{_find_line(root)}")
    except CaiError as error:
        raise EndpointError(f"{where}:{_find_line(root)}: {error}") from error
    except (TypeError, ValueError) as error:
        raise EndpointError(
            f"{where}:{_find_line(root)}: a value has a type that cannot be here: {error}. "
            "Put dates and the like in quotes."
        ) from error
    return book


def _find_line(root: yaml.Node | None) -> int:
    """The line of the first part that is wrong, the first line where none can be told."""
    parts = {str(key.value): (key, node) for key, node in _pairs(root)}
    for name, (key, _) in parts.items():
        if name not in ("endpoints", "roles"):
            return line_of(key)
    endpoints = _pairs(parts["endpoints"][1]) if "endpoints" in parts else []
    for key, node in endpoints:
        try:
            parse_endpoint("", _plain(key), _plain(node))
            json.dumps(_plain(node))
        except (CaiError, TypeError, ValueError):
            return line_of(key)
    names = {DEMO} | {str(key.value) for key, _ in endpoints}
    for key, node in _pairs(parts["roles"][1]) if "roles" in parts else []:
        if key.value not in ROLES or str(node.value) not in names:
            return line_of(key)
    return 1 if root is None else line_of(root)


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _plain(node: yaml.Node) -> Any:
    try:
        return SafeConstructor().construct_document(node)
    except yaml.YAMLError as error:
        raise EndpointError(f"no plain value: {error}") from error


def _check_doubles(node: yaml.Node | None, where: str) -> None:
    """Of a key that stands twice YAML would keep the last, in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise EndpointError(
                    f"{where}:{line_of(key)}: {key.value!r:.80} stands twice. Keep one of the two."
                )
            seen.add(str(key.value))
            _check_doubles(value, where)
