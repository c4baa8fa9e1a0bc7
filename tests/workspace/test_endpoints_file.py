"""`endpoints.yaml`: faults are told with their lines, and it is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from cai_core.errors import EndpointError, WorkspaceError
from cai_core.inference.endpoints import DEMO_ENDPOINT, EndpointBook, EndpointConfig
from cai_core.workspace import endpoints, files
from cai_core.workspace.endpoints import (
    FILE,
    MAX_BYTES,
    load_book,
    read_endpoints,
    restore_endpoints,
    write_endpoints,
)
from tests.inference.test_endpoints import books

GOOD = """\
# by hand
endpoints:
  one: {kind: url, urls: [http://127.0.0.1:9]}
roles: {policy: one}
"""


def test_no_file_is_demo_alone(tmp_path: Path) -> None:
    file = read_endpoints(tmp_path / "nowhere")
    assert (file.text, file.hash, file.error) == ("", "", None)
    assert load_book(tmp_path).endpoints == {"demo": DEMO_ENDPOINT}


def test_a_file_by_hand_is_read_and_its_comments_are_noticed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(GOOD)
    file = read_endpoints(tmp_path)
    assert file.error is None
    assert file.book.roles["policy"] == "one"
    assert file.has_comments
    write_endpoints(tmp_path, file.book)
    after = read_endpoints(tmp_path)
    assert after.book == file.book
    assert not after.has_comments
    assert after.hash != file.hash


@given(books())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_what_is_written_is_what_is_read(tmp_path: Path, book: EndpointBook) -> None:
    write_endpoints(tmp_path, book)
    assert load_book(tmp_path) == book


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("endpoints:\n  a: {kind: url\n  b: 1\n", 3, "broken YAML"),
        ("roles: {}\ncolour: red\n", 2, "unknown keys colour"),
        (GOOD + "  king: one\n", 5, "YAML"),
        ("endpoints:\n  a: {kind: bundled, model: m}\n  b: {kind: ssh}\n", 3, "kind is 'ssh'"),
        ("endpoints:\n  a:\n    kind: url\n    urls: [http://169.254.1.1]\n", 2, "link-local"),
        ("endpoints:\n  a: {kind: bundled, model: m}\n  5: {kind: bundled, model: m}\n", 3, "name"),
        ("roles:\n  policy: demo\n  judge: nobody\n", 3, "no endpoint 'nobody'"),
        ("roles:\n  policy: demo\n  king: demo\n", 3, "unknown keys king"),
        ("roles:\n  policy: [demo]\n", 2, "must be an endpoint's name"),
        (
            "endpoints:\n  a: {kind: bundled, model: m}\n  a: {kind: bundled, model: n}\n",
            3,
            "twice",
        ),
        ("endpoints:\n  a: &x {kind: bundled, model: m}\n  b: *x\n", 2, "aliases"),
        (
            "endpoints:\n  a: {kind: bundled, model: m, extra_body: {since: 2020-01-01}}\n",
            2,
            "put dates",
        ),
        ("endpoints:\n  a: !!python/object:os.system {}\n", 2, "YAML"),
        ("endpoints:\n  a: {kind: bundled, model: m\x00}\n", 2, "U\\+0000"),
        ("- a\n", 1, "must be a mapping"),
    ],
)
def test_a_broken_file_is_told_with_its_line_and_demo_works(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    (tmp_path / FILE).write_text(text)
    file = read_endpoints(tmp_path)
    assert file.error is not None
    assert f"{FILE}:{line}:" in file.error
    assert file.book == EndpointBook()
    with pytest.raises(EndpointError, match=says):
        load_book(tmp_path)
    assert (tmp_path / FILE).read_text() == text


def test_other_bytes_and_too_many_are_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"roles: {}\n\xff")
    assert f"{FILE}:2: no UTF-8" in str(read_endpoints(tmp_path).error)
    (tmp_path / FILE).write_bytes(b"#" * (MAX_BYTES + 1))
    assert f"more than {MAX_BYTES} bytes" in str(read_endpoints(tmp_path).error)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert "cannot be read" in str(read_endpoints(tmp_path).error)


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"])
def test_strange_line_ends_come_back(tmp_path: Path, separator: str) -> None:
    book = EndpointBook(
        endpoints={"a": EndpointConfig(name="a", kind="bundled", model=f"x{separator}y")}
    )
    write_endpoints(tmp_path, book)
    assert load_book(tmp_path) == book


def test_a_text_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    large = EndpointConfig(name="a", kind="bundled", model="x" * MAX_BYTES)
    with pytest.raises(EndpointError, match="more than"):
        write_endpoints(tmp_path, EndpointBook(endpoints={"a": large}))
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("fault", ["_fsync", "_rename"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (tmp_path / FILE).write_text(GOOD)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, fault, refuse)
    with pytest.raises(WorkspaceError, match="old file is untouched"):
        write_endpoints(tmp_path, EndpointBook())
    assert (tmp_path / FILE).read_text() == GOOD
    assert os.listdir(tmp_path) == [FILE]  # noqa: PTH208  names, hidden ones too


def test_what_was_there_comes_back(tmp_path: Path) -> None:
    empty = read_endpoints(tmp_path)
    write_endpoints(tmp_path, EndpointBook())
    restore_endpoints(tmp_path, empty)
    assert not (tmp_path / FILE).exists()
    (tmp_path / FILE).write_text(GOOD)
    held = read_endpoints(tmp_path)
    write_endpoints(tmp_path, EndpointBook())
    restore_endpoints(tmp_path, held)
    assert (tmp_path / FILE).read_text() == GOOD


def test_a_host_is_looked_up_once_for_each_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    parse = endpoints.parse_book
    monkeypatch.setattr(endpoints, "parse_book", lambda *a: asked.append(a) or parse(*a))
    (tmp_path / FILE).write_text(GOOD)
    for _ in range(3):
        read_endpoints(tmp_path)
    assert len(asked) == 1
