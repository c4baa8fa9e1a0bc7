"""The list of rounds: every filter changes an outcome, counts add up, pages miss nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.records import LOCAL_ACTOR, Finding, StepKind
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.index import facets, finding
from cai_core.workspace.index.views import FACETS, RoundFilter, RoundView
from cai_core.workspace.rows import Row
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import (
    make_chain,
    make_run,
    make_workspace,
    read_all,
    write_rows,
)


@pytest.fixture
def varied(workspace: Path, tmp_path: Path) -> Path:
    """Runs that differ in every field that a filter asks for; returns the recordings."""
    first = make_run(workspace / "runs", "a", constitution="kind")
    write_rows(first, make_chain(first, "p#1", rounds=3) + make_chain(first, "p#2", kind="helpful"))
    second = make_run(workspace / "runs", "b", critique=False)
    other = {"model_id": "other", "constitution_hash": "v2"}
    write_rows(second, make_chain(second, critique=False, prompt="Where is my zebra?", **other))
    recorded = make_run(tmp_path / "recordings", "c")
    write_rows(recorded, make_chain(recorded, rounds=1))
    chain = make_chain(first, "p#2")[0].row_id
    fields = {"chain": chain, "run": "a", "saved": True}
    append_event(workspace, Topic.REVIEWS, LOCAL_ACTOR, "mark chain", fields)
    return tmp_path / "recordings"


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 8),
        ({"constitution": "kind"}, 5),
        ({"constitution": "unknown"}, 0),
        ({"constitution_hash": "v2"}, 2),
        ({"principle": "p3"}, 1),
        ({"run": "b"}, 2),
        ({"model": "other"}, 2),
        ({"finding": "found"}, 3),
        ({"finding": "unparsed"}, 1),
        ({"finding": "direct"}, 2),
        ({"kind": "helpful"}, 2),
        ({"mark": "saved"}, 2),
        ({"mark": "flagged"}, 0),
        ({"mark": "'; drop table rounds; --"}, 0),
        ({"text": "zebra"}, 2),
        ({"recorded": False}, 7),
        ({"run": "a", "finding": "found", "principle": "p1"}, 2),
        ({"run": "a", "model": "other"}, 0),
    ],
)
def test_each_filter_changes_the_outcome(
    varied: Path, open_index: Opener, asked: dict[str, object], count: int
) -> None:
    index = open_index(recordings=varied)
    wanted = RoundFilter(**asked)  # type: ignore[arg-type]
    assert len(read_all(index, wanted)) == count
    page = index.list_rounds(wanted)
    assert (page.total, page.total_is_least) == (count, False)
    assert index.list_rounds(wanted, facets=False).total == count
    assert index.list_rounds(wanted, facets=False).facets == {}


def _value(round_: RoundView, field: str) -> str:
    if field == "finding":
        return round_.finding.value if round_.finding else "direct"
    return str(getattr(round_, field))


@pytest.mark.parametrize("asked", [{}, {"run": "a"}, {"run": "a", "finding": "found"}])
def test_facets_count_with_every_filter_but_their_own(
    varied: Path, open_index: Opener, asked: dict[str, str]
) -> None:
    index = open_index(recordings=varied)
    facets = index.list_rounds(RoundFilter(**asked)).facets
    assert tuple(facets) == FACETS
    for field in FACETS:
        others = {name: value for name, value in asked.items() if name != field}
        rounds = read_all(index, RoundFilter(**others))
        values = [_value(round_, field) for round_ in rounds]
        expected = {value: values.count(value) for value in values}
        assert dict(facets[field]) == expected, field
        counts = [count for _, count in facets[field]]
        assert counts == sorted(counts, reverse=True)


def test_many_values_are_cut_but_the_chosen_one_stays() -> None:
    found = [(f"run-{n:04}", 1000 - n) for n in range(500)]
    ranked = facets.rank(found, ["run-0499"])
    assert len(ranked) == facets.MOST_VALUES + 1
    assert ranked[0] == ("run-0000", 1000)
    assert ranked[-1] == ("run-0499", 501)


def test_newest_first(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace, runs=2, chains=2)
    rounds = read_all(open_index())
    order = [(round_.run, round_.prompt, round_.round) for round_ in rounds]
    assert order == [
        (run, question, k)
        for run in ("run-1", "run-0")
        for question in ("Question 1?", "Question 0?")
        for k in (2, 1)
    ]


def test_counting_stops_at_a_most(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace, runs=2, chains=2)
    index = open_index()
    monkeypatch.setattr(finding, "MOST_COUNTED", 8)
    page = index.list_rounds(RoundFilter())
    assert (page.total, page.total_is_least) == (8, False)
    monkeypatch.setattr(finding, "MOST_COUNTED", 7)
    page = index.list_rounds(RoundFilter())
    assert (page.total, page.total_is_least) == (7, True)


@pytest.mark.parametrize("limit", [1, 3, 24, 25])
def test_paging_shows_each_round_once(workspace: Path, open_index: Opener, limit: int) -> None:
    make_workspace(workspace)
    rounds = read_all(open_index(), limit=limit)
    assert len(rounds) == len({(round_.chain, round_.round) for round_ in rounds}) == 24
    assert len({round_.key for round_ in rounds}) == 24


def test_paging_shows_each_round_once_while_rows_are_added(
    workspace: Path, open_index: Opener
) -> None:
    runs = make_workspace(workspace)
    index = open_index()
    there = {(round_.chain, round_.round) for round_ in read_all(index)}
    older, shown, after = runs[0], [], None
    for number in range(100):
        page = index.list_rounds(RoundFilter(), after=after, limit=2)
        shown += [(round_.chain, round_.round) for round_ in page.rounds]
        if (after := page.next_key) is None:
            break
        new = make_run(workspace / "runs", f"new-{number}")
        write_rows(new, make_chain(new))
        write_rows(older, make_chain(older, f"late#{number}"))
        index.ingest()
    assert after is None
    assert len(shown) == len(set(shown))
    assert there <= set(shown)


def _pack(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "ü",
        "a\ud800",
        "A" * 10_000,
        _pack(None),
        _pack([1, 2]),
        _pack(["a", "b", "c"]),
        _pack(["a", "b", 2**70]),
        _pack(["a", "b", True]),
        _pack(["a", "b", -1]),
        _pack(["\ud800", "b", 1]),  # would be after all there is, were it a key
    ],
)
def test_a_made_up_key_gives_the_first_page(workspace: Path, open_index: Opener, key: str) -> None:
    make_workspace(workspace, runs=1)
    index = open_index()
    first = index.list_rounds(RoundFilter(), limit=2)
    assert index.list_rounds(RoundFilter(), after=key, limit=2) == first


@given(st.text())
def test_no_key_raises(key: str) -> None:
    parsed = finding.parse_key(key)
    assert parsed is None or len(parsed) == 3


def test_what_a_round_shows(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    same = ["Take flour.", "Take water."]
    write_rows(run, make_chain(run, revisions=same), state=RunState.SUCCEEDED)
    second, first = read_all(open_index())
    assert (first.round, second.round) == (1, 2)
    # Round 1 repeats the response (white space around a text is not part of it), round 2 does not.
    assert (first.changed, second.changed) == (False, True)
    assert (first.finding, second.finding) == (Finding.FOUND, Finding.NOT_TOUCHED)
    assert (first.prompt, first.kind, first.model) == ("How do I bake bread?", "red-team", "m")
    assert (first.constitution, first.principle, first.recorded) == ("manners", "p1", False)
    assert (first.critique, first.revision) == ("p#1: critique 1.", "Take flour.")
    assert first.marks.saved is False


def test_a_critique_without_its_revision_is_a_round_already(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run)
    index = open_index()
    with RunWriter(run) as writer:
        writer.append_rows("chain", [row.as_dict() for row in rows[:2]])
        index.ingest()
        (before,) = read_all(index)
        writer.append_rows("chain", [rows[2].as_dict()])
        index.ingest()
        (after,) = read_all(index)
    assert (before.revision, before.changed) == (None, None)
    assert (after.revision, after.changed) == ("p#1: revision 1.", True)
    assert before.key == after.key


def test_a_lost_critique_does_not_make_its_revision_direct(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run)
    write_rows(run, [row for row in rows if row.step != "critique-1"])
    (round_,) = read_all(open_index())
    assert round_.round == 2


def test_paper_texts_are_cut_as_the_chain_goes_on_with_them(
    workspace: Path, open_index: Opener
) -> None:
    run = make_run(workspace / "runs", kind="import")
    revision = " Flour.\n\nHuman: and then?"
    rows = make_chain(run, rounds=1, revisions=[revision], template_version="paper/1")
    write_rows(run, rows)
    index = open_index()
    (round_,) = read_all(index)
    assert round_.revision == "Flour."
    chain = index.get_chain(round_.chain)
    assert chain is not None
    assert (chain.steps[2].text, chain.steps[2].raw) == ("Flour.", revision)


def test_a_chain_whole(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    rows = make_chain(run)
    long = Row(**{**rows[4].as_dict(), "kind": StepKind.REVISION, "finish_reason": "length"})
    write_rows(run, [*rows[:4], long], state=RunState.SUCCEEDED)
    index = open_index()
    chain = index.get_chain(rows[0].row_id)
    assert chain is not None
    assert [step.row_id for step in chain.steps] == [row.row_id for row in rows]
    assert [step.index for step in chain.steps] == [0, 1, 2, 3, 4]
    assert [step.cut_short for step in chain.steps] == [False] * 4 + [True]
    assert chain.steps[1].record == json.loads(json.dumps(rows[1].as_dict()))
    assert (chain.steps[0].raw, chain.steps[0].text) == (" Take flour.\n", "Take flour.")
    assert (chain.run, chain.run_kind, chain.run_state) == ("r1", "revise", "succeeded")
    assert chain.conversation[-1].content == "How do I bake bread?"
    assert (chain.kind, chain.tags, chain.prompt_id) == ("red-team", ("t",), "p#1")
    assert chain.principle_texts["p1"] == "Be kind in way 1."
    assert chain.recipe == run.recipe
    chain.recipe.clear()  # a page's own copy
    again = index.get_chain(rows[0].row_id)
    assert again is not None and again.recipe == run.recipe
    assert index.get_chain("unknown") is None
    assert index.get_chain(rows[1].row_id) is None


def test_runs_newest_first_and_waiting_ones_before_them(
    workspace: Path, open_index: Opener
) -> None:
    make_workspace(workspace, runs=2)
    make_run(workspace / "runs", "waits")
    make_run(workspace / "runs", "training", kind="sft")
    index = open_index()
    assert [run.run for run in index.list_runs(10)] == ["waits", "training", "run-1", "run-0"]
    assert [run.run for run in index.list_runs(3)] == ["waits", "training", "run-1"]
    waits, _, newest, _ = index.list_runs(10)
    assert (waits.started_at, waits.rows, waits.model) == ("", 0, "demo")
    assert (newest.rows, newest.model, newest.constitution) == (12, "m", "manners")


def test_a_revision_is_objected_to_when_its_text_was(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    found, fine = Finding.FOUND, Finding.NOT_TOUCHED
    chains = [
        # Kept as it was, though the prompt is a red-team one: the first answer is held back.
        ("red-team", ["Take a saw.", "No."], [fine, fine], [True, False]),
        ("helpful", ["Take a saw.", "No."], [fine, fine], [False, False]),
        # What the second critique finds is in the first revision.
        ("helpful", ["Bad.", "Good."], [found, found], [True, False]),
        ("unknown", ["Fine.", "Take a saw."], [found, fine], [False, True]),
    ]
    for n, (kind, revisions, findings, _) in enumerate(chains):
        rows = make_chain(
            run, f"p#{n}", response="Take a saw.", kind=kind, revisions=revisions, findings=findings
        )
        write_rows(run, rows)
    index = open_index()
    index.ingest()
    told: dict[str, list[bool]] = {}
    for round_ in reversed(read_all(index)):
        told.setdefault(round_.chain, []).append(round_.objected)
    assert list(told.values()) == [expected for *_, expected in chains]
