"""Rounds and labels for others: JSONL, Parquet, CSV, and the columns of TRL's trainers. Pure.

jsonl      every record, a line each
parquet    the same, a row each; conversation and sources as JSON text
csv        the same as texts; a cell that a spreadsheet would take for a formula is escaped
trl        prompt, chosen, rejected (conversational), prob and margin, a JSON line each
trl-sft    prompt and completion (conversational), a JSON line each

Files are given in pieces, so that memory does not grow with them. An import of the first three is
the identity: a column `escaped` names the cells whose text was changed (`import_tables.py`).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, get_args

from cai_core.errors import CaiError
from cai_core.pipeline.export_columns import LABEL_COLUMNS, ROUND_COLUMNS, Column, escape_cells
from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.round_records import RoundRecord
from cai_core.records import Message, Verdict
from cai_core.workspace.journal import encode_record

ExportKind = Literal["rounds", "comparisons"]
ExportFormat = Literal["jsonl", "parquet", "csv", "trl", "trl-sft"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
HELD_OUT = "split:held-out"
Record = RoundRecord | LabelRecord
# Rows of a piece, and of a row group in Parquet.
_BATCH = 2000
# So many runs, models and versions are named on a card; a mixture of more is told by number.
_MOST_NAMED = 100
_ORIGIN = ("run", "chain", "round", "comparison_id")


@dataclass(slots=True, kw_only=True)
class ExportTally:
    """What went into a file; filled while its pieces are taken.

    Attributes:
        records: given. rows: written.
        left_out: why → how many records, for TRL's columns.
        runs, models, constitutions, sources: as the records name them; `sources` are whose labels.
        sources_of: runs that the responses of labels come from.
        held_out: records about prompts that nothing may be trained on.
        sha256: of the file, once every piece was taken; bytes likewise.
    """

    records: int = 0
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    constitutions: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    sources_of: Counter[str] = field(default_factory=Counter)
    held_out: int = 0
    sha256: str = ""
    bytes: int = 0

    def leave_out(self, reason: str) -> None:
        """Count a record that is given, and of which nothing can be written."""
        self.records += 1
        self.left_out[reason] += 1


def encode_export(
    records: Iterable[Record], kind: ExportKind, format: ExportFormat, tally: ExportTally
) -> Iterator[bytes]:
    """The file in pieces.

    With TRL's formats, what cannot be trained on is left out and counted: ties and unparsed labels,
    rounds without a change, empty texts, held-out prompts.

    Args:
        kind: of all the records: rounds, or labels.
        tally: is filled as pieces are taken.

    Raises:
        CaiError: there is no such format.
    """
    if format not in FORMATS:
        raise CaiError(f"export format {format!r}: known are {', '.join(FORMATS)}.")
    return _hash(_encode(_count(records, tally), kind, format, tally), tally)


def build_pair(record: Record) -> dict[str, Any] | str:
    """TRL's columns of a preference pair, or why the record is none."""
    prompt = [turn.as_dict() for turn in record.conversation]
    if isinstance(record, RoundRecord):
        if reason := _find_fault(record):
            return reason
        chosen, rejected, prob = record.revision or "", record.response, 1.0
        origin: dict[str, Any] = {"run": record.run, "chain": record.chain, "round": record.round}
        origin["label_source"] = "revision"
    else:
        if reason := _find_label_fault(record):
            return reason
        first = record.verdict is Verdict.A
        prob_a = record.prob_a_clamped if record.prob_a_clamped is not None else 0.5
        prob = prob_a if first else 1.0 - prob_a
        chosen, rejected = record.response_a, record.response_b
        if not first:
            chosen, rejected = rejected, chosen
        origin = {"comparison_id": record.comparison_id, "label_source": record.label_source}
    return {
        "prompt": prompt,
        "chosen": [Message("assistant", chosen).as_dict()],
        "rejected": [Message("assistant", rejected).as_dict()],
        "prob": prob,
        "margin": 2.0 * prob - 1.0,
        **origin,
    }


def build_completion(record: Record) -> dict[str, Any] | str:
    """TRL's columns of a completion, the better text of two; or why the record gives none."""
    pair = build_pair(record)
    if isinstance(pair, str):
        return pair
    origin = {name: told for name, told in pair.items() if name in _ORIGIN}
    return {"prompt": pair["prompt"], "completion": pair["chosen"], **origin}


