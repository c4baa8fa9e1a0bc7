"""Prompts from elsewhere: every form gives the same prompts, and bad lines are told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import ImportFormatError, PromptFileError
from cai_core.pipeline.prompt_file import MAX_LINE_BYTES, RejectedLine, load_prompts
from cai_core.pipeline.prompt_tables import COLUMNS, find_source, read_prompts
from cai_core.records import Message, Prompt, PromptKind

TEXT = st.text(st.one_of(st.sampled_from('",\n\r;é🙂\u2028'), st.characters(codec="utf-8")))
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
TURNS = [*TURNS, {"role": "user", "content": "How?"}]


def read(path: Path, **options: Any) -> tuple[list[Prompt], list[RejectedLine]]:
    found = list(read_prompts(find_source(str(path)), **options))
    prompts = [line for line in found if isinstance(line, Prompt)]
    return prompts, [line for line in found if isinstance(line, RejectedLine)]


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = path.with_suffix(".lines.json")
    lines.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    duckdb.execute(
        f"copy (select * from read_json('{lines}', format = 'newline_delimited')) to '{path}'"
        " (format parquet)"
    )
    return path


@given(texts=st.lists(TEXT.filter(lambda t: t.strip() and "\0" not in t), min_size=1, max_size=5))
def test_csv_gives_every_text_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("c") / "p.csv"
    prompts, rejected = read(write_csv(path, [["prompt"], *[[text] for text in texts]]))
    assert [prompt.text for prompt in prompts] == texts
    assert rejected == []


@pytest.mark.parametrize("column", COLUMNS)
def test_each_column_is_found_in_each_form(tmp_path: Path, column: str) -> None:
    turns = column in ("messages", "conversation")
    value: Any = TURNS if turns else "How?"
    row = {"id": "a", column: value, "kind": "red-team", "tags": ["x", "y"]}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    cell = json.dumps(value) if turns else value
    write_csv(tmp_path / "p.csv", [["id", column, "kind", "tags"], ["a", cell, "red-team", "x; y"]])
    write_parquet(tmp_path / "p.parquet", [row])
    conversation = tuple(Message(**turn) for turn in TURNS) if turns else (Message("user", "How?"),)
    for suffix, line in (("jsonl", 1), ("csv", 2), ("parquet", 1)):
        (prompt,), rejected = read(tmp_path / f"p.{suffix}")
        assert (prompt.conversation, prompt.kind) == (conversation, PromptKind.RED_TEAM)
        assert (prompt.tags, prompt.line, rejected) == (("x", "y"), line, [])
        assert prompt.prompt_id == f"a#{line}"


def test_a_prompt_file_reads_as_it_always_did(tmp_path: Path) -> None:
    lines = ['{"prompt": "a"}', "broken", "", '{"prompt": " "}', '{"prompt": 3}', "[1]"]
    lines += ['{"prompt": "x", "tags": "y"}', '{"messages": []}', '{"prompt": "x\\ud800"}']
    for name, content in (("p.jsonl", "\n".join(lines)), ("p.txt", "a\r\n\n  \nb")):
        path = tmp_path / name
        path.write_text(content)
        file = load_prompts(path)
        assert read(path) == (list(file.prompts), list(file.rejected))


def test_the_column_that_is_asked_for_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", [["prompt", "goal"], ["no", "yes"]])
    assert read(path)[0][0].text == "no"
    assert read(path, column="goal")[0][0].text == "yes"
    with pytest.raises(PromptFileError, match=r"no column 'aim'. It has prompt, goal"):
        read(path, column="aim")
    lines = tmp_path / "p.jsonl"
    lines.write_text('{"goal": "yes"}\n{"prompt": "no"}\n')
    prompts, (rejected,) = read(lines, column="goal")
    assert (prompts[0].text, rejected.line) == ("yes", 2)
    assert "needs one of goal; has prompt" in rejected.reason


def test_the_kind_that_is_given_goes_before_the_files(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", [["prompt", "kind"], ["a", "helpful"], ["b", ""]])
    assert [p.kind for p in read(path)[0]] == [PromptKind.HELPFUL, PromptKind.UNKNOWN]
    kinds = [p.kind for p in read(path, kind=PromptKind.RED_TEAM)[0]]
    assert kinds == [PromptKind.RED_TEAM] * 2


def test_rejected_rows_of_a_table_are_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('instruction,input\n"two\nlines",\nshort\n\n,\nsum,1 2\nlast,\n')
    prompts, rejected = read(path)
    assert [(p.text, p.line) for p in prompts] == [("two\nlines", 2), ("last", 8)]
    assert [line.line for line in rejected] == [4, 6, 7]
    for line, reason in zip(
        rejected, ["has 1 cells", "the prompt is empty", "has an `input`"], strict=True
    ):
        assert reason in line.reason


def test_rejected_rows_of_parquet(tmp_path: Path) -> None:
    rows = [{"text": "a", "id": 7}, {"text": None, "id": 8}, {"text": "b", "id": None}]
    prompts, (rejected,) = read(write_parquet(tmp_path / "p.parquet", rows))
    assert [p.prompt_id.split("#")[1] for p in prompts] == ["1", "3"]
    assert (prompts[0].prompt_id, rejected.line) == ("7#1", 2)
    dates = tmp_path / "d.parquet"
    duckdb.execute(f"copy (select date '2024-01-01' as prompt) to '{dates}' (format parquet)")
    assert "neither texts, numbers nor lists" in read(dates)[1][0].reason


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.csv", "a,b\nx,y\n", "none of the columns prompt, question"),
        ("p.csv", "", "none of the columns"),
        ("p.csv", "prompt,prompt\nx,y\n", "names a column twice"),
        ("p.csv", 'prompt\n"open\n', "behind line 1"),
        ("p.csv", b"prompt\n\xff\n", "UTF-8"),
        ("p.csv", f"prompt\n{'x' * (MAX_LINE_BYTES + 1)}\n", "2: a record of more than"),
        ("p.csv", "x" * (MAX_LINE_BYTES + 1), "1: a record of more than"),
        ("p.csv", 'prompt\n"' + "a line\n" * (MAX_LINE_BYTES // 6), "2: a record of more than"),
        ("p.parquet", "no parquet", "cannot be read as Parquet"),
        ("p[1].parquet", "x", "rename the file"),
        ("p.xlsx", "x", r"must end in \.jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((PromptFileError, ImportFormatError), match=told):
        read(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match="no such file"):
        find_source(str(tmp_path / "none.csv"))
    with pytest.raises(PromptFileError, match="Write the whole path"):
        find_source("~nobody-of-that-name/p.csv")


def test_a_line_that_is_too_long_is_told_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    long = json.dumps({"prompt": "x" * MAX_LINE_BYTES})
    path.write_text(f'\ufeff{{"text": "a"}}\n{long}\n{{"text": "b"}}', "utf-8")
    prompts, rejected = read(path)
    assert [(p.text, p.line) for p in prompts] == [("a", 1), ("b", 3)]
    assert [(line.line, "longer than" in line.reason) for line in rejected] == [(2, True)]
