"""Exports of a filtered view: exactly the records that match, whatever the pages they come in."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.pipeline import matching
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.exports import ExportTally
from cai_core.pipeline.label_records import read_labels
from cai_core.pipeline.matching import read_matching_labels, read_matching_rounds
from cai_core.pipeline.round_records import read_rounds
from cai_core.records import Finding, Verdict
from cai_core.workspace.files import replace_file
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import create_run
from tests.chain_workspace import Round, Texts, write_chains
from tests.label_workspace import write_labels
from tests.training.labels import make_label


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkspaceIndex]:
    monkeypatch.setattr(matching, "_PAGE", 4)
    held = WorkspaceIndex.open(tmp_path)
    yield held
    held.close()


def make_texts(number: int) -> Texts:
    finding = Finding.FOUND if number % 2 else Finding.NOT_TOUCHED
    rounds = tuple(
        Round(revision=None if (number + k) % 5 == 4 else f"r{number}.{k}", finding=finding)
        for k in range(number % 3 + 1)
    )
    return Texts(prompt=f"Question {number}?", response=f"a{number}", rounds=rounds)


def test_every_round_that_matches_is_given_once_as_its_run_tells_it(
    index: WorkspaceIndex, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        write_chains(tmp_path, name, [make_texts(n) for n in range(11)])
    index.ingest()
    told = [one for name in ("one", "two") for one in read_rounds(tmp_path / "runs" / name)]
    for asked, holds in (
        (RoundFilter(), lambda one: one.round > 0),
        (RoundFilter(finding="found"), lambda one: one.finding is Finding.FOUND),
        (RoundFilter(run="two", text="question 7"), lambda one: one.run == "two"
            and one.conversation[-1].content == "Question 7?"),
    ):  # fmt: skip
        tally = ExportTally()
        found = list(read_matching_rounds(index, asked, tally))
        key = lambda one: (one.run, one.chain, one.round)  # noqa: E731
        assert sorted(found, key=key) == sorted(filter(holds, told), key=key)
        assert found and not tally.left_out


def test_every_label_that_matches_is_given_and_what_has_none_is_counted(
    index: WorkspaceIndex, tmp_path: Path
) -> None:
    write_labels(tmp_path, "one", [make_label(n, 0.1 * (n % 10)) for n in range(23)])
    run = create_run(tmp_path / "runs" / "asks", kind="label", recipe={"a": 1})
    names = FormedComparison.__dataclass_fields__
    formed = [
        FormedComparison(
            **{n: getattr(make_label(at), n) for n in names if hasattr(make_label(at), n)}
        )
        for at in (100, 101)
    ]
    lines = [encode_record(one.as_dict()) for one in formed]
    replace_file(run.outputs / "comparisons.jsonl", lines)
    index.ingest()
    tally = ExportTally()
    found = list(read_matching_labels(index, ComparisonFilter(), tally))
    assert found[::-1] == list(read_labels(tmp_path / "runs" / "one"))
    assert tally.left_out == Counter({"no label yet": 2})
    assert tally.runs == Counter({"one": 23})
    some = list(read_matching_labels(index, ComparisonFilter(verdict="B"), ExportTally()))
    assert {one.verdict for one in some} == {Verdict.B} and len(some) > 4


def test_a_run_that_goes_meanwhile_is_counted_as_gone(
    index: WorkspaceIndex, tmp_path: Path
) -> None:
    write_chains(tmp_path, "one", [make_texts(n) for n in range(6)])
    write_labels(tmp_path, "two", [make_label(n) for n in range(6)])
    index.ingest()
    rounds, labels = ExportTally(), ExportTally()
    some = read_matching_rounds(index, RoundFilter(), rounds)
    others = read_matching_labels(index, ComparisonFilter(), labels)
    first, second = next(some), next(others)
    shutil.rmtree(tmp_path / "runs")
    taken = [first, *some], [second, *others]
    assert len(taken[0]) == 4 and len(taken[1]) == 4
    assert rounds.left_out == Counter({"no longer there": 8})
    assert labels.left_out == Counter({"no longer there": 2})
