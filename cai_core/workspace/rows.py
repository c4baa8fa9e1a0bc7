"""Generated rows: what one call of a model left behind, under an id that nothing else has."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, ValuesView
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cai_core.errors import WorkspaceError
from cai_core.records import Finding, ModelInfo, Prompt, StepKind, Verdict
from cai_core.workspace.journal import is_header, parse_line, read_lines
from cai_core.workspace.runs import RowFile, Run

_Array = npt.NDArray[np.uint64]
# A place is a file's number and a byte in it: a terabyte a file.
_OFFSET_BITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One generated text with all that is needed to audit it, or the reason there is none.

    Attributes:
        step: label within the chain, e.g. `response`, `critique-2`; part of the row's id.
        index, round: as in `records.Step`.
        sample: of the chain; of a label, the comparison's place in comparisons.jsonl.
        order: 0, or 1 where a comparison was asked with response B shown first.
        cot: index of the chain of thought, 0 where there is one or none.
        role: which model of the recipe was asked.
        prompt: the prompt itself (conversation, kind, tags), on initial responses only.
        text: the model's raw text; None on an error row, and where a label was scored alone.
        reasoning: what a reasoning model thought before it, raw; None where it told nothing.
        error: why there is no text; `error_kind` is the exception's name. Final for the row.
        seconds: wall time from sending to the last token.
        comparison_id: of what a label is about; None on other rows.
        verdict: what a label's text says, in the order shown (`A` is the response shown first);
            None where nothing was generated.
        scoring: of a label: how probable each verdict is (`label_answers.build_scoring`).
    """

    run_id: str
    row_id: str
    prompt_id: str
    prompt_hash: str
    constitution_hash: str
    template_version: str
    kind: StepKind
    step: str
    index: int
    round: int
    sample: int
    order: int = 0
    cot: int = 0
    role: Literal["policy", "critic", "feedback"]
    principle_id: str | None
    model_id: str
    weights_hash: str | None
    engine: str
    engine_version: str
    repeatability: Literal["exact", "statistical"]
    sampling: dict[str, float | int]
    seed: int
    prompt: dict[str, Any] | None = None
    text: str | None = None
    finding: Finding | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    seconds: float | None = None
    error: str | None = None
    error_kind: str | None = None
    reasoning: str | None = None
    comparison_id: str | None = None
    verdict: Verdict | None = None
    scoring: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the row file; `parse_row` is the inverse."""
        # Not dataclasses.asdict: it copies every value deeply, which took a third of the
        # runner's own time.
        plain = {name: getattr(self, name) for name in _NAMES}
        for name in _SELDOM:
            if plain[name] is None:
                del plain[name]
        return plain


_NAMES = tuple(field.name for field in fields(Row))
_FIELDS = frozenset(_NAMES)
# Left out of the record where they are None: most rows have none of them.
_SELDOM = ("reasoning", "comparison_id", "verdict", "scoring")


def parse_row(record: Mapping[str, Any]) -> Row:
    """Read one record of a row file.

    Raises:
        ValueError: a field is missing or unknown, or a kind, finding or verdict is no such word.
    """
    if unknown := sorted(record.keys() - _FIELDS):
        raise ValueError(f"unknown fields {unknown}")
    finding, verdict = record.get("finding"), record.get("verdict")
    try:
        return Row(
            **{
                **record,
                "kind": StepKind(record["kind"]),
                "finding": None if finding is None else Finding(finding),
                "verdict": None if verdict is None else Verdict(verdict),
            }
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"fields missing: {error}") from error


def build_row_id(
    *, run_id: str, prompt_id: str, sample: int, step: str, order: int = 0, cot: int = 0
) -> str:
    """128 bits (hex) of SHA-256 over everything that tells one row of a run from another."""
    return _digest(["row", run_id, prompt_id, sample, step, order, cot]).hex()[:32]


def build_seed(*, run_seed: int, prompt_id: str, sample: int, step: str) -> int:
    """The row's seed, in [0, 2**63): never arrival order, and the same in every run folder."""
    digest = _digest(["seed", run_seed, prompt_id, sample, step])
    return int.from_bytes(digest[:8], "big") >> 1


