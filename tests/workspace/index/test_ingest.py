"""Ingest: every line once, whatever the order and the pieces, and nothing that is not there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from cai_core.constitution import dump_constitution
from cai_core.records import LOCAL_ACTOR, Finding
from cai_core.workspace.events import Topic, append_event, get_journal_path
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.journal import append_records
from cai_core.workspace.rows import Row
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import (
    CONSTITUTION,
    make_chain,
    make_run,
    make_workspace,
    read_all,
    take_answers,
    write_rows,
)


def mark(workspace: Path, chain: str, **fields: object) -> None:
    event = {"chain": chain, "run": "r", **fields}
    append_event(workspace, Topic.REVIEWS, LOCAL_ACTOR, "mark chain", event)


def row_file(run: Run, epoch: int = 1) -> Path:
    return run.path / "rows" / f"chain.{epoch}.jsonl"


def test_ingesting_twice_changes_nothing(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace)
    index = open_index()
    before = take_answers(index)
    assert before["counts"] == (4 * 5 + 4 * 5 + 4 * 3, 12, 3, 0)
    index.ingest()
    assert take_answers(index) == before


def test_a_rebuild_gives_the_same_answers(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace)
    index = open_index()
    mark(workspace, read_all(index)[0].chain, saved=True, note="a")
    index.ingest()
    before = take_answers(index)
    index.close()
    index = open_index(fresh=True)
    assert take_answers(index) == before
    index.close()
    index = open_index(ingest=False)  # and an index that was closed and opened as well
    assert take_answers(index) == before


@pytest.mark.parametrize("backwards", [False, True])
def test_rows_line_by_line_give_the_same_as_at_once(
    workspace: Path, tmp_path: Path, open_index: Opener, backwards: bool
) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run) + make_chain(run, "p#2", rounds=3)
    index = open_index()
    with RunWriter(run) as writer:
        for row in reversed(rows) if backwards else rows:
            writer.append_rows("chain", [row.as_dict()])
            index.ingest()
        writer.set_status(RunState.SUCCEEDED)
    index.ingest()
    piecemeal = take_answers(index)
    index.close()
    assert piecemeal["counts"][0] == len(rows)
    assert take_answers(open_index(fresh=True)) == piecemeal
    by_place = [(round_.chain, round_.round) for round_ in piecemeal["rounds"]]
    if not backwards:
        chains = [row.row_id for row in rows if row.step == "response"]
        assert by_place == [(chains[1], k) for k in (3, 2, 1)] + [(chains[0], k) for k in (2, 1)]


def test_half_a_line_waits_for_its_end(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    write_rows(run, make_chain(run))
    raw = row_file(run).read_bytes()
    row_file(run).write_bytes(raw[:-40])
    index = open_index()
    assert index.report().rows == 4
    with row_file(run).open("ab") as file:
        file.write(raw[-40:])
    index.ingest()
    report = index.report()
    assert (report.rows, report.damaged) == (5, 0)


def test_damaged_lines_are_counted_and_never_guessed(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    good = make_chain(run)
    bad = [
        b"{half a row\n",
        b"[1]\n",
        json.dumps({**good[0].as_dict(), "sample": "0"}).encode() + b"\n",
        json.dumps({**good[0].as_dict(), "more": 1}).encode() + b"\n",
        json.dumps({**good[1].as_dict(), "finding": "perhaps"}).encode() + b"\n",
        json.dumps({**good[0].as_dict(), "prompt": {"conversation": [1]}}).encode() + b"\n",
        json.dumps({**good[0].as_dict(), "round": 2**40}).encode() + b"\n",
    ]
    write_rows(run, good[:2])
    with row_file(run).open("ab") as file:
        file.writelines(bad)
    with RunWriter(run) as writer:
        writer.append_rows("chain", [row.as_dict() for row in good])
    index = open_index()
    report = index.report()
    assert (report.rows, report.damaged, report.doubled) == (5, len(bad), 2)


def test_late_bytes_are_ignored_and_counted(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run)
    write_rows(run, rows[:2])
    index = open_index()
    write_rows(run, rows[2:3])
    index.ingest()
    size = row_file(run).stat().st_size
    append_records(row_file(run), [row.as_dict() for row in rows[3:]])
    late = row_file(run).stat().st_size - size
    index.ingest()
    report = index.report()
    assert (report.rows, report.late_bytes, report.doubled) == (3, late, 0)


def test_rows_read_before_the_seal_that_excludes_them_go_again(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run)
    write_rows(run, rows[:2])
    sealed = row_file(run).stat().st_size
    # A hung worker's bytes arrive, are read, and only then the takeover becomes visible.
    late = [row.as_dict() | {"text": "late"} for row in rows[2:]]
    append_records(row_file(run), late)
    index = open_index()
    assert index.report().rows == 5
    epoch = {"epoch": 2, "pid": 1, "at": "2030", "sealed": {row_file(run).name: sealed}}
    append_records(run.path / "epochs.jsonl", [epoch])
    append_records(row_file(run, 2), [row.as_dict() for row in rows[2:]])
    index.ingest()
    assert index.report().rows == 5
    assert "late" not in {round_.revision for round_ in read_all(index)}
    before = take_answers(index)
    index.close()
    assert take_answers(open_index(fresh=True)) == before


def test_a_file_that_was_cut_or_replaced_is_read_again(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    write_rows(run, make_chain(run) + make_chain(run, "p#2"))
    index = open_index()
    lines = row_file(run).read_bytes().splitlines(keepends=True)
    row_file(run).write_bytes(b"".join(lines[:6]))
    index.ingest()
    assert index.report().rows == 5
    aside = row_file(run).with_name(".aside")
    aside.write_bytes(b"".join(lines[:1] + lines[6:] + lines[1:6]))
    aside.replace(row_file(run))
    index.ingest()
    assert index.report().rows == 10
    assert index.report().doubled == 0


def test_a_deleted_run_disappears_with_its_texts(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace, runs=2)
    lone = make_run(workspace / "runs", "lone")
    write_rows(lone, make_chain(lone, response="Only here: zebra."))
    index = open_index()
    before = index.report()
    found = index.list_rounds(RoundFilter(text="zebra")).rounds
    assert {round_.run for round_ in found} == {"lone"}
    shutil.rmtree(lone.path)
    index.ingest()
    report = index.report()
    assert (report.runs, report.rows) == (before.runs - 1, before.rows - 5)
    assert "lone" not in dict(index.list_rounds(RoundFilter()).facets["run"])
    assert index.get_chain(found[0].chain) is None
    # The texts themselves are gone from the search file; what other runs share is kept.
    assert b"zebra" not in _read_texts(workspace)
    assert b"Take flour." in _read_texts(workspace)
    assert index.list_rounds(RoundFilter(text="Take flour")).total == 16


def _read_texts(workspace: Path) -> bytes:
    from cai_core.workspace.index.texts import TextStore

    store = TextStore.open(workspace / "search.sqlite")
    try:
        return "\n".join(store.load(range(1000)).values()).encode()
    finally:
        store.close()


def test_a_run_made_anew_under_its_name_is_another(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    write_rows(run, make_chain(run, response="old"))
    index = open_index()
    shutil.rmtree(run.path)
    run = make_run(workspace / "runs", limit=3)
    write_rows(run, make_chain(run, rounds=1, response="new"))
    index.ingest()
    assert index.report().rows == 3
    assert index.list_rounds(RoundFilter(text="new")).total == 1
    assert index.list_rounds(RoundFilter(text="old")).total == 0


def test_a_half_made_folder_is_tried_again(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    write_rows(run, make_chain(run))
    (run.path / "recipe.yaml").rename(run.path / "later")
    index = open_index()
    assert index.report().runs == 0
    (run.path / "recipe.yaml").write_text("format: [")
    index.ingest()
    assert index.report().runs == 0
    os.replace(run.path / "later", run.path / "recipe.yaml")  # noqa: PTH105
    index.ingest()
    assert index.report().rows == 5


def test_one_bad_folder_does_not_hold_up_the_others(workspace: Path, open_index: Opener) -> None:
    newer, fine = make_run(workspace / "runs", "a"), make_run(workspace / "runs", "b")
    write_rows(newer, make_chain(newer))
    write_rows(fine, make_chain(fine))
    row_file(newer).write_bytes(b'{"format":9}\n' + row_file(newer).read_bytes())
    index = open_index()
    report = index.report()
    assert report.rows == 5
    assert "format 9" in report.problems[0]


def test_the_same_run_in_two_folders_counts_once(
    workspace: Path, tmp_path: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs", "mine")
    write_rows(run, make_chain(run))
    shutil.copytree(run.path, workspace / "runs" / "a-copy")
    shutil.copytree(run.path, tmp_path / "recordings" / "mine")
    index = open_index(recordings=tmp_path / "recordings")
    assert (index.report().rows, index.report().doubled) == (5, 0)
    assert not any(round_.recorded for round_ in read_all(index))
    shutil.rmtree(run.path)
    shutil.rmtree(workspace / "runs" / "a-copy")
    index.ingest()
    assert [round_.recorded for round_ in read_all(index)] == [True, True]


def test_states_are_fresh_and_do_not_lie(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    index = open_index()

    def state() -> tuple[str, str | None]:
        index.ingest()
        (view,) = index.list_runs(10)
        return view.state, view.reason

    assert state() == ("queued", None)
    with RunWriter(run) as writer:
        assert state() == ("running", None)
        writer.append_rows("chain", [make_chain(run)[0].as_dict()])
    status = json.loads((run.path / "status.json").read_text())
    assert state()[0] == "interrupted"
    # What a kill -9 leaves: the status says running, and nobody holds the lock.
    (run.path / "status.json").write_text(json.dumps(status | {"state": "running"}))
    assert state()[0] == "interrupted"
    assert "resume" in str(state()[1])
    write_rows(run, [], state=RunState.SUCCEEDED)
    assert state() == ("succeeded", None)


def test_a_worker_that_dies_is_seen_without_any_change_of_files(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs")
    writer = RunWriter(run).__enter__()
    index = open_index()
    assert index.list_runs(1)[0].state == "running"
    os.close(writer._lock)  # as the kernel does for a process that was killed
    index.ingest()
    assert index.list_runs(1)[0].state == "interrupted"


def test_reviews_fold_into_marks(workspace: Path, open_index: Opener) -> None:
    (run,) = make_workspace(workspace, runs=1, chains=2)
    index = open_index()
    first, second = sorted({round_.chain for round_ in read_all(index)})
    mark(workspace, first, saved=True)
    mark(workspace, first, note="one \ud800 note")
    mark(workspace, second, flagged=True, saved=True)
    index.ingest()
    mark(workspace, second, saved=False)
    mark(workspace, first, note="two")
    mark(workspace, "no such chain", saved=True)
    append_event(workspace, Topic.LAUNCHES, LOCAL_ACTOR, "start chain", {"run": run.run_id})
    index.ingest()
    chain = index.get_chain(first)
    assert chain is not None
    assert (chain.marks.saved, chain.marks.flagged) == (True, False)
    assert [note["text"] for note in chain.marks.notes] == ["one \ud800 note", "two"]
    assert all(note["actor"] == "local" and note["at"] for note in chain.marks.notes)
    assert index.count_marked() == {"saved": 1, "flagged": 1, "noted": 1, "unmarked": 0}
    assert index.list_rounds(RoundFilter(mark="flagged")).rounds[0].marks.flagged
    events = index.list_events(3)
    assert [event["topic"] for event in events] == ["launches", "reviews", "reviews"]
    assert events[1]["chain"] == "no such chain"
    assert index.report().events == 7


def test_a_journal_that_was_replaced_is_read_again(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace, runs=1, chains=1)
    index = open_index()
    chain = read_all(index)[0].chain
    mark(workspace, chain, saved=True)
    mark(workspace, chain, note="kept?")
    index.ingest()
    path = get_journal_path(workspace, Topic.REVIEWS)
    path.unlink()
    index.ingest()
    assert index.count_marked() == {"saved": 0, "flagged": 0, "noted": 0, "unmarked": 1}
    mark(workspace, chain, flagged=True)
    index.ingest()
    assert index.count_marked() == {"saved": 0, "flagged": 1, "noted": 0, "unmarked": 0}
    assert index.report().events == 1


def test_hostile_texts_come_back_exactly(workspace: Path, open_index: Opener) -> None:
    texts = [
        "a\0b",
        "\ud83d alone",
        "\ud83d\ude00 split",
        "😀 whole",
        "x" * 1_000_000,
        "שלום\u202e",
    ]
    run = make_run(workspace / "runs", critique=False)
    rows: list[Row] = []
    for n, text in enumerate(texts):
        rows += make_chain(run, f"p#{n}", critique=False, rounds=1, prompt=text, revisions=[text])
    write_rows(run, rows)
    rounds = read_all(open_index())
    assert [round_.revision for round_ in rounds] == texts[::-1]
    assert [round_.prompt for round_ in rounds] == texts[::-1]


def test_an_error_row_ends_a_chain_and_is_shown_in_it(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run, rounds=2)
    failed = Row(**{**rows[4].as_dict(), "text": None, "error": "too long", "error_kind": "E"})
    write_rows(run, [*rows[:4], failed])
    index = open_index()
    second, first = read_all(index)
    assert (second.revision, second.changed) == (None, None)
    assert (first.revision, first.finding) == ("p#1: revision 1.", Finding.FOUND)
    chain = index.get_chain(first.chain)
    assert chain is not None
    assert (chain.steps[4].error, chain.steps[4].text) == ("too long", "")


def test_a_run_without_a_name_takes_that_of_the_constitution_it_kept(
    workspace: Path, open_index: Opener
) -> None:
    run = create_run(workspace / "runs" / "i", kind="import", recipe={"source": "samples"})
    write_rows(run, make_chain(run), state=RunState.SUCCEEDED)
    index = open_index()
    assert {round_.constitution for round_ in read_all(index)} == {""}
    assert index.list_rounds(RoundFilter()).facets["constitution"] == ()
    kept = run.outputs / "constitution.yaml"
    kept.write_text(dump_constitution(CONSTITUTION), "utf-8")
    index.ingest()
    assert {round_.constitution for round_ in read_all(index)} == {"manners"}
    assert (index.list_runs(1)[0].constitution, index.list_runs(1)[0].model) == ("manners", "m")


def test_an_imported_critique_has_no_finding_and_is_not_direct(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs", kind="import")
    rows = [Row(**{**row.as_dict(), "finding": None}) for row in make_chain(run, rounds=1)]
    write_rows(run, rows)
    index = open_index()
    (round_,) = read_all(index)
    assert (round_.finding, round_.critique) == (None, "p#1: critique 1.")
    assert index.list_rounds(RoundFilter(finding="direct")).total == 0
    assert index.list_rounds(RoundFilter()).facets["finding"] == ()


def test_rows_of_other_kinds_of_run_are_no_chains(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs", kind="sft")
    write_rows(run, make_chain(run))
    index = open_index()
    assert (index.report().rows, index.report().runs) == (0, 1)
    assert read_all(index) == []
