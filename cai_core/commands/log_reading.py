"""A worker's log, read by blocks: its last lines, and what comes after them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

BLOCK_BYTES = 64 * 1024


def read_log(
    path: Path, lines: int, goes_on: Callable[[], bool], wait: Callable[[], None]
) -> Iterator[str]:
    """The last lines of a file, in pieces; then what is added, for as long as `goes_on`.

    Args:
        lines: how many; 0 gives all.
        goes_on: asked before each look: what is added after the last answer is read, too.
        wait: between two looks.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    position: int | None = None
    while True:
        more = goes_on()
        if path.exists():
            with path.open("rb") as file:
                if position is None:
                    position = find_tail(file, lines) if lines else 0
                file.seek(position)
                while block := file.read(BLOCK_BYTES):
                    position += len(block)
                    yield decoder.decode(block)
        elif position is None:
            position = 0  # it begins while it is followed: all of it is new
        if not more:
            yield decoder.decode(b"", final=True)
            return
        wait()


def find_tail(file: IO[bytes], lines: int) -> int:
    """The byte at which the last so many lines begin; read from the end."""
    position = file.seek(0, os.SEEK_END)
    wanted = lines
    is_end = True
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        # The last line's own end separates it from nothing.
        end = len(block) - 1 if is_end and block.endswith(b"\n") else len(block)
        is_end = False
        while (at := block.rfind(b"\n", 0, end)) >= 0:
            wanted -= 1
            if wanted == 0:
                return position + at + 1
            end = at
    return 0