def _encode(
    records: Iterable[Record], kind: ExportKind, format: ExportFormat, tally: ExportTally
) -> Iterator[bytes]:
    columns = ROUND_COLUMNS if kind == "rounds" else LABEL_COLUMNS
    match format:
        case "parquet":
            return _encode_parquet(records, columns, tally)
        case "csv":
            return _encode_csv(records, columns, tally)
        case "jsonl":
            plain: Iterable[Mapping[str, Any] | str] = (record.as_dict() for record in records)
        case "trl":
            plain = map(build_pair, records)
        case _:
            plain = map(build_completion, records)
    return _encode_lines(plain, tally)


def _encode_lines(rows: Iterable[Mapping[str, Any] | str], tally: ExportTally) -> Iterator[bytes]:
    lines: list[bytes] = []
    for row in rows:
        if isinstance(row, str):
            tally.left_out[row] += 1
            continue
        tally.rows += 1
        lines.append(encode_record(row))
        if len(lines) == _BATCH:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def _encode_csv(
    records: Iterable[Record], columns: Sequence[Column], tally: ExportTally
) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    # Both characters of the line's end, so that cells with either are quoted.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*(column.name for column in columns), "escaped"])
    for number, record in enumerate(records, start=1):
        tally.rows += 1
        writer.writerow(escape_cells(record.as_dict(), columns))
        if number % _BATCH == 0:
            yield _take(text)
    yield _take(text)


def _take(text: io.StringIO) -> bytes:
    held = text.getvalue().encode("utf-8")
    text.seek(0)
    text.truncate()
    return held


def _encode_parquet(
    records: Iterable[Record], columns: Sequence[Column], tally: ExportTally
) -> Iterator[bytes]:
    import pyarrow as pa  # slow to load, and no other format needs it
    import pyarrow.parquet as pq

    types = {
        "texts": pa.list_(pa.string()),
        "number": pa.float64(),
        "whole": pa.int64(),
        "bool": pa.bool_(),
    }
    named = [(column.name, types.get(column.type, pa.string())) for column in columns]
    schema = pa.schema([*named, ("escaped", pa.string())])
    sink = _Pieces()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        rows = (escape_cells(record.as_dict(), columns, typed=True) for record in records)
        while batch := list(islice(rows, _BATCH)):
            tally.rows += len(batch)
            arrays = [
                pa.array(cells, type=field.type)
                for cells, field in zip(zip(*batch, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


class _Pieces(io.RawIOBase):
    """What was written since somebody last took it."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._held.append(bytes(piece))
        self._written += len(self._held[-1])
        return len(self._held[-1])

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        held = b"".join(self._held)
        self._held.clear()
        return held

    def close(self) -> None:
        """Stays open: the end of the file is taken after the writer has closed it."""


def _hash(pieces: Iterable[bytes], tally: ExportTally) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces:
        if piece:
            digest.update(piece)
            tally.bytes += len(piece)
            yield piece
    tally.sha256 = digest.hexdigest()


def _count(records: Iterable[Record], tally: ExportTally) -> Iterator[Record]:
    for record in records:
        tally.records += 1
        tally.held_out += HELD_OUT in record.tags
        if isinstance(record, RoundRecord):
            note(tally.runs, record.run)
            for model in {record.model, record.critic}:
                note(tally.models, model)
            note(tally.constitutions, record.constitution_hash)
        else:
            for run in {record.source_a.get("run", ""), record.source_b.get("run", "")}:
                note(tally.sources_of, run)
            note(tally.models, record.feedback_model or "")
            note(tally.sources, record.label_source)
        yield record


def note(counter: Counter[str], name: str) -> None:
    """Count a name; beyond some number of them, under `others`."""
    if name and (name in counter or len(counter) < _MOST_NAMED):
        counter[name] += 1
    elif name:
        counter["others"] += 1


def _find_fault(record: RoundRecord) -> str | None:
    if HELD_OUT in record.tags:
        return "held out"
    if record.revision is None:
        return "no revision"
    if not record.revision.strip() or not record.response.strip():
        return "an empty text"
    return "nothing changed" if record.revision == record.response else None


def _find_label_fault(label: LabelRecord) -> str | None:
    if HELD_OUT in label.tags:
        return "held out"
    if label.verdict is Verdict.TIE:
        return "tie"
    return "unparsed" if label.verdict is Verdict.UNPARSED else None
