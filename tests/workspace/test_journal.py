"""The one append function and the one reader: what was acknowledged is there, exactly."""

from __future__ import annotations

import errno
import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.errors import WorkspaceError
from cai_core.workspace import files
from cai_core.workspace.journal import (
    append_records,
    chain_head,
    encode_record,
    parse_line,
    read_journal,
    verify_chain,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))
RECORDS = st.lists(st.fixed_dictionaries({"text": ANY_TEXT, "n": st.integers()}), max_size=6)


@given(text=ANY_TEXT)
@settings(max_examples=300)
def test_every_text_round_trips(text: str) -> None:
    raw = encode_record({"text": text, text: 1.5})
    assert raw.count(b"\n") == 1
    assert parse_line(raw).record == {"text": text, text: 1.5}


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "שלום \u202e abc",
        "👩‍👩‍👧 🏳️‍🌈",
        "\ud800",
        "\ud83d\ude00",
        "\u2028\u2029\x85\r",
        "x" * 2**20,
    ],
    ids=["nul", "rtl", "emoji", "lone", "split pair", "separators", "1 MB"],
)
def test_hostile_texts_round_trip_through_a_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"text": text}], chained=True)
    append_records(path, [{"text": text + text}], chained=True)
    assert [r["text"] for r in read_journal(path).records] == [text, text + text]
    assert verify_chain(path) == []


def test_ordinary_files_are_utf8_for_other_tools(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"text": "שלום 👩‍👩‍👧 \ud800"}])
    assert json.loads(path.read_text("utf-8").splitlines()[1])["text"].startswith("שלום")


@given(batches=st.lists(RECORDS, max_size=4))
@settings(max_examples=30, deadline=None)
def test_appends_add_up(tmp_path_factory: pytest.TempPathFactory, batches: list) -> None:
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    for batch in batches:
        assert append_records(path, batch, header={"what": "test"}) == path.stat().st_size
    read = read_journal(path)
    assert read.records == [record for batch in batches for record in batch]
    assert read.header == ({"format": 1, "what": "test"} if batches else None)
    assert (read.pending, read.damaged) == (0, [])


@given(cut=st.integers(0, 400), chained=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_file_cut_anywhere_loses_only_its_end(
    tmp_path_factory: pytest.TempPathFactory, cut: int, chained: bool
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    records = [{"n": n, "text": "é👩" * n} for n in range(6)]
    append_records(path, records, chained=chained)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])

    kept = [_bare(r) for r in read_journal(path).records]
    assert kept == records[: len(kept)]
    append_records(path, [{"n": 99}], chained=chained)
    after = read_journal(path)
    found = [_bare(r) for r in after.records]
    assert found[-1] == {"n": 99}
    # At most the cut line is lost; it may come whole when only its newline was missing.
    assert found[:-1] in (kept, records[: len(kept) + 1])
    assert len(after.damaged) <= 1
    assert after.pending == 0


def test_half_a_line_at_the_end_is_not_read_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": 1}])
    with path.open("ab") as file:
        file.write(b'{"n": 2')
    before = path.read_bytes()
    read = read_journal(path)
    assert [r["n"] for r in read.records] == [1]
    assert read.pending == 7
    assert path.read_bytes() == before


def test_damage_in_the_middle_is_quarantined_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": n} for n in range(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\xff\xfe garbage\n"
    path.write_bytes(b"".join([*lines, b"[1, 2]\n"]))
    read = read_journal(path)
    assert [r["n"] for r in read.records] == [0, 2]
    assert [line.number for line in read.damaged] == [3, 5]
    assert "not a JSON object" in str(read.damaged[1].damage)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"format": 2}\n{"n": 1}\n')
    with pytest.raises(WorkspaceError, match="format 2; this version reads 1"):
        read_journal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_cannot_say_is_refused_and_writes_nothing(tmp_path: Path, value: object) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": 1}])
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match="cannot be written as JSON"):
        append_records(path, [{"n": 2}, {"n": value}])
    assert path.read_bytes() == before


