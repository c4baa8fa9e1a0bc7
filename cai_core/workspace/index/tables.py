"""What a batch brings in, as columns for the tables of index.duckdb. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from cai_core.workspace.index.prepare import PreparedRow
from cai_core.workspace.index.prepare_labels import PreparedAnswer, PreparedComparison
from cai_core.workspace.index.sources import SeenRun
from cai_core.workspace.runs import RowFile

_ROW_SCHEMA = pa.schema(
    [
        ("run_number", pa.int32()),
        *((name, pa.string()) for name in ("row_id", "chain")),
        ("chain_key", pa.int64()),
        ("kind", pa.string()),
        ("round", pa.int32()),
        ("file", pa.string()),
        ("epoch", pa.int32()),
        ("position", pa.int64()),
        ("length", pa.int64()),
        *((name, pa.string()) for name in ("principle", "model", "finding")),
        *((name, pa.string()) for name in ("constitution_hash", "prompt_kind")),
        *((name, pa.int64()) for name in ("text", "prompt_text", "conversation_text")),
        ("category", pa.string()),
        ("words", pa.int32()),
    ]
)
_COMPARISON_SCHEMA = pa.schema(
    [
        ("run_number", pa.int32()),
        ("comparison", pa.string()),
        ("place", pa.int32()),
        ("file", pa.string()),
        *((name, pa.int64()) for name in ("position", "length")),
        *((n, pa.string()) for n in ("principles", "verdict", "source", "kind", "model")),
        ("traits", pa.int32()),
        *((name, pa.float64()) for name in ("prob_a", "position_bias")),
        *((name, pa.int8()) for name in ("confidence_bin", "bias_bin")),
        *((n, pa.int64()) for n in ("prompt_text", "conversation_text", "a_text", "b_text")),
        ("reasons_text", pa.int64()),
    ]
)
_ANSWER_SCHEMA = pa.schema(
    [
        ("run_number", pa.int32()),
        ("place", pa.int32()),
        ("file", pa.string()),
        ("epoch", pa.int32()),
        *((name, pa.int64()) for name in ("position", "length")),
    ]
)


def build_rows(
    new: Sequence[tuple[SeenRun, RowFile, PreparedRow]], numbers: dict[str | None, int | None]
) -> pa.Table:
    """Rows of `rows`; `numbers` are those of their texts."""
    columns: dict[str, list[Any]] = {
        "run_number": [seen.number for seen, _, _ in new],
        "file": [file.path.name for _, file, _ in new],
        "epoch": [file.epoch for _, file, _ in new],
        "text": [numbers[row.text] for _, _, row in new],
        "prompt_text": [numbers[row.prompt] for _, _, row in new],
        "conversation_text": [numbers[row.conversation] for _, _, row in new],
    }
    return _build_table(columns, _ROW_SCHEMA, [row for _, _, row in new])


def build_comparisons(
    new: Sequence[tuple[SeenRun, RowFile, PreparedComparison]],
    numbers: dict[str | None, int | None],
    reasons: Sequence[str | None],
) -> pa.Table:
    """Rows of `comparisons`, without `seq` and `combination`; `reasons` are of each."""
    columns: dict[str, list[Any]] = {
        "run_number": [seen.number for seen, _, _ in new],
        "file": [file.path.name for _, file, _ in new],
        "prompt_text": [numbers[one.prompt] for _, _, one in new],
        "conversation_text": [numbers[one.conversation] for _, _, one in new],
        "a_text": [numbers[one.response_a] for _, _, one in new],
        "b_text": [numbers[one.response_b] for _, _, one in new],
        "reasons_text": [numbers[text] for text in reasons],
    }
    return _build_table(columns, _COMPARISON_SCHEMA, [one for _, _, one in new])


def build_answers(new: Sequence[tuple[SeenRun, RowFile, PreparedAnswer]]) -> pa.Table:
    """Rows of `answers`."""
    columns: dict[str, list[Any]] = {
        "run_number": [seen.number for seen, _, _ in new],
        "file": [file.path.name for _, file, _ in new],
        "epoch": [file.epoch for _, file, _ in new],
    }
    return _build_table(columns, _ANSWER_SCHEMA, [one for _, _, one in new])


def _build_table(
    columns: dict[str, list[Any]], schema: pa.Schema, prepared: Sequence[object]
) -> pa.Table:
    """The columns, and those that the prepared records have under their names."""
    for name in schema.names:
        if name not in columns:
            columns[name] = [getattr(one, name) for one in prepared]
    return pa.table(columns, schema=schema)
