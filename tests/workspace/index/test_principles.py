"""Counts by principle are those of the rounds themselves, and the draw is always the same."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.reviews import review_critique
from cai_core.evaluation.metrics import compute_clustered_rate
from cai_core.jobs.principle_study import load_principle_study
from cai_core.records import AccessRole, Actor, CritiqueVerdict, Finding
from cai_core.workspace.index.views import RoundFilter, RoundView
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import (
    CONSTITUTION,
    make_chain,
    make_run,
    read_all,
    write_rows,
)

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
NAME = CONSTITUTION.name
FINDINGS = (Finding.FOUND, Finding.NOT_TOUCHED, Finding.UNPARSED, Finding.FOUND, Finding.FOUND)


@pytest.fixture
def many(workspace: Path) -> Path:
    """Three runs: prompts that come again, a direct run, another version, another constitution."""
    first = make_run(workspace / "runs", "a")
    for n in range(12):
        found = FINDINGS[n % 4 :] + FINDINGS[: n % 4]
        texts = [f"{n}: revision {k}." if (n + k) % 3 else "Take flour." for k in (1, 2, 3)]
        rows = make_chain(
            first, f"p#{n}", rounds=3, prompt=f"Question {n % 5}?", findings=found, revisions=texts
        )
        write_rows(first, rows)
    second = make_run(workspace / "runs", "b", critique=False)
    write_rows(second, make_chain(second, critique=False, prompt="Question 1?"))
    third = make_run(workspace / "runs", "c")
    write_rows(third, make_chain(third, constitution_hash="v2", rounds=4))
    other = make_run(workspace / "runs", "d", constitution="another")
    write_rows(other, make_chain(other))
    return workspace


def count(rounds: list[RoundView]) -> dict[str, Any]:
    """By hand: principle → outcome → (prompt, yes)."""
    told: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    for one in rounds:
        here = told[one.principle]
        here["drawn"].append(one.key)
        if one.finding is not None:
            for finding in Finding:
                here[finding.value].append((one.prompt, one.finding is finding))
        if one.changed is not None:
            here["changed"].append((one.prompt, one.changed))
    return told


@pytest.mark.parametrize("every", [False, True])
def test_counts_and_intervals_are_those_of_the_rounds(
    many: Path, open_index: Opener, every: bool
) -> None:
    index = open_index()
    asked = RoundFilter(constitution=NAME, constitution_hash="" if every else CONSTITUTION.hash)
    told = count(read_all(index, asked))
    study = load_principle_study(index, CONSTITUTION, all_versions=every)
    assert {effect.principle for effect in study.effects if effect.drawn} == told.keys()
    assert study.rounds == sum(len(here["drawn"]) for here in told.values())
    assert study.rounds == 3 * 12 + 2 + 4 * every
    for effect in study.effects:
        here = told.get(effect.principle, {})
        assert effect.drawn == len(here.get("drawn", ()))
        for name in ("found", "not_touched", "unparsed", "changed"):
            wanted, rate = compute_clustered_rate(here.get(name, ())), getattr(effect, name)
            assert (rate is None) == (wanted is None)
            if rate is not None and wanted is not None:
                assert (rate.rate, rate.n, rate.clusters) == (
                    wanted.rate, wanted.n, wanted.clusters
                )  # fmt: skip
                assert (rate.low, rate.high) == pytest.approx((wanted.low, wanted.high))
    direct = {effect.principle: effect.direct for effect in study.effects}
    assert direct == {"p0": 0, "p1": 1, "p2": 1, "p3": 0, "p4": 0}
    p1 = next(effect for effect in study.effects if effect.principle == "p1")
    assert p1.found is not None
    # Prompts come again: what they count for is less than their number.
    assert p1.found.n == 12 + every and p1.found.clusters == 5 + every


def test_principles_stand_in_the_texts_order_and_never_drawn_ones_are_there(
    many: Path, open_index: Opener
) -> None:
    index = open_index()
    study = load_principle_study(index, CONSTITUTION)
    assert [effect.principle for effect in study.effects] == ["p0", "p1", "p2", "p3", "p4"]
    assert [effect.drawn for effect in study.effects] == [0, 13, 13, 12, 0]
    assert study.effects[0].found is None
    gone = make_chain(run := make_run(many / "runs", "e"), rounds=1, constitution_hash="v3")
    write_rows(run, [row for row in gone if row.kind.value == "response"])
    index.ingest()
    assert load_principle_study(index, CONSTITUTION, all_versions=True).effects[0].drawn == 0


def test_reviews_count_for_the_principle_of_their_critique(many: Path, open_index: Opener) -> None:
    index = open_index()
    rounds = read_all(index, RoundFilter(constitution=NAME, run="a"))
    other = read_all(index, RoundFilter(run="d"))[0]
    for one in (*rounds[:4], other):
        verdict = CritiqueVerdict.WRONG if one.principle == "p3" else CritiqueVerdict.RIGHT
        where = {"chain": one.chain, "run": one.run, "round": one.round}
        review_critique(ADA, many, **where, verdict=verdict)
    index.ingest()
    study = load_principle_study(index, CONSTITUTION)
    assert study.reviews.n == 4
    by_name = {effect.principle: effect.reviews for effect in study.effects}
    assert by_name["p3"].counts[CritiqueVerdict.WRONG] == by_name["p3"].n > 0
    assert sum(reviews.n for reviews in by_name.values()) == 4
    assert by_name["p0"].right is None


def test_the_draw_is_the_same_again_and_a_new_row_hardly_changes_it(
    many: Path, open_index: Opener
) -> None:
    index = open_index()

    def draw(limit: int) -> list[tuple[str, int]]:
        names = ["p1", "p2", "p3", "'; drop table rounds; --", "\ud800"]
        found = index.sample_rounds(NAME, CONSTITUTION.hash, names, limit=limit)
        return [(one.chain, one.round) for one in found]

    everything, five = draw(100), draw(5)
    assert len(everything) == 12 * 3 + 2
    assert len(five) == 15
    assert draw(5) == five
    assert set(five) <= set(everything)
    run = make_run(many / "runs", "f")
    write_rows(run, make_chain(run, "p#99", rounds=3))
    index.ingest()
    assert len(set(draw(5)) - set(five)) <= 3
    index.close()
    index = open_index(fresh=True)
    assert set(draw(100)) > set(everything)


def test_a_drawn_round_holds_what_was_revised_and_what_came_of_it(
    many: Path, open_index: Opener
) -> None:
    index = open_index()
    found = index.sample_rounds(NAME, CONSTITUTION.hash, ["p1", "p2", "p3"], limit=100)
    chains = {one.chain: index.get_chain(one.chain) for one in found}
    for one in found:
        chain = chains[one.chain]
        assert chain is not None
        texts = [step.text for step in chain.steps if step.kind.value != "critique"]
        assert (one.before, one.after) == (texts[one.round - 1], texts[one.round])
        assert one.changed is (one.before != one.after)
        assert one.prompt == chain.conversation[-1].content
        assert one.constitution_hash == CONSTITUTION.hash


def test_an_empty_workspace_has_nothing(open_index: Opener) -> None:
    index = open_index()
    found = index.count_principles(NAME)
    assert (found.counts, found.reviews) == ({}, ())
    assert index.sample_rounds(NAME, "", ["p1"], limit=3) == ()
    study = load_principle_study(index, CONSTITUTION)
    assert (study.rounds, study.unnamed, len(study.effects)) == (0, 0, 5)
