"""Damaged files: what is refused is listed with its line and why, and every good record arrives."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import ImportFormatError
from cai_core.pipeline import import_records, import_tables, import_text
from cai_core.pipeline.import_outputs import read_rejected
from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import ImportReport, import_files
from cai_core.pipeline.label_records import read_labels
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.official import official_file
from tests.pipeline import foreign

SHAPES: dict[str, Callable[[int], foreign.Record]] = {
    "sl-chains": foreign.sl_chain,
    "sampled-answers": foreign.sampled,
    "transcripts": foreign.transcripts,
    "answer-pairs": foreign.hhh,
    "multiple-choice": foreign.choice,
    "comparisons": foreign.comparison,
    "pairs": foreign.pair,
    "rounds": foreign.answered,
}
# What damages any line of JSON, and a word of the reason.
LINES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda raw: raw[: len(raw) // 2] + b"\n", "broken JSON"),
    "no object": (lambda _: b"[1, 2]\n", "not a JSON object"),
    "a number": (lambda _: b"7\n", "not a JSON object"),
    "latin-1": (lambda raw: raw.replace(b"{", b'{"x": "caf\xe9", ', 1), "not UTF-8 at byte"),
    "utf-16": (lambda raw: raw.decode().strip().encode("utf-16-le") + b"\n", "broken JSON"),
    "deep": (lambda _: b'{"x": ' + b"[" * 99_999 + b"\n", "nested too deeply"),
    "nan": (lambda raw: raw.replace(b"{", b'{"x": NaN, ', 1), "NaN is no number"),
    "infinite": (lambda raw: raw.replace(b"{", b'{"x": -Infinity, ', 1), "-Infinity is no number"),
    "long number": (lambda _: b'{"x": ' + b"9" * 9999 + b"}\n", "digits"),
    "twice": (lambda raw: raw.replace(b"{", b'{"x": 1, "x": 2, ', 1), "names 'x' twice"),
    "two in a line": (lambda raw: raw.strip() + raw, "broken JSON"),
    "nul": (lambda _: b"\0\0\0\n", "broken JSON"),
    "other fields": (lambda _: b'{"y": 1}\n', "its fields are y"),
}


def bring_in(path: Path, tmp_path: Path, **settings: Any) -> ImportReport:
    return import_files(path, tmp_path / "runs", ImportSettings(**settings))


def told(report: ImportReport) -> list[tuple[int, str]]:
    kept = read_rejected(report.folder)
    assert len(kept) == report.rejected
    return [(one.line, one.reason) for one in kept]


@pytest.mark.parametrize("damage", LINES)
@pytest.mark.parametrize("shape", ["transcripts", "sl-chains"])
def test_a_damaged_line_is_told_and_its_neighbours_arrive(
    shape: str, damage: str, tmp_path: Path
) -> None:
    break_line, word = LINES[damage]
    lines = [foreign.line(SHAPES[shape](n)) for n in range(5)]
    lines[2] = break_line(lines[2])
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"".join(lines))
    report = bring_in(path, tmp_path)
    ((number, reason),) = told(report)
    assert (report.records, number) == (4, 3)
    assert word in reason


@pytest.mark.parametrize("shape", SHAPES)
def test_fields_of_wrong_types_are_told(shape: str, tmp_path: Path) -> None:
    base = SHAPES[shape](0)
    optional = {"comparison_dataset", "comparison_model", "label", "critique", "revision"}
    needed = sorted(base.keys() - optional - {"corrects", "incorrects"})
    wrong: list[object] = [7, None, [], {}, True, [1], {"a": []}]
    records = [{**base, name: value} for name in needed for value in wrong]
    path = foreign.write_jsonl(tmp_path / "data.jsonl", [base, *records, base])
    report = bring_in(path, tmp_path)
    lines = [line for line, _ in told(report)]
    # A comparison without a prompt is one; its empty prompt is tagged.
    fine = {
        n
        for n, one in enumerate(records, start=2)
        if shape == "comparisons" and one["prompt"] is None
    }
    if shape == "answer-pairs":
        fine = {n for n, one in enumerate(records, start=2) if one["prompt"] != base["prompt"]}
    assert set(lines) == set(range(2, len(records) + 2)) - fine
    assert report.records == 2 + len(fine)
    assert all(reason.strip() for _, reason in told(report))


@pytest.mark.parametrize("relative", ["samples/LAMDA_SLMADISON.jsonl",
    "samples/LAMDA_RLMADISON.jsonl", "../hh-rlhf-harmless-base.200.jsonl",
    "evals/438HHHEvaluations.first120.jsonl", "evals/HarmfulVsEthical.first40.jsonl"])  # fmt: skip
def test_damaged_copies_of_official_files_list_what_was_refused(
    relative: str, tmp_path: Path
) -> None:
    lines = official_file(relative).read_bytes().splitlines(keepends=True)
    draw = random.Random(relative)
    kinds = draw.sample(sorted(LINES), 6)
    places = sorted(draw.sample(range(len(lines)), 6))
    for place, kind in zip(places, kinds, strict=True):
        lines[place] = LINES[kind][0](lines[place])
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(b"".join(lines))
    report = bring_in(path, tmp_path)
    assert report.records == len(lines) - 6
    for (number, reason), place, kind in zip(told(report), places, kinds, strict=True):
        assert number == place + 1
        assert LINES[kind][1] in reason


def test_encodings_are_never_guessed_and_taken_when_named(tmp_path: Path) -> None:
    records = [{**foreign.pair(n), "chosen": f"café {n}"} for n in range(4)]
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    path = tmp_path / "data.jsonl"
    for encoding in ("utf-16", "utf-16-le", "latin-1", "utf-32"):
        path.write_bytes(text.encode(encoding))
        report = bring_in(path, tmp_path)
        assert (report.records, report.rejected >= 4) == (0, True)
        assert open_run(report.folder).status().state is RunState.FAILED
        named = bring_in(path, tmp_path, encoding=encoding)
        assert (named.records, named.rejected) == (4, 0)
        assert "café 3" in {one.response_a for one in read_labels(named.folder)} | {
            one.response_b for one in read_labels(named.folder)
        }
    path.write_bytes(text.encode("utf-16"))
    assert "--encoding utf-16" in told(bring_in(path, tmp_path))[0][1]
    path.write_bytes(text.encode("utf-8-sig"))
    assert bring_in(path, tmp_path).records == 4
    # The wrong name is told, too.
    path.write_bytes(text.encode("utf-8"))
    assert bring_in(path, tmp_path, encoding="ascii").rejected == 1


def test_a_line_that_is_too_long_is_skipped_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (import_records, import_text, import_tables):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 5000)
    records = [foreign.pair(n) for n in range(4)]
    records[1]["chosen"] = "x" * 20_000
    path = foreign.write_jsonl(tmp_path / "data.jsonl", records)
    report = bring_in(path, tmp_path)
    assert report.records == 3
    assert told(report) == [(2, "longer than 5,000 bytes; nothing is cut")]
    table = foreign.write_as(tmp_path / "data.csv", records)
    report = bring_in(table, tmp_path)
    assert [line for line, _ in told(report)] == [3]
    assert report.records == 3


def test_a_long_line_within_the_limit_is_imported(tmp_path: Path) -> None:
    records = [{**foreign.pair(), "chosen": "x" * 8_000_000}, foreign.pair(1)]
    report = bring_in(foreign.write_jsonl(tmp_path / "data.jsonl", records), tmp_path)
    assert (report.records, report.rejected) == (2, 0)


def test_a_damaged_csv_gives_its_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    head = "prompt,chosen,rejected\r\n"
    rows = [f'q{n},"good {n}",bad\r\n' for n in range(8)]
    rows[1] = "q1,too,many,cells\r\n"
    rows[3] = 'q3,"good" 3,bad\r\n'
    rows[5] = "q5\r\n"
    rows[6] = "q6,caf\xe9,bad\r\n"
    path.write_bytes((head + "".join(rows)).encode("latin-1"))
    report = bring_in(path, tmp_path)
    assert [line for line, _ in told(report)] == [3, 5, 7, 8]
    assert [one.conversation[0].content for one in read_labels(report.folder)] == [
        "q0", "q2", "q4", "q7"
    ]  # fmt: skip
    path.write_text(head + 'q0,a,b\r\nq1,"never closed,b\r\nq2,a,b\r\n', "utf-8")
    report = bring_in(path, tmp_path)
    assert report.records == 1
    ((line, reason),) = told(report)
    assert line == 3
    assert "lines 3 to 4 cannot be read: is a quote not closed?" in reason


def test_a_cut_json_list_gives_what_can_be_read(tmp_path: Path) -> None:
    records = [foreign.pair(n) for n in range(9)]
    for indent in (None, 2):
        text = json.dumps(records, indent=indent)
        path = tmp_path / "data.json"
        path.write_text(text[: text.index("Good 6")], "utf-8")
        report = bring_in(path, tmp_path)
        assert report.records == 6
        ((record, reason),) = told(report)
        assert record == 7
        assert "the JSON list is cut or damaged from here on" in reason
    path.write_text('[1, 2]\n{"prompt": "q", "chosen": "a", "rejected": "b"}\n', "utf-8")
    report = bring_in(path, tmp_path)
    assert (report.records, told(report)) == (1, [(1, "not a JSON object")])
    path.write_text(json.dumps({"data": records}, indent=1), "utf-8")
    report = bring_in(path, tmp_path)
    ((record, reason),) = told(report)
    assert (report.records, record) == (0, 0)
    assert "without a list of records" in reason


def test_a_table_with_unknown_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for head, word in (("goal,target", "no columns of a known format"), ("a,a", "names 'a' twice")):
        path.write_text(f"{head}\nx,y\n", "utf-8")
        with pytest.raises(ImportFormatError, match=word):
            bring_in(path, tmp_path)


def test_a_cut_gz_gives_what_can_be_read(tmp_path: Path) -> None:
    draw = random.Random(1)
    records = [
        {**foreign.pair(n), "chosen": "".join(draw.choices("abcdefgh", k=4000))} for n in range(60)
    ]
    whole = gzip.compress(b"".join(map(foreign.line, records)))
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    report = bring_in(path, tmp_path)
    assert 5 < report.records < 60
    ((line, reason),) = told(report)
    assert line == report.records + 1
    assert "cut or damaged from here on" in reason


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_text, "_FREE_BYTES", 1_000_000)
    good = foreign.line(foreign.pair())
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(good + b" " * 50_000_000 + b"\n" + good))
    report = bring_in(path, tmp_path)
    assert report.records == 1
    assert "unpacks to more than" in told(report)[0][1]


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_a_damaged_table_is_told(ending: str, tmp_path: Path) -> None:
    records = [foreign.pair(n) for n in range(200)]
    path = foreign.write_as(tmp_path / f"data{ending}", records)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    if ending == ".parquet":  # its footer is gone
        with pytest.raises(ImportFormatError, match="cannot be read as Parquet"):
            bring_in(path, tmp_path)
    else:
        report = bring_in(path, tmp_path)
        assert report.rejected == 1
        assert "cannot be read from here on" in told(report)[0][1]
        assert 0 < report.records < 200
    # In a folder the whole ones arrive.
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / path.name)
    foreign.write_as(folder / f"other{ending}", records)
    report = bring_in(folder, tmp_path)
    assert report.records >= 200
    assert {one.file for one in report.told} == {path.name}


def test_numbers_that_are_none_in_a_table_are_told(tmp_path: Path) -> None:
    base = {"prompt": "q", "response_a": "a", "response_b": "b"}
    values = (0.5, float("nan"), float("inf"), 0.9)
    records = [{**base, "prob_a": value} for value in values]
    report = bring_in(foreign.write_as(tmp_path / "data.parquet", records), tmp_path)
    assert [line for line, _ in told(report)] == [2, 3]
    assert report.records == 2


def test_thousands_of_refused_lines_are_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(foreign.line(foreign.pair()) + b"{}\n" * 3000)
    report = bring_in(path, tmp_path)
    assert (report.records, report.rejected, len(report.told)) == (1, 3000, 100)
    assert [line for line, _ in told(report)] == list(range(2, 3002))
    again = bring_in(path, tmp_path)
    assert (again.added, again.rejected) == (0, 3000)


def test_half_characters_are_refused_where_a_model_is_asked_and_kept_elsewhere(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.jsonl"
    half = b'{"prompt": "q", "response": "half \\ud83d"}\n'
    asked = b'{"prompt": "half \\ud83d", "response": "a"}\n'
    path.write_bytes(half + asked)
    report = bring_in(path, tmp_path)
    ((line, reason),) = told(report)
    assert line == 2
    assert "half a character" in reason
    (row,) = RowIndex(open_run(report.folder), "chain").values()
    assert row.text == "half \ud83d"


def test_a_file_that_nobody_knows_is_told_with_its_fields(tmp_path: Path) -> None:
    path = foreign.write_jsonl(tmp_path / "data.jsonl", [{"goal": "x", "target": "y"}] * 2)
    report = bring_in(path, tmp_path)
    assert (report.records, report.rejected, report.kind) == (0, 2, None)
    assert "its fields are goal, target; known are" in told(report)[0][1]
    path.write_bytes(bytes(range(256)) * 40)
    report = bring_in(path, tmp_path)
    assert report.records == 0
    assert report.rejected > 0
