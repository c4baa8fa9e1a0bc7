"""A CSV file's lines, bounded: what would not fit into memory is refused, not read."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from cai_core.errors import PromptFileError
from cai_core.pipeline.prompt_file import MAX_LINE_BYTES


class CsvLines(Iterator[str]):
    """Its lines with their ends, for `csv.reader`.

    The user calls `end_record` whenever the reader gave a record, which may be of several lines.

    Raises:
        PromptFileError: a line or a record is longer than MAX_LINE_BYTES.
        UnicodeDecodeError: it is not UTF-8.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._number = self._begins = 0
        self._held = 0

    def __enter__(self) -> CsvLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE_BYTES + 1)
        if not raw:
            raise StopIteration
        self._number += 1
        self._held += len(raw)
        if self._held > MAX_LINE_BYTES:
            raise PromptFileError(
                f"{self._path}:{self._begins + 1}: a record of more than {MAX_LINE_BYTES} bytes. "
                "Is a double quote not closed, or are there no line breaks? Mend it, or save the "
                "prompts as .jsonl."
            )
        return self._decoder.decode(raw)

    def end_record(self) -> None:
        """The next line begins a record."""
        self._held, self._begins = 0, self._number
