"""Rows: ids that nothing else has, seeds that know no order, an index that doubles nothing."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.records import Finding
from cai_core.workspace import rows
from cai_core.workspace.journal import append_records
from cai_core.workspace.rows import RowIndex, build_row_id, build_seed, parse_row
from cai_core.workspace.runs import create_run
from cai_core.workspace.writer import RunWriter
from tests.workspace.rows_of import make_row

PLACES = st.fixed_dictionaries(
    {
        "run_id": st.text(max_size=4),
        "prompt_id": st.text(max_size=6),
        "sample": st.integers(0, 12),
        "step": st.sampled_from(["response", "critique-1", "critique-11", "revision-1"]),
        "order": st.integers(0, 1),
        "cot": st.integers(0, 2),
    }
)


@given(first=PLACES, second=PLACES)
def test_two_rows_share_an_id_only_when_they_are_the_same(first: dict, second: dict) -> None:
    assert (build_row_id(**first) == build_row_id(**second)) == (first == second)


@given(run_seed=st.integers(0, 2**63 - 1), prompt_id=st.text(), sample=st.integers(0))
def test_a_seed_fits_and_depends_on_each_part(run_seed: int, prompt_id: str, sample: int) -> None:
    parts = {"run_seed": run_seed, "prompt_id": prompt_id, "sample": sample, "step": "response"}
    seed = build_seed(**parts)
    assert 0 <= seed < 2**63
    assert seed == build_seed(**parts)
    for changed in (
        {"run_seed": run_seed + 1},
        {"prompt_id": prompt_id + "x"},
        {"sample": sample + 1},
        {"step": "revision-1"},
    ):
        assert seed != build_seed(**{**parts, **changed})


@given(
    text=st.text(st.characters(exclude_categories=())), finding=st.sampled_from([None, *Finding])
)
def test_parse_is_the_inverse_of_as_dict(text: str, finding: Finding | None) -> None:
    row = make_row(text=text, finding=finding)
    assert parse_row(row.as_dict()) == row


@pytest.mark.parametrize(
    "change", [{"colour": "red"}, {"kind": "poem"}, {"finding": "maybe"}, {"row_id": None}]
)
def test_a_strange_record_is_no_row(change: dict) -> None:
    record = {**make_row().as_dict(), **change}
    if change.get("row_id", "") is None:
        del record["row_id"]
    with pytest.raises(ValueError, match=r"unknown|not a valid|missing"):
        parse_row(record)


def test_the_index_finds_rows_of_every_epoch_and_counts_the_rest(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", kind="test", recipe={"n": 1})
    first, second = make_row(), make_row(prompt_id="p#2", text="\ud800 👩")
    with RunWriter(run) as writer:
        writer.append_rows("chain", [first.as_dict()])
    with RunWriter(run) as writer:
        doubled = replace(first, text="another text under the same id")
        writer.append_rows("chain", [doubled.as_dict(), second.as_dict(), {"no": "row"}])
    index = RowIndex(run, "chain")
    assert dict(index) == {first.row_id: first, second.row_id: second}
    assert (index.doubled, index.damaged, index.late_bytes) == (1, 1, 0)
    assert len(RowIndex(run, "other")) == 0


def test_late_rows_of_an_older_epoch_do_not_count(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", kind="test", recipe={"n": 1})
    with RunWriter(run) as writer:
        writer.append_rows("chain", [make_row().as_dict()])
    with RunWriter(run):
        # The old worker wakes up and writes into its own file, and into one never sealed.
        late = make_row(prompt_id="late").as_dict()
        old = run.path / "rows" / "chain.1.jsonl"
        before = old.stat().st_size
        late_bytes = append_records(old, [late]) - before
        late_bytes += append_records(run.path / "rows" / "other.1.jsonl", [late])
    assert [row.prompt_id for row in RowIndex(run, "chain").values()] == ["p#1"]
    assert sum(file.late_bytes for file in run.row_files()) == late_bytes


def test_two_ids_that_share_a_key_are_two_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_key", lambda row_id: 7)
    run = create_run(tmp_path / "run", kind="revise", recipe={})
    with RunWriter(run) as writer:
        for row_id in ("c", "a", "b", "a"):
            writer.append_rows("chain", [replace(make_row(), row_id=row_id, text=row_id).as_dict()])
    index = RowIndex(run, "chain")
    assert [row.row_id for row in index.values()] == list(index) == ["c", "a", "b"]
    assert (len(index), index.doubled) == (3, 1)
    assert [index[row_id].text for row_id in "abc"] == ["a", "b", "c"]
    assert "d" not in index and index.get("d") is None


def test_the_index_holds_few_bytes_a_row(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", kind="revise", recipe={})
    with RunWriter(run) as writer:
        many = [replace(make_row(), row_id=f"{n:032x}").as_dict() for n in range(5000)]
        writer.append_rows("chain", many)
    tracemalloc.start()
    index = RowIndex(run, "chain")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == 5000
    assert held < 5000 * 40, f"{held / 5000:.0f} bytes a row"
