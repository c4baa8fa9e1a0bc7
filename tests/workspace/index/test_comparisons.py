"""The list of comparisons: what a run forms, how it is labelled, and one comparison whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.evaluation.label_traits import ExaminedLabel, examine_labels, find_bias_bin
from cai_core.evaluation.label_traits import find_confidence_bin as find_confidence
from cai_core.pipeline.comparison_records import FormedComparison, build_comparison_id
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Message, PromptKind, Verdict
from cai_core.workspace.files import replace_file
from cai_core.workspace.index.comparison_views import (
    COMPARISON_FACETS,
    ComparisonFilter,
    ComparisonView,
)
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.prepare_labels import TRAITS
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import build_row_id
from cai_core.workspace.runs import create_run
from tests.label_workspace import write_labels
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, write_rows

FILTERED = tuple(name for name in COMPARISON_FACETS if name != "traits")


def make_label(place: int = 0, **changes: Any) -> LabelRecord:
    chain = f"p#{place}/0"
    source_a, source_b = {"run": "samples", "chain": chain}, {"run": "other", "chain": chain}
    return replace(
        LabelRecord(
            comparison_id=build_comparison_id(f"p#{place}", source_a, source_b),
            prompt_id=f"p#{place}",
            prompt_kind=PromptKind.RED_TEAM,
            tags=(),
            conversation=(Message("user", f"Question {place}?"),),
            response_a=f"Answer {place} is long enough.",
            response_b=f"No {place}.",
            source_a=source_a,
            source_b=source_b,
            prob_a=0.9,
            prob_a_clamped=0.9,
            verdict=Verdict.A,
            label_source="feedback-model",
            principle_ids=("p1",),
            prob_a_first=0.9,
            prob_a_second=0.9,
            position_bias=0.0,
            feedback_model="judge",
        ),
        **changes,
    )


def make_varied(count: int = 12) -> list[LabelRecord]:
    """Labels that differ in everything that can be filtered."""
    told: list[dict[str, Any]] = [
        {},
        {"prob_a": 0.52, "verdict": Verdict.TIE, "tags": ("split:held-out",)},
        {"prob_a": 0.1, "verdict": Verdict.B, "prob_a_first": 0.8, "prob_a_second": 0.2},
        {"prob_a": None, "prob_a_clamped": None, "verdict": Verdict.UNPARSED, "reasoned": True},
        {"label_source": "human", "feedback_model": None, "principle_ids": (), "reviewer": "Ann"},
        {"label_source": "revision", "feedback_model": None, "principle_ids": ()},
    ]
    kinds = tuple(PromptKind)
    return [
        make_label(
            n,
            **{
                "prompt_kind": kinds[n % len(kinds)],
                "principle_ids": (f"p{n % 3}", "p1"),
                "position_bias": (n % 5 - 2) / 2,
                **told[n % len(told)],
            },
        )
        for n in range(count)
    ]


def read_all(
    index: WorkspaceIndex, asked: ComparisonFilter | None = None, *, limit: int = 5
) -> list[ComparisonView]:
    found: list[ComparisonView] = []
    after = None
    while True:
        page = index.list_comparisons(asked or ComparisonFilter(), after=after, limit=limit)
        found += page.comparisons
        if (after := page.next_key) is None:
            return found


def read_answers(index: WorkspaceIndex) -> dict[str, Any]:
    """Everything that pages could see of the comparisons."""
    shown = read_all(index)
    report = index.report()
    return {
        "shown": shown,
        "facets": index.list_comparisons(ComparisonFilter()).facets,
        "whole": [index.load_comparison(one.run, one.comparison) for one in shown],
        "counts": (report.comparisons, report.damaged, report.doubled),
    }


def values_of(shown: ComparisonView, field: str) -> tuple[str, ...]:
    if field == "principle":
        return tuple(dict.fromkeys(shown.principles))
    if field == "traits":
        return shown.traits
    if field == "verdict":
        return (shown.verdict or "pending",)
    return (str(getattr(shown, field)),)


def test_ingesting_twice_changes_nothing_and_a_rebuild_gives_the_same(
    workspace: Path, open_index: Opener
) -> None:
    write_labels(workspace, "one", make_varied(), answers={0: {("p0", 0): 0.9, ("p0", 1): 0.8}})
    index = open_index()
    write_labels(workspace, "two", make_varied(5))
    index.ingest()
    before = read_answers(index)
    assert before["counts"] == (17, 0, 0)
    index.ingest()
    assert read_answers(index) == before
    index.close()
    index = open_index(fresh=True)
    assert read_answers(index) == before
    index.close()
    assert read_answers(open_index(ingest=False)) == before


@pytest.mark.parametrize("limit", [1, 4, 17, 18])
def test_paging_shows_each_comparison_once_the_newest_run_first(
    workspace: Path, open_index: Opener, limit: int
) -> None:
    write_labels(workspace, "one", make_varied())
    write_labels(workspace, "two", make_varied(5))
    shown = read_all(open_index(), limit=limit)
    runs = ["two"] * 5 + ["one"] * 12
    assert [(one.run, one.place) for one in shown] == [
        (run, place)
        for run, place in zip(runs, [*range(5)][::-1] + [*range(12)][::-1], strict=True)
    ]
    assert len({one.key for one in shown}) == 17


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_facets_are_what_counting_by_hand_gives(
    counted: WorkspaceIndex, data: st.DataObject
) -> None:
    everything = read_all(counted, limit=100)
    asked: dict[str, Any] = {}
    for name in data.draw(st.lists(st.sampled_from(FILTERED), unique=True, max_size=3)):
        values = sorted({value for one in everything for value in values_of(one, name) if value})
        asked[name] = data.draw(st.sampled_from([*values, "unknown"]))
    asked["traits"] = tuple(data.draw(st.lists(st.sampled_from(TRAITS), unique=True, max_size=2)))
    page = counted.list_comparisons(ComparisonFilter(**asked), limit=100)

    def holds(one: ComparisonView, without: str = "") -> bool:
        fields = all(
            asked[name] in values_of(one, name)
            for name in FILTERED
            if name in asked and name != without
        )
        return fields and set(asked["traits"]) <= set(one.traits)

    assert list(page.comparisons) == [one for one in everything if holds(one)]
    assert page.total == len(page.comparisons)
    for field in COMPARISON_FACETS:
        values = [v for one in everything if holds(one, field) for v in values_of(one, field) if v]
        assert dict(page.facets[field]) == {value: values.count(value) for value in values}, field


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    workspace = tmp_path_factory.mktemp("counted")
    write_labels(workspace, "one", make_varied(40))
    write_labels(workspace, "two", make_varied(11))
    index = WorkspaceIndex.open(workspace)
    index.ingest()
    yield index
    index.close()


def test_traits_and_bins_are_those_that_labels_are_examined_by(counted: WorkspaceIndex) -> None:
    examined = {one.label.comparison_id: one for one in examine_labels(make_varied(40), {})}
    shown = read_all(counted, ComparisonFilter(run="one"), limit=100)
    assert len(shown) == 40
    ours = {"reasoned"}
    for view in shown:
        one: ExaminedLabel = examined[view.comparison]
        assert set(view.traits) - ours == one.traits, view.place
        assert ("reasoned" in view.traits) == one.label.reasoned
    for name, find in (("confidence", find_confidence), ("bias", find_bias_bin)):
        for number in (0, 1, 5, 8, 10, 19):
            found = read_all(counted, ComparisonFilter(run="one", **{name: number}), limit=100)
            held = {one.label.comparison_id for one in examined.values() if find(one) == number}
            assert {view.comparison for view in found} == held, (name, number)


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"text": "question 3"}, 1),
        ({"text": "QUESTION"}, 12),
        ({"text": "nswer 1"}, 3),
        ({"text": '"no 11."'}, 1),
        ({"text": "answer nowhere"}, 0),
        ({"text": "answer", "verdict": "tie"}, 2),
        ({"constitution_hash": "unknown"}, 0),
        ({"traits": ("held-out",)}, 2),
        ({"traits": ("no such trait",)}, 0),
        ({"confidence": 3}, 0),
        ({"bias": -7}, 0),
        ({"text": "'; drop table comparisons; --"}, 0),
        ({"run": "\ud800"}, 0),
    ],
)
def test_each_filter_changes_the_outcome(
    workspace: Path, open_index: Opener, asked: dict[str, Any], count: int
) -> None:
    write_labels(workspace, "one", make_varied())
    index = open_index()
    wanted = ComparisonFilter(**asked)
    assert len(read_all(index, wanted)) == count
    assert index.list_comparisons(wanted, facets=False).total == count


def test_comparisons_are_there_before_their_labels(workspace: Path, open_index: Opener) -> None:
    labels = make_varied(4)
    run = create_run(workspace / "runs" / "asks", kind="label", recipe={"constitution": "c"})
    names = FormedComparison.__dataclass_fields__
    formed = [
        FormedComparison(**{n: getattr(label, n) for n in names if hasattr(label, n)})
        for label in labels
    ]
    formed[1] = replace(formed[1], preferred=Verdict.B)
    lines = [encode_record(one.as_dict()) for one in formed]
    replace_file(run.outputs / "comparisons.jsonl", lines)
    index = open_index()
    facets = index.list_comparisons(ComparisonFilter()).facets
    assert dict(facets["verdict"]) == {"pending": 3, "B": 1}
    assert dict(facets["source"]) == {"revision": 1}
    (first, *_) = read_all(index, ComparisonFilter(verdict="pending"))
    assert (first.verdict, first.prob_a, first.source, first.place) == (None, None, "", 3)
    replace_file(run.outputs / "labels.jsonl", [encode_record(one.as_dict()) for one in labels])
    index.ingest()
    piecemeal = read_answers(index)
    assert piecemeal["counts"] == (4, 0, 0)
    assert "pending" not in dict(piecemeal["facets"]["verdict"])
    index.close()
    assert read_answers(open_index(fresh=True)) == piecemeal


def test_labels_that_are_made_anew_replace_the_old_ones(
    workspace: Path, open_index: Opener
) -> None:
    run = write_labels(workspace, "one", make_varied(6), answers={0: {("p0", 0): 0.9}})
    index = open_index()
    index.list_comparisons(ComparisonFilter())
    changed = [replace(one, verdict=Verdict.B) for one in make_varied(3)]
    replace_file(run.outputs / "labels.jsonl", [encode_record(one.as_dict()) for one in changed])
    index.ingest()
    shown = read_all(index)
    assert [one.verdict for one in shown] == [Verdict.B] * 3
    whole = index.load_comparison("one", shown[-1].comparison)
    assert whole is not None and len(whole.answers) == 1


def test_damaged_lines_are_counted_and_keep_their_places(
    workspace: Path, open_index: Opener
) -> None:
    good = make_label(0).as_dict()
    bad: list[Any] = [
        [1],
        {**good, "conversation": []},
        {**good, "conversation": [{"role": "nobody", "content": "x"}]},
        {**good, "prompt_kind": "perhaps"},
        {**good, "verdict": "C"},
        {**good, "prob_a": 1.5},
        {**good, "prob_a": True},
        {**good, "response_a": 7},
        {**good, "tags": None},
        {**good, "label_source": "a bird"},
        {**good, "principle_ids": [1]},
        {key: value for key, value in good.items() if key != "comparison_id"},
    ]
    run = write_labels(workspace, "one", [])
    lines = [json.dumps(one).encode() + b"\n" for one in [*bad, good, good]]
    (run.outputs / "labels.jsonl").write_bytes(b"{half\n" + b"".join(lines) + b'{"comparison_id"')
    (run.path / "rows" / "label.1.jsonl").open("ab").write(b'{"kind":"label"}\n[]\n')
    index = open_index()
    report = index.report()
    assert (report.comparisons, report.damaged, report.doubled) == (1, len(bad) + 1 + 2, 1)
    (shown,) = read_all(index)
    assert shown.place == len(bad) + 1


def test_a_comparison_whole(workspace: Path, open_index: Opener) -> None:
    samples = make_run(workspace / "runs", "samples")
    write_rows(samples, make_chain(samples, "p#2"))
    labels = [replace(one, principle_ids=("p1", "p2")) for one in make_varied(3)]
    answers = {2: {("p1", 0): 0.75, ("p1", 1): 0.5, ("p2", 0): 0.25}}
    run = write_labels(workspace, "one", labels, answers=answers, thought="Because.")
    index = open_index()
    whole = index.load_comparison("one", labels[2].comparison_id)
    assert whole is not None
    assert whole.record == json.loads(json.dumps(labels[2].as_dict()))
    assert whole.view == read_all(index)[0]
    told = [(answer.principle, answer.order, answer.text) for answer in whole.answers]
    assert told == [
        ("p1", 0, "Because."),
        ("p2", 0, "Because."),
        ("p1", 1, "Because."),
    ] or told == [
        ("p1", 0, "Because."),
        ("p1", 1, "Because."),
        ("p2", 0, "Because."),
    ]
    assert whole.answers[0].record["scoring"]["probabilities"] == [0.75, 0.25]
    ids = {"prompt_id": "p#2", "sample": 0, "step": "response"}
    assert whole.chain_a == build_row_id(run_id="samples", **ids)
    assert whole.chain_b is None  # of a run that is not here
    assert whole.recipe == run.recipe and whole.run_state == "succeeded"
    assert whole.principle_texts["p1"] == "Be kind in way 1."
    assert whole.constitution_hash == run.recipe["constitution_hash"]
    assert index.load_comparison("two", labels[2].comparison_id) is None
    assert index.load_comparison("one", "\ud800") is None
    shutil.rmtree(run.path)
    assert index.load_comparison("one", labels[2].comparison_id) is None


def test_a_deleted_run_takes_its_comparisons_and_texts_along(
    workspace: Path, open_index: Opener
) -> None:
    lone = make_label(1, response_a="Only here: zebra.")
    run = write_labels(workspace, "gone", [make_label(0), lone])
    write_labels(workspace, "stays", [make_label(0)])
    index = open_index()
    assert index.list_comparisons(ComparisonFilter(text="zebra")).total == 1
    shutil.rmtree(run.path)
    index.ingest()
    assert [one.run for one in read_all(index)] == ["stays"]
    assert index.list_comparisons(ComparisonFilter(text="zebra")).total == 0
    assert index.list_comparisons(ComparisonFilter(text="answer")).total == 1
    assert dict(index.list_comparisons(ComparisonFilter()).facets["run"]) == {"stays": 1}
    assert list(index._stores.texts.load(range(1000)).values()).count("Only here: zebra.") == 0


def test_hostile_texts_come_back_exactly(workspace: Path, open_index: Opener) -> None:
    texts = ["a\0b", "\ud83d alone", "\ud83d\ude00 split", "x" * 100_000, "שלום\u202e", " \n "]
    labels = [
        make_label(n, response_a=text, response_b=text[::-1], conversation=(Message("user", text),))
        for n, text in enumerate(texts)
    ]
    write_labels(workspace, "one", labels)
    index = open_index()
    shown = read_all(index)[::-1]
    assert [one.response_a for one in shown] == texts
    assert [one.prompt for one in shown] == texts
    whole = index.load_comparison("one", shown[2].comparison)
    assert whole is not None and whole.conversation[0].content == texts[2]


def test_comparisons_are_no_chains(workspace: Path, open_index: Opener) -> None:
    write_labels(workspace, "one", make_varied(3), answers={0: {("p0", 0): 0.9}})
    index = open_index()
    assert (index.report().rows, index.list_rounds(RoundFilter()).total) == (0, 0)
    (run,) = index.list_runs(5)
    assert (run.kind, run.model) == ("label", "judge")