def test_the_last_record_is_found_behind_a_huge_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"text": "x" * 700_000}], chained=True)
    with path.open("ab") as file:
        file.write(b"y" * 200_000)  # a crash's half line, longer than the first block
    append_records(path, [{"n": 1}], chained=True)
    assert len(read_journal(path).records) == 2
    assert [p.split(": ")[1][:8] for p in verify_chain(path)] == ["not JSON"]


def test_four_processes_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_many, args=(path, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    records = read_journal(path).records
    assert sorted((r["worker"], r["n"]) for r in records) == [
        (worker, n) for worker in range(4) for n in range(25)
    ]
    assert verify_chain(path) == []


def append_many(path: Path, worker: int) -> None:
    for n in range(25):
        append_records(path, [{"worker": worker, "n": n}], chained=True)


TAMPERING = {
    "edit": lambda lines: [lines[0], lines[1].replace(b'"n":0', b'"n":7'), *lines[2:]],
    "delete": lambda lines: [*lines[:2], *lines[3:]],
    "reorder": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "insert": lambda lines: [*lines[:2], b'{"n":5,"prev":"0","hash":"0"}\n', *lines[2:]],
    "cut": lambda lines: lines[:-1],
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_found(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": n} for n in range(4)], chained=True)
    head = chain_head(path)
    assert verify_chain(path, exported_head=head) == []
    append_records(path, [], chained=True)
    assert verify_chain(path, exported_head=head) == []
    path.write_bytes(b"".join(TAMPERING[kind](path.read_bytes().splitlines(keepends=True))))
    assert verify_chain(path, exported_head=head)


def test_a_rewritten_chain_is_found_by_its_exported_head(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": 1}, {"n": 2}], chained=True)
    head = chain_head(path)
    path.unlink()
    append_records(path, [{"n": 1}, {"n": 3}], chained=True)
    assert verify_chain(path) == []
    assert "exported head" in verify_chain(path, exported_head=head)[0]


def test_a_chain_is_not_continued_unchained(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append_records(path, [{"n": 1}], chained=True)
    with pytest.raises(WorkspaceError, match="hash-chained"):
        append_records(path, [{"n": 2}])
    with pytest.raises(WorkspaceError, match="belong to the chain"):
        append_records(path, [{"hash": "mine"}], chained=True)


@pytest.mark.parametrize("fault", ["_write", "_write half", "_fsync"])
def test_failing_the_nth_call_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    for nth in range(8):
        path = tmp_path / f"{fault}-{nth}.jsonl"
        acknowledged, told = [], []
        with monkeypatch.context() as patch:
            fail_nth(patch, fault, nth)
            for n in range(6):
                try:
                    append_records(path, [{"n": n}], chained=True)
                except WorkspaceError as error:
                    told.append(str(error))
                else:
                    acknowledged.append(n)
        assert all("No space left" in message for message in told)
        assert len(told) <= 1
        append_records(path, [{"n": 6}], chained=True)
        read = read_journal(path)
        found = [r["n"] for r in read.records]
        assert set(acknowledged) <= set(found), (nth, acknowledged, found)
        assert len(found) == len(set(found))
        assert [p for p in verify_chain(path) if "not JSON" not in p] == []


@pytest.mark.parametrize("fault", ["_fsync", "_rename"])
def test_a_replaced_file_is_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = tmp_path / "status.json"
    files.replace_file(path, [b"old"])
    for nth in range(3):
        with monkeypatch.context() as patch:
            fail_nth(patch, fault, nth)
            try:
                files.replace_file(path, [b"new", b"er"])
            except WorkspaceError:
                assert path.read_bytes() in (b"old", b"newer")
        assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
    assert path.read_bytes() == b"newer"


def fail_nth(patch: pytest.MonkeyPatch, fault: str, nth: int) -> None:
    """Make the nth call fail with a full disk; `half` writes some bytes first."""
    name, _, half = fault.partition(" ")
    real, calls = getattr(files, name), iter(range(1000))

    def failing(*args):
        if next(calls) != nth:
            return real(*args)
        if half:
            real(args[0], args[1][: len(args[1]) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(files, name, failing)


def _bare(record: dict) -> dict:
    return {key: value for key, value in record.items() if key not in ("prev", "hash")}
