"""A worker's log by blocks: the last lines of any file, and what comes after them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cai_core.commands import log_reading
from cai_core.commands.log_reading import find_tail, read_log


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
def test_the_tail_is_that_of_the_lines(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(log_reading, "BLOCK_BYTES", block)
    for text in (b"", b"a", b"a\n", b"a\nbb\n\nccc\nd", b"\n\n\n", b"one\ntwo\nthree\n"):
        for lines in (1, 2, 3, 9):
            expected = b"".join(text.splitlines(keepends=True)[-lines:])
            assert text[find_tail(io.BytesIO(text), lines) :] == expected, (text, lines)


def test_what_is_added_follows_and_no_sign_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "BLOCK_BYTES", 1)
    path = tmp_path / "log"
    path.write_text("old\nnéw\n", "utf-8")
    looks = iter([True, False])

    def add() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write("→ added\n")

    assert "".join(read_log(path, 1, lambda: next(looks), add)) == "néw\n→ added\n"