def build_model_fields(info: ModelInfo) -> dict[str, Any]:
    """What a row says about who answered."""
    return {
        "model_id": info.model_id,
        "weights_hash": info.weights_hash,
        "engine": info.engine,
        "engine_version": info.engine_version,
        "repeatability": info.repeatability,
    }


def build_prompt_field(prompt: Prompt) -> dict[str, Any]:
    """The prompt as the initial response's row carries it."""
    return {
        "conversation": [turn.as_dict() for turn in prompt.conversation],
        "kind": prompt.kind.value,
        "tags": list(prompt.tags),
    }


class RowIndex(Mapping[str, Row]):
    """Every durable row of a run's step by id, read from the files when asked for.

    Holds 24 bytes a row, so a run of ten million rows fits in memory. It shows the moment of its
    making.

    Attributes:
        damaged: lines that could not be read as rows.
        doubled: rows whose id was there already; the first one counts.
        late_bytes: written by a worker after another had taken over; ignored.
    """

    def __init__(self, run: Run, step: str):
        self.damaged = self.doubled = self.late_bytes = 0
        self._paths: list[Path] = []
        keys, places = array("Q"), array("Q")
        for file in run.row_files(step):
            self.late_bytes += file.late_bytes
            self._paths.append(file.path)
            for row_id, offset in self._scan(file):
                keys.append(_key(row_id))
                places.append((len(self._paths) - 1) << _OFFSET_BITS | offset)
        # One array at a time, each let go of when its sorted copy is there: this is the most
        # memory that a run takes.
        order = np.argsort(np.frombuffer(keys, np.uint64), kind="stable").astype(np.uint32)
        self._keys: _Array = np.frombuffer(keys, np.uint64)[order]
        del keys
        self._places: _Array = np.frombuffer(places, np.uint64)[order]
        del places, order
        self._keep_first()

    def __getitem__(self, row_id: str) -> Row:
        key = np.uint64(_key(row_id))
        at = int(np.searchsorted(self._keys, key))
        # Two ids may share a key, once in 10^8 runs of a million rows.
        while at < len(self._keys) and self._keys[at] == key:
            row = self._read(int(self._places[at]))
            if row.row_id == row_id:
                return row
            at += 1
        raise KeyError(row_id)

    def __iter__(self) -> Iterator[str]:
        return (row.row_id for row in self._in_order())

    def __len__(self) -> int:
        return len(self._keys)

    def values(self) -> ValuesView[Row]:
        """The rows in the order in which they were written."""
        return _RowsInOrder(self)

    def _in_order(self) -> Iterator[Row]:
        for place in np.sort(self._places):
            yield self._read(int(place))

    def _read(self, place: int) -> Row:
        path, offset = self._paths[place >> _OFFSET_BITS], place & (2**_OFFSET_BITS - 1)
        with path.open("rb") as file:
            file.seek(offset)
            record = parse_line(file.readline()).record
        if record is None:
            raise WorkspaceError(f"{path}: byte {offset} changed while the file was read.")
        return parse_row(record)

    def _scan(self, file: RowFile) -> Iterator[tuple[str, int]]:
        for line in read_lines(file.path, limit=file.limit):
            if is_header(line, file.path):
                continue
            try:
                yield parse_row(line.record or {}).row_id, line.offset
            except ValueError:
                self.damaged += 1

    def _keep_first(self) -> None:
        """Of rows with one id the first written stays. They are sorted by key, stably."""
        keys, places = self._keys, self._places
        same = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        if not len(same):
            return
        keep = np.ones(len(keys), dtype=bool)
        seen: dict[int, set[str]] = {}
        for at in same.tolist():
            key = int(keys[at])
            ids = seen.setdefault(key, {self._read(int(places[at - 1])).row_id})
            row_id = self._read(int(places[at])).row_id
            keep[at] = row_id not in ids
            ids.add(row_id)
        self.doubled = int((~keep).sum())
        self._keys, self._places = keys[keep], places[keep]


class _RowsInOrder(ValuesView[Row]):
    """Rows as they lie in the files: one way through them, not one search a row."""

    def __init__(self, index: RowIndex) -> None:
        super().__init__(index)
        self._index = index

    def __iter__(self) -> Iterator[Row]:
        return self._index._in_order()


def _key(row_id: str) -> int:
    digest = hashlib.blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _digest(parts: list[str | int]) -> bytes:
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).digest()
