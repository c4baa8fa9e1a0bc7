"""What pictures show is what the listed rows say, one by one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.actions.reviews import review_critique
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.evaluation.principle_effect import compute_summed_rate, compute_words_changed
from cai_core.records import LOCAL_ACTOR, CritiqueVerdict, Finding, Verdict
from cai_core.workspace.index import finding, texts
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.measuring import measure_distance, parse_category
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.index.views import RoundFilter, RoundView
from tests.label_workspace import write_labels
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import make_chain, make_run, read_all, write_rows
from tests.workspace.index.test_comparisons import make_label

some_words = st.lists(st.sampled_from(["a", "b", "c,", "世界"]), max_size=12).map(" ".join)
FINDINGS = (Finding.FOUND, Finding.NOT_TOUCHED, Finding.UNPARSED)
FILTERS = [
    RoundFilter(),
    RoundFilter(finding="found"),
    RoundFilter(kind="red-team", principle="p1"),
    RoundFilter(text="critique 2"),
    RoundFilter(round="2"),
    RoundFilter(category="fraud"),
    RoundFilter(text="nowhere"),
]


@pytest.fixture
def index(workspace: Path, open_index: Opener) -> WorkspaceIndex:
    """Chains of two and three rounds, whose rows come in two parts; one run without critiques."""
    run, direct = make_run(workspace / "runs"), make_run(workspace / "runs", "r2", critique=False)
    for n in range(9):
        rows = make_chain(
            run,
            f"p#{n}",
            rounds=2 + n % 2,
            prompt=f"Question {n % 4}?",
            kind=("red-team", "helpful")[n % 2],
            findings=FINDINGS[n % 3 :] + FINDINGS[: n % 3],
            tags=["split:train", f"harm:{('fraud', 'theft')[n % 2]}"] if n % 3 else ["harm", 5],
        )
        write_rows(run, rows[: 1 + n % 5])
        write_rows(run, rows[1 + n % 5 :])
    write_rows(direct, make_chain(direct, "p#1", critique=False))
    return open_index()


def rate(sums: OutcomeSums) -> Rate | None:
    return compute_summed_rate(
        n=sums.n,
        clusters=sums.prompts,
        yes=sums.yes,
        yes_squared=sums.yes_squared,
        crossed=sums.crossed,
        n_squared=sums.n_squared,
    )


@pytest.mark.parametrize("asked", FILTERS)
def test_pictures_of_rounds_are_sums_of_the_list(index: WorkspaceIndex, asked: RoundFilter) -> None:
    listed = read_all(index, asked)
    told = index.picture_rounds(asked)
    assert told.total == len(listed) and not told.is_partial
    outcomes = defaultdict(list)
    for one in listed:
        if one.finding is not None:
            outcomes[one.principle].append((one.prompt, one.finding is Finding.FOUND))
    assert set(told.found) == set(outcomes)
    for name, some in outcomes.items():
        found, expected = rate(told.found[name]), compute_clustered_rate(some)
        assert found is not None and expected is not None
        assert asdict(found) == pytest.approx(asdict(expected))
    befores, afters, distances = (defaultdict(list) for _ in range(3))
    for one in listed:
        before, after = _find_texts(index, one)
        befores[one.round].append(len(before.split()))
        afters[one.round].append(len(after.split()))
        distances[one.round].append(compute_words_changed(before, after))
    for means in told.rounds:
        for mean, expected in (
            (means.before, befores),
            (means.after, afters),
            (means.distance, distances),
        ):
            some = expected[means.round]
            assert mean is not None and mean.n == len(some)
            assert mean.mean == pytest.approx(sum(some) / len(some), abs=6e-4)
    assert [means.round for means in told.rounds] == sorted(befores)


def test_harm_is_told_by_category_and_round(index: WorkspaceIndex) -> None:
    told = index.picture_rounds(RoundFilter())
    assert set(told.harm) == {"fraud", "theft"}
    for category, rounds in told.harm.items():
        for number, sums in rounds.items():
            asked = RoundFilter(category=category, round=str(number))
            listed = [one for one in read_all(index, asked) if one.finding is not None]
            assert sums.n == len(listed)
            assert sums.yes == sum(one.finding is Finding.FOUND for one in listed)


def test_verdicts_of_people_are_told_in_order(index: WorkspaceIndex, workspace: Path) -> None:
    assert index.picture_rounds(RoundFilter()).verdicts == ()
    listed = [one for one in read_all(index) if one.finding is not None]
    given_ = [CritiqueVerdict.RIGHT] * 14 + [CritiqueVerdict.WRONG] * 3
    for one, verdict in zip(listed, given_, strict=False):
        place = {"chain": one.chain, "run": one.run, "round": one.round}
        review_critique(LOCAL_ACTOR, workspace, **place, verdict=verdict, reason="So I think.")
    index.ingest()
    told = index.picture_rounds(RoundFilter()).verdicts
    assert sum(sum(one.counts.values()) for one in told) == len(given_) and 1 < len(told) <= 12
    assert told[0].counts == {"right": 2} and told[-1].counts == {"wrong": 1}
    assert [one.at for one in told] == sorted(one.at for one in told)
    some = index.picture_rounds(RoundFilter(review="wrong")).verdicts
    assert [one.counts for one in some] == [{"wrong": 1}] * 3


def test_too_many_texts_are_told(index: WorkspaceIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = RoundFilter(text='"critique 2"')
    monkeypatch.setattr(texts, "MOST_CHECKED", 1)
    whole = index.picture_rounds(asked)
    assert whole.total == len(read_all(index, asked)) and not whole.is_partial
    monkeypatch.setattr(finding, "_MOST_SETTLED", 2)
    assert index.picture_rounds(asked).is_partial


def test_pictures_of_comparisons_are_sums_of_the_list(workspace: Path, open_index: Opener) -> None:
    labels = [
        make_label(
            n,
            principle_ids=("p1", "p2") if n % 3 else ("p2",),
            verdict=(Verdict.A, Verdict.B, Verdict.TIE)[n % 3],
            prob_a=(0.9, 0.1, 0.5)[n % 3],
            position_bias=(0.0, 0.4, None)[n % 3],
        )
        for n in range(12)
    ]
    write_labels(workspace, "labels", labels)
    index = open_index()
    for asked in (ComparisonFilter(), ComparisonFilter(verdict="A"), ComparisonFilter(text="No 4")):
        told = index.picture_comparisons(asked)
        listed = index.list_comparisons(asked, limit=50).comparisons
        assert told.total == len(listed) > 0
        for name, verdicts in told.verdicts.items():
            mine = [one.verdict for one in listed if name in one.principles]
            assert verdicts == {str(v): mine.count(v) for v in set(mine)}
        for name, sums in told.longer.items():
            mine = [one.traits for one in listed if name in one.principles]
            assert sums.yes == sum("longer" in traits for traits in mine)
            assert sums.n == sum("longer" in t or "shorter" in t for t in mine)
        assert sum(told.confidence) == sum(one.prob_a is not None for one in listed)
        for number, count in enumerate(told.biases):
            asked_bin = ComparisonFilter(verdict=asked.verdict, text=asked.text, bias=number)
            assert index.list_comparisons(asked_bin).total == count


@settings(max_examples=200, deadline=None)
@given(before=some_words, after=some_words)
def test_the_distance_is_the_share_of_words_changed(before: str, after: str) -> None:
    assert measure_distance(before, after) == round(1000 * compute_words_changed(before, after))


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ({"tags": ["a", "harm:fraud", "harm:theft"]}, "fraud"),
        ({"tags": ["harm"]}, ""),
        ({"tags": "harm:fraud"}, ""),
        ({"tags": [1, None]}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_category_is_the_first_tag_of_harm(
    prompt: dict[str, object] | None, category: str
) -> None:
    assert parse_category(prompt) == category


def _find_texts(index: WorkspaceIndex, one: RoundView) -> tuple[str, str]:
    chain = index.get_chain(one.chain)
    assert chain is not None
    drafts = [step.text for step in chain.steps if step.kind.value != "critique"]
    return drafts[one.round - 1], drafts[one.round]
