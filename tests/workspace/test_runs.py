"""Run folders: frozen recipe, one writer, epochs, and a status that does not lie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cai_core.errors import RunMismatchError, WorkspaceError
from cai_core.workspace import files
from cai_core.workspace.files import check_disk
from cai_core.workspace.journal import read_journal
from cai_core.workspace.runs import create_run, diff_recipes, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.workspace.rows_of import make_row

RECIPE = {"model": "demo", "chain": {"revisions": 4, "seed": 7, "principles": ["a", "b"]}}


def test_creating_twice_opens_the_same_run(tmp_path: Path) -> None:
    first = create_run(tmp_path / "r", kind="revise", recipe=RECIPE, parents=["p"])
    again = create_run(tmp_path / "r", kind="revise", recipe=dict(reversed(RECIPE.items())))
    assert (again.run_id, again.kind, again.parents) == ("r", "revise", ("p",))
    assert first.recipe == again.recipe == RECIPE
    assert first.status().state is RunState.QUEUED


def test_a_different_recipe_shows_the_keys_that_differ(tmp_path: Path) -> None:
    create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    other = {"chain": {**RECIPE["chain"], "revisions": 2}, "model": "demo", "limit": 5}
    with pytest.raises(RunMismatchError) as caught:
        create_run(tmp_path / "r", kind="revise", recipe=other)
    assert "chain.revisions: 4 in the folder, 2 asked" in str(caught.value)
    assert "limit: '(not set)' in the folder, 5 asked" in str(caught.value)
    assert "seed" not in str(caught.value)
    with pytest.raises(RunMismatchError, match="kind: 'revise' in the folder, 'sft' asked"):
        open_run(tmp_path / "r", kind="sft")


def test_equal_recipes_do_not_differ() -> None:
    assert diff_recipes(RECIPE, json.loads(json.dumps(RECIPE))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "broken"),
        ("- 1", "not exactly"),
        ("{format: 1, run_id: r, kind: k, parents: [], recipe: {}, more: 1}", "more"),
        ("{format: 9, run_id: r, kind: k, parents: [], recipe: {}}", "format 9"),
    ],
)
def test_a_broken_recipe_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(WorkspaceError, match=message):
        open_run(tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"thesis\.tex"):
        create_run(tmp_path, kind="revise", recipe=RECIPE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_second_writer_is_refused_by_pid_and_may_come_after(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    holder = hold_in_another_process(run.path)
    try:
        with pytest.raises(WorkspaceError, match=f"pid {holder.pid}"), RunWriter(run):
            pass
        assert run.status().state is RunState.RUNNING
    finally:
        holder.kill()
        holder.wait()
    status = run.status()
    assert status.state is RunState.INTERRUPTED
    assert str(holder.pid) in str(status.reason)
    with RunWriter(run) as writer:
        assert writer.epoch == 2
        writer.set_status(RunState.SUCCEEDED, counts={"rows_done": 3})
    assert (run.status().state, run.status().counts) == (RunState.SUCCEEDED, {"rows_done": 3})


def test_taking_over_a_hung_writer_shuts_it_out(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    with RunWriter(run) as hung:
        hung.append_rows("chain", [make_row().as_dict()])
        with RunWriter(run, takeover=True) as fresh:
            assert (hung.epoch, fresh.epoch) == (1, 2)
            for act in (
                lambda: hung.append_rows("chain", [make_row().as_dict()]),
                lambda: hung.append_metrics({"loss": 1.0}),
                lambda: hung.set_status(RunState.FAILED),
            ):
                with pytest.raises(WorkspaceError, match="taken over"):
                    act()
            sealed = read_journal(run.path / "epochs.jsonl").records[1]["sealed"]
            size = (run.path / "rows" / "chain.1.jsonl").stat().st_size
            assert sealed == {"chain.1.jsonl": size}
            fresh.set_status(RunState.SUCCEEDED)
            # The hung one leaves below: it must not touch what is not its own any more.
            hung_exit = hung
    assert hung_exit.epoch == 1
    assert run.status().state is RunState.SUCCEEDED


def test_an_exception_leaves_the_run_interrupted_with_its_reason(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    with pytest.raises(ZeroDivisionError), RunWriter(run):
        raise ZeroDivisionError("by nought")
    assert (run.status().state, run.status().reason) == (RunState.INTERRUPTED, "by nought")


def test_status_numbers_grow(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    numbers = [run.status().sequence]
    with RunWriter(run) as writer:
        for _ in range(3):
            writer.set_status(RunState.RUNNING)
            numbers.append(run.status().sequence)
    assert numbers == sorted(set(numbers))


def test_metrics_carry_the_epoch(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="sft", recipe=RECIPE)
    for loss in (2.0, 1.0):
        with RunWriter(run) as writer:
            writer.append_metrics({"loss": loss})
    found = read_journal(run.path / "metrics.jsonl").records
    assert found == [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]


def test_a_failed_rename_leaves_the_old_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    with RunWriter(run) as writer:
        monkeypatch.setattr(files, "_rename", _refuse)
        with pytest.raises(WorkspaceError, match="old file is untouched"):
            writer.set_status(RunState.FAILED)
        monkeypatch.undo()
        assert run.status().state is RunState.RUNNING


def test_too_little_room_is_told_before_the_start(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "yet", 1)
    with pytest.raises(WorkspaceError, match="Make room"):
        check_disk(tmp_path / "not" / "yet", 10**18)


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def hold_in_another_process(path: Path) -> subprocess.Popen[str]:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from cai_core.workspace.runs import open_run\n"
        "from cai_core.workspace.writer import RunWriter\n"
        "with RunWriter(open_run(Path(sys.argv[1]))):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_the_folder_one_stands_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert create_run(Path(), kind="revise", recipe=RECIPE).run_id == "here"


def test_a_damaged_takeover_loses_no_row(tmp_path: Path) -> None:
    run = create_run(tmp_path / "r", kind="revise", recipe=RECIPE)
    for number in range(3):
        with RunWriter(run) as writer:
            writer.append_rows("chain", [make_row(number).as_dict()])
    epochs = run.path / "epochs.jsonl"
    lines = epochs.read_bytes().splitlines(keepends=True)
    lines[2] = b"x" * (len(lines[2]) - 1) + b"\n"  # the one that sealed the first file
    epochs.write_bytes(b"".join(lines))
    assert [file.late_bytes for file in run.row_files("chain")] == [0, 0, 0]
    assert [file.limit is None for file in run.row_files("chain")] == [False, False, True]
