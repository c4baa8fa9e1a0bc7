"""The columns of exported tables, and cells that no spreadsheet and no format bends. Pure.

A spreadsheet takes a text for a formula that begins with one of `= + - @`, a tab or a carriage
return. Such a text gets an apostrophe in front. Half characters and NUL, which tables cannot hold,
make a text's cell its JSON. The column `escaped` names both (`name`, `name:json`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ColumnType = Literal["text", "json", "texts", "number", "whole", "bool"]
_FORMULA = re.compile("[\t\r]|\\s*[=+\\-@＝＋－＠]")
_UNHELD = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        type: `json` is an object or list as JSON text, `texts` a list of texts.
        optional: where nothing and the empty text differ.
    """

    name: str
    type: ColumnType = "text"
    optional: bool = False


def _columns(names: str, **more: Any) -> list[Column]:
    return [Column(name=name, **more) for name in names.split()]


ROUND_COLUMNS: tuple[Column, ...] = (
    *_columns("run chain prompt_id prompt_kind"),
    *_columns("tags", type="texts"),
    *_columns("conversation", type="json"),
    *_columns("round", type="whole"),
    *_columns("principle_id finding", optional=True),
    *_columns("response"),
    *_columns("critique revision", optional=True),
    *_columns("model critic constitution_hash template_version"),
)
LABEL_COLUMNS: tuple[Column, ...] = (
    *_columns("comparison_id prompt_id prompt_kind"),
    *_columns("tags", type="texts"),
    *_columns("conversation", type="json"),
    *_columns("response_a response_b"),
    *_columns("source_a source_b", type="json"),
    *_columns("prob_a prob_a_clamped", type="number"),
    *_columns("verdict label_source"),
    *_columns("principle_ids", type="texts"),
    *_columns("reasoned", type="bool"),
    *_columns("prob_a_first prob_a_second position_bias", type="number"),
    *_columns("feedback_model reviewer", optional=True),
)


def escape_cells(
    record: Mapping[str, Any], columns: Sequence[Column], *, typed: bool = False
) -> list[Any]:
    """A record's cells in the order of the columns, and last which of them are escaped.

    Args:
        typed: for a table that knows types, lists and nothing (Parquet); else every cell is a text.
    """
    cells: list[Any] = []
    escaped = []
    for column in columns:
        value = record[column.name]
        if column.type == "json":
            cells.append(json.dumps(value, ensure_ascii=True))
        elif typed and column.type == "texts":
            texts, sign = _escape_texts(value)
            cells.append(texts)
            escaped += [f"{column.name}{sign}"] if sign else []
        elif isinstance(value, str):
            cell, how = _escape(value, column, typed=typed)
            cells.append(cell)
            escaped += [f"{column.name}{how}"] if how is not None else []
        else:
            cells.append(value if typed else _write(value))
    told = " ".join(escaped)
    return [*cells, (told or None) if typed else told]


def _escape(text: str, column: Column, *, typed: bool) -> tuple[str, str | None]:
    if _UNHELD.search(text):
        return json.dumps(text, ensure_ascii=True), ":json"
    if not typed and (_FORMULA.match(text) or (column.optional and not text)):
        return f"'{text}", ""
    return text, None


def _escape_texts(texts: Sequence[str]) -> tuple[list[str], str]:
    if any(_UNHELD.search(text) for text in texts):
        return [json.dumps(text, ensure_ascii=True) for text in texts], ":json"
    return list(texts), ""


def _write(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, int) else json.dumps(list(value), ensure_ascii=True)
