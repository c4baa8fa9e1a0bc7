"""Two runs side by side: aligned by prompt and sample, counted, paged; labels mirrored."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.errors import CaiError
from cai_core.records import Finding, StepKind, Verdict
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.side_views import SideFilter, SidePage, SidePair
from cai_core.workspace.rows import Row
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from tests.label_workspace import write_labels
from tests.training.labels import flip, make_label
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, write_rows

NONE, FOUND = Finding.NOT_TOUCHED, Finding.FOUND
ASKED = SideFilter(left="left", right="right")


def chain(
    run: Run,
    number: int,
    sample: int = 0,
    *,
    said: str = "",
    found: Finding = FOUND,
    **changes: object,
) -> list[Row]:
    """One chain of one round; its prompt's id differs from run to run, as in two prompt files."""
    return make_chain(
        run,
        f"{run.run_id}-p#{number}",
        prompt=f"Question {number}?",
        response=f"Answer {number}/{sample}.",
        kind=("red-team", "helpful")[number % 2],
        rounds=1,
        findings=(found,),
        critiques=(f"Critique {number}.",),
        revisions=(f"Revision {number}/{sample}.{said}",),
        sample=sample,
        **changes,
    )


def write_two(workspace: Path) -> None:
    """Six prompts, two samples each; written in two orders; on the right some differ or lack."""
    left, right = (make_run(workspace / "runs", name) for name in ("left", "right"))
    rows = [row for n in range(6) for s in (0, 1) for row in chain(left, n, s)]
    write_rows(left, rows, state=RunState.SUCCEEDED)
    others = [
        chain(right, n, s, said=" Indeed." if n == 0 else "", found=NONE if n == 1 else FOUND)
        for n in (*range(5), 7)
        for s in (0, 1)
        if (n, s) != (4, 0)
    ]
    random.Random(3).shuffle(others)
    write_rows(right, [row for rows in others for row in rows], state=RunState.SUCCEEDED)


@pytest.fixture
def index(workspace: Path, open_index: Opener) -> WorkspaceIndex:
    write_two(workspace)
    return open_index()


def read_pages(index: WorkspaceIndex, asked: SideFilter, limit: int) -> list[SidePair]:
    pairs: list[SidePair] = []
    after = None
    while True:
        page = index.compare_runs(asked, after=after, limit=limit)
        pairs += page.pairs
        if page.next_key is None:
            return pairs
        after = page.next_key


def texts(pair: SidePair) -> list[tuple[str | None, ...]]:
    sides = (pair.left_chain, pair.right_chain)
    return [tuple(step.text for step in side.steps) if side else () for side in sides]


def counts(page: SidePage) -> tuple[int, ...]:
    return tuple(page.counts[name] for name in ("same", "differ", "left", "right"))


def test_chains_meet_by_prompt_and_sample_whatever_the_order(index: WorkspaceIndex) -> None:
    page = index.compare_runs(ASKED, limit=100)
    assert (page.holds, page.by, page.on, page.shared) == ("chains", "prompt", "final", 9)
    assert counts(page) == (7, 2, 3, 2)
    assert page.total == len(page.pairs) == 14
    for pair in page.pairs:
        left, right = texts(pair)
        if left and right:
            assert left[0] == right[0]  # the sample stands in the response
            assert pair.differs["final"] == (left[-1] != right[-1])
    assert [bool(texts(pair)[0]) for pair in page.pairs] == [True] * 12 + [False] * 2
    assert {pair.prompt for pair in page.pairs if not texts(pair)[0]} == {"Question 7?"}
    step = page.pairs[0].left_chain.steps[1]  # type: ignore[union-attr]
    assert (step.kind, step.round, step.finding) == (StepKind.CRITIQUE, 1, FOUND)


def test_what_counts_as_a_difference_is_told(index: WorkspaceIndex) -> None:
    by_finding = index.compare_runs(replace(ASKED, on="findings", show="differ"))
    assert {pair.prompt for pair in by_finding.pairs} == {"Question 1?"}
    assert counts(by_finding) == (7, 2, 3, 2)
    assert dict(by_finding.changes) == {("1 of 1", "0 of 1"): 2}
    everything = index.compare_runs(replace(ASKED, on="findings"))
    assert dict(everything.changes) == {("1 of 1", "1 of 1"): 7, ("1 of 1", "0 of 1"): 2}
    moved = index.compare_runs(replace(ASKED, change="1 of 1 > 0 of 1"))
    assert [pair.prompt for pair in moved.pairs] == ["Question 1?"] * 2
    assert counts(index.compare_runs(replace(ASKED, on="response"))) == (9, 0, 3, 2)
    # Nine pairs of five prompts, two of which, of one prompt, differ.
    sums = index.compare_runs(ASKED).sums
    assert (sums.n, sums.prompts, sums.yes, sums.yes_squared, sums.crossed) == (9, 5, 2, 4, 4)


def test_filters_and_pages_add_up(index: WorkspaceIndex) -> None:
    whole = index.compare_runs(ASKED, limit=100)
    for limit in (1, 4, 14):
        assert read_pages(index, ASKED, limit) == list(whole.pairs)
    for show, expected in zip(("same", "differ", "left", "right"), counts(whole), strict=True):
        asked = replace(ASKED, show=show)
        assert len(read_pages(index, asked, 2)) == expected
        assert index.compare_runs(asked).total == expected
    helpful = index.compare_runs(replace(ASKED, kind="helpful"))
    assert dict(whole.kinds) == dict(helpful.kinds) == {"red-team": 6, "helpful": 8}
    assert sum(counts(helpful)) == 8
    found = index.compare_runs(replace(ASKED, text='"indeed." revision'), limit=100)
    assert {pair.prompt for pair in found.pairs} == {"Question 0?"}
    assert not index.compare_runs(replace(ASKED, text="nowhere")).pairs
    assert index.compare_runs(ASKED, after="made up").pairs == index.compare_runs(ASKED).pairs
    assert not index.compare_runs(replace(ASKED, change="no > such"), limit=3).pairs


