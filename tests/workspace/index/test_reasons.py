"""Reasons of labels are found by words; an import's comparisons without a label are listed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.pipeline.import_records import ImportSettings
from cai_core.pipeline.import_run import import_files
from cai_core.workspace.files import replace_file
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.journal import encode_record
from tests.label_workspace import write_labels
from tests.workspace.index.conftest import Opener
from tests.workspace.index.test_comparisons import make_label, read_all


def find(index: WorkspaceIndex, text: str, **asked: Any) -> list[tuple[str, int]]:
    found = read_all(index, ComparisonFilter(text=text, **asked))
    return sorted((one.run, one.place) for one in found)


def write_reasoned(workspace: Path, run: str, count: int = 4) -> Path:
    """Labels of which all but the first were reasoned about, in both orders."""
    labels = [make_label(n, reasoned=n > 0) for n in range(count)]
    answers = {n: {("p1", 0): 0.9, ("p1", 1): 0.8} for n in range(count)}
    made = write_labels(workspace, run, labels, answers=answers, thought="Because of zebras.")
    path = made.path / "rows" / "label.1.jsonl"
    lines = path.read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        if '"sample":2' in line and '"order":1' in line:
            lines[at] = line.replace("zebras", "giraffes")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return made.path


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_each_reason_of_both_orders_is_found_whatever_the_batches(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("cai_core.workspace.index.batch.BATCH_ROWS", size)
    write_reasoned(workspace, "one")
    index = open_index()
    # The first label was scored alone: whatever its rows say, nobody gave reasons.
    assert find(index, "zebras") == [("one", 1), ("one", 2), ("one", 3)]
    assert find(index, "giraff") == [("one", 2)]
    assert find(index, '"because of giraffes"', verdict="A") == [("one", 2)]
    assert find(index, "giraffes zebras answer") == [("one", 2)]
    assert find(index, "giraffes", verdict="B") == []
    index.close()
    assert find(open_index(fresh=True), "giraffes") == [("one", 2)]


def test_reasons_go_with_their_run_and_damaged_answers_stop_nothing(
    workspace: Path, open_index: Opener
) -> None:
    path = write_reasoned(workspace, "one")
    write_reasoned(workspace, "two", 2)
    rows = workspace / "runs" / "two" / "rows" / "label.1.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"Because", b"\xff\xfe"))
    index = open_index()
    assert find(index, "zebras") == [("one", 1), ("one", 2), ("one", 3)]
    assert len(read_all(index)) == 6
    shutil.rmtree(path)
    index.ingest()
    assert find(index, "zebras") == []
    held = index._stores.texts.load(range(1000)).values()
    assert not any("zebra" in text for text in held)


def mixed(count: int) -> list[dict[str, Any]]:
    """Pairs of which each third has no verdict."""
    return [
        {
            "prompt": f"Question {n}?",
            "response_a": f"Yes {n}.",
            "response_b": f"No {n}.",
            **({} if n % 3 == 2 else {"verdict": "AB"[n % 2]}),
        }
        for n in range(count)
    ]


def bring_in(workspace: Path, records: list[dict[str, Any]]) -> Path:
    path = workspace.parent / "mixed.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in records), "utf-8")
    return import_files(path, workspace / "runs", ImportSettings()).folder


def tell(index: WorkspaceIndex) -> dict[str, str]:
    return {one.prompt: one.verdict or "pending" for one in read_all(index)}


WANTED = {f"Question {n}?": "pending" if n % 3 == 2 else "AB"[n % 2] for n in range(11)}


def test_a_mixed_import_lists_every_pair(workspace: Path, open_index: Opener) -> None:
    run = bring_in(workspace, mixed(11))
    index = open_index()
    assert tell(index) == WANTED
    page = index.list_comparisons(ComparisonFilter())
    assert dict(page.facets["verdict"]) == {"A": 4, "B": 4, "pending": 3}
    assert dict(page.facets["source"]) == {"human": 8}
    report = index.report()
    assert (report.comparisons, report.doubled, report.damaged) == (11, 0, 0)
    for one in read_all(index):
        whole = index.load_comparison(run.name, one.comparison)
        assert whole is not None and whole.conversation[-1].content == one.prompt
        (line,) = index.load_lines([one])
        assert line is not None and line["response_a"] == one.response_a
    index.ingest()
    assert tell(index) == WANTED
    index.close()
    assert tell(open_index(ingest=False)) == WANTED


def test_an_import_that_is_seen_half_made_ends_the_same(
    workspace: Path, open_index: Opener
) -> None:
    whole = bring_in(workspace, mixed(11))
    names = ("comparisons.jsonl", "labels.jsonl", "comparisons.json")
    kept = {name: (whole / "outputs" / name).read_bytes() for name in names}
    for name in names:
        (whole / "outputs" / name).unlink()
    index = open_index()
    assert tell(index) == {}
    for name in names:
        replace_file(whole / "outputs" / name, [kept[name]])
        index.ingest()
        told = tell(index)
        assert set(told) == set(WANTED)
        assert told == WANTED or name == "comparisons.jsonl"


def test_an_import_of_labels_alone_reads_them_once(workspace: Path, open_index: Opener) -> None:
    run = bring_in(workspace, [one for one in mixed(11) if "verdict" in one])
    index = open_index()
    assert set(tell(index).values()) == {"A", "B"}
    query = "select count(*) from files where name like 'comparisons%'"
    assert index._stores.rows.cursor().execute(query).fetchall() == [(0,)]
    # Labels that are written anew leave nothing of the old ones, and still nothing without one.
    lines = [json.loads(line) for line in (run / "outputs/labels.jsonl").read_bytes().splitlines()]
    replace_file(run / "outputs/labels.jsonl", [encode_record({**one, "verdict": "tie"})
                                                for one in lines[:5]])  # fmt: skip
    index.ingest()
    assert list(tell(index).values()) == ["tie"] * 5


def test_a_label_run_lists_no_comparison_beside_its_labels(
    workspace: Path, open_index: Opener
) -> None:
    labels = [make_label(n) for n in range(3)]
    run = write_labels(workspace, "one", labels[:2])
    other = replace(labels[2], comparison_id="later").as_dict()
    formed = {name: other[name] for name in ("comparison_id", "prompt_id", "prompt_kind", "tags",
              "conversation", "response_a", "response_b", "source_a", "source_b")}  # fmt: skip
    line = encode_record({**formed, "principles": None, "preferred": None})
    replace_file(run.outputs / "comparisons.jsonl", [line])
    assert len(read_all(open_index())) == 2