def test_exchanging_the_sides_mirrors_everything(index: WorkspaceIndex) -> None:
    there = index.compare_runs(ASKED, limit=100)
    back = index.compare_runs(SideFilter(left="right", right="left"), limit=100)
    assert counts(back) == tuple(counts(there)[at] for at in (0, 1, 3, 2))
    assert sorted(map(repr, map(texts, back.pairs))) == sorted(
        repr(texts(pair)[::-1]) for pair in there.pairs
    )
    assert back.left == there.right


def test_new_rows_are_there_at_the_next_look(index: WorkspaceIndex, workspace: Path) -> None:
    assert index.compare_runs(ASKED).shared == 9
    run = Run(
        workspace / "runs" / "right",
        {"run_id": "right", "kind": "revise", "parents": [], "recipe": {}},
    )
    write_rows(run, chain(run, 4, 0))
    index.ingest()
    assert index.compare_runs(ASKED).shared == 10


def test_a_chain_that_met_an_error_stands_with_what_it_has(
    workspace: Path, open_index: Opener
) -> None:
    for name in ("left", "right"):
        run = make_run(workspace / "runs", name)
        rows = chain(run, 1)
        if name == "right":
            rows[2] = replace(rows[2], text=None, error="it broke", error_kind="X")
        write_rows(run, rows)
    (pair,) = open_index().compare_runs(ASKED).pairs
    assert pair.differs == {"final": True, "findings": False, "response": False}
    assert texts(pair)[1] == ("Answer 1/0.", "Critique 1.", None)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ("left", "left", "on both sides"),
        ("left", "gone", "gone: no run of that name"),
        ("left", "labels", "left holds chains, labels holds labels"),
    ],
)
def test_what_cannot_be_compared_says_why(
    workspace: Path, open_index: Opener, left: str, right: str, words: str
) -> None:
    write_two(workspace)
    write_labels(workspace, "labels", [make_label(1)])
    index = open_index()
    holds = {run.run: (run.holds, run.count) for run in index.list_side_runs()}
    assert holds == {"left": ("chains", 12), "right": ("chains", 11), "labels": ("labels", 1)}
    with pytest.raises(CaiError, match=words):
        index.compare_runs(SideFilter(left=left, right=right))


def compare_labels(
    workspace: Path, open_index: Opener, right: Sequence[object], **asked: str
) -> SidePage:
    left = [make_label(n, prob) for n, prob in enumerate((0.9, 0.2, 0.5, None))]
    answers = {0: {("p0", 0): 0.95, ("p0", 1): 0.15}}
    left[0] = replace(left[0], principle_ids=("p0",))
    write_labels(workspace, "left", left, answers=answers, thought="I think so.\nVerdict: A")
    write_labels(workspace, "right", right)  # type: ignore[arg-type]
    return open_index().compare_runs(replace(ASKED, **asked))


def test_labels_of_the_same_responses_meet_and_exchanged_ones_are_mirrored(
    workspace: Path, open_index: Opener
) -> None:
    right = [
        replace(flip(make_label(2, 0.5)), comparison_id="x2"),
        replace(flip(make_label(0, 0.9)), comparison_id="x0"),
        make_label(1, 0.9),
        make_label(9, 0.9),
    ]
    page = compare_labels(workspace, open_index, right)
    assert (page.holds, page.by, page.on, page.shared) == ("labels", "comparison", "label", 3)
    assert counts(page) == (2, 1, 1, 1)
    first, second = page.pairs[:2]
    assert first.mirrored and not second.mirrored
    assert first.left_label and first.right_label
    assert (first.left_label.verdict, first.right_label.verdict) == (Verdict.A, Verdict.B)
    assert first.differs == {"label": False, "confidence": False}
    assert second.differs == {"label": True, "confidence": True}
    assert dict(page.changes)[("B", "A")] == 1
    assert [row.order for row in first.left_label.answers] == [0, 1]
    assert first.left_label.answers[0].text == "I think so.\nVerdict: A"
    assert page.left.makers[0].role == "feedback"
    assert page.left.recipe["feedback_model"] == "judge"


def test_labels_of_other_responses_meet_by_prompt(workspace: Path, open_index: Opener) -> None:
    right = [make_label(n, 0.9, response_a="Another answer.") for n in (1, 0)]
    page = compare_labels(workspace, open_index, right)
    assert (page.by, page.shared) == ("prompt", 2)
    assert counts(page) == (1, 1, 2, 0)
    assert not any(pair.mirrored for pair in page.pairs)


@pytest.mark.parametrize(("by", "shared"), [("", 1), ("comparison", 1), ("prompt", 2)])
def test_how_labels_meet_can_be_chosen(
    workspace: Path, open_index: Opener, by: str, shared: int
) -> None:
    right = [make_label(0, 0.85), make_label(1, 0.2, response_a="Another answer.")]
    page = compare_labels(workspace, open_index, right, by=by, on="confidence")
    assert (page.by, page.shared, page.counts["differ"]) == (by or "comparison", shared, 0)
