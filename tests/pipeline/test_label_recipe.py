"""Recipes of labels: strict, and each knob changes what is asked or what a label says."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cai_core.constitution import find_constitution
from cai_core.errors import RecipeError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.label_building import build_model_label, plan_asks
from cai_core.pipeline.label_recipe import (
    ComparisonSource,
    LabelRecipe,
    draw_principles,
    parse_label_recipe,
    resolve_label_principles,
)
from cai_core.records import (
    Message,
    Principle,
    PromptKind,
    SamplingParams,
    StepKind,
    Verdict,
)
from cai_core.workspace.rows import Row

CONSTITUTION = find_constitution("harmlessness")
IDS = [principle.id for principle in CONSTITUTION.principles]
COMPARISON = FormedComparison(
    comparison_id="c0",
    prompt_id="p",
    prompt_kind=PromptKind.RED_TEAM,
    tags=(),
    conversation=(Message("user", "How?"),),
    response_a="So.",
    response_b="No.",
    source_a={"run": "r", "chain": "p/0"},
    source_b={"run": "r", "chain": "p/1"},
)


def recipe(**changes: Any) -> LabelRecipe:
    values = {
        "sources": (ComparisonSource(run="r"),),
        "feedback_model": "demo",
        "constitution": CONSTITUTION.name,
        "constitution_hash": CONSTITUTION.hash,
        **changes,
    }
    return LabelRecipe(**values)


def plan(made: LabelRecipe, place: int = 0) -> list[Any]:
    return plan_asks(made, CONSTITUTION, COMPARISON, place=place, run_id="run")


def rows_of(made: LabelRecipe, *probs: float, mass: float = 0.9) -> list[Row]:
    """A plan's rows, which prefer the response shown first with these probabilities."""
    rows = []
    for ask, prob in zip(plan(made), probs, strict=True):
        rows.append(
            Row(
                run_id="run",
                row_id=ask.row_id,
                prompt_id="p",
                prompt_hash="h",
                constitution_hash=CONSTITUTION.hash,
                template_version="chat/1",
                kind=StepKind.LABEL,
                step=ask.step,
                index=ask.index,
                round=0,
                sample=0,
                order=ask.order,
                cot=ask.cot,
                role="feedback",
                principle_id=ask.principle.id,
                model_id="m",
                weights_hash=None,
                engine="e",
                engine_version="1",
                repeatability="exact",
                sampling={},
                seed=ask.seed,
                comparison_id="c0",
                scoring={
                    "way": "token-ids",
                    "probabilities": [prob, 1.0 - prob],
                    "logprobs": [None, None],
                    "mass": mass,
                },
            )
        )
    return rows


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reasoned": True, "thoughts": 3, "clamp": (0.2, 0.8), "orders": "first"},
        {"principles": ("no-harm", "privacy"), "principles_per_comparison": 2},
        {"clamp": None, "sampling": SamplingParams(max_tokens=9), "seed": 2**63 - 1},
        {
            "sources": (
                ComparisonSource(run="a", against="b"),
                ComparisonSource(run="c", pairs="revision", by="revision"),
                ComparisonSource(run="h", share=0.3, principles=("no-harm",)),
            )
        },
    ],
)
def test_a_recipe_reads_back_through_yaml(changes: dict[str, Any]) -> None:
    made = recipe(**changes)
    assert parse_label_recipe(made.as_dict()) == made
    assert parse_label_recipe(yaml.safe_load(yaml.safe_dump(made.as_dict()))) == made
    assert parse_label_recipe(json.loads(json.dumps(made.as_dict()))) == made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"colour": "red"}, "unknown keys colour"),
        ({"template": "poem"}, "template is 'poem'"),
        ({"orders": "second"}, "orders is 'second'"),
        ({"thoughts": 2}, "without `reasoned`"),
        ({"thoughts": 2, "reasoned": True, "sampling": {"temperature": 0}}, "all the same"),
        ({"clamp": [0.3, 0.6]}, "clamp is"),
        ({"clamp": [0.6, 0.4]}, "clamp is"),
        ({"clamp": "tight"}, "clamp is"),
        ({"principles": []}, "principles is"),
        ({"principles": ["a", "a"]}, "twice"),
        ({"tie_margin": 0.7}, "tie_margin"),
        ({"least_mass": -1}, "least_mass"),
        ({"max_unparsed": 2}, "max_unparsed"),
        ({"similarity": "high"}, "similarity"),
        ({"principles_per_comparison": 0}, "principles_per_comparison"),
        ({"seed": 2**63}, "seed"),
        ({"sampling": {"heat": 1}}, "heat"),
        ({"feedback_model": ""}, "feedback_model is empty"),
        ({"sources": []}, "every source has a share"),
        ({"sources": [{"run": "r", "share": 0.5}]}, "every source has a share"),
        ({"sources": [{"run": "r"}, {"run": "s", "share": 1.0}]}, "share is 1.0"),
        ({"sources": [{"run": "r", "pairs": "some"}]}, "pairs is 'some'"),
        ({"sources": [{"run": "r", "against": "r"}]}, "twice"),
        ({"sources": [{"run": "r", "against": "s", "pairs": "all"}]}, "beside `against`"),
        ({"sources": [{"run": "r", "by": "revision"}]}, "no revisions are compared"),
        ({"sources": [{"run": "r", "what": 1}]}, "unknown keys what"),
        ({"sources": [{"pairs": "two"}]}, "keys missing"),
        ({"sources": "r"}, "keys missing or of another kind|unknown keys"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_label_recipe({**recipe().as_dict(), **changes})


def test_principles_are_drawn_one_a_label_and_every_one_comes_up() -> None:
    def draw(made: LabelRecipe, comparison: int, place: int = 0) -> list[str]:
        drawn = draw_principles(made, CONSTITUTION, comparison_id=f"c{comparison}", place=place)
        return [principle.id for principle in drawn]

    drawn = [draw(recipe(), n)[0] for n in range(400)]
    assert set(Counter(drawn)) == set(IDS)
    assert max(Counter(drawn).values()) < 60
    # Of the comparison, not of its place; of the seed.
    assert draw(recipe(), 1, place=0) == draw(recipe(), 1, place=7)
    assert [draw(recipe(seed=1), n)[0] for n in range(400)] != drawn
    several = draw(recipe(principles_per_comparison=5), 1)
    assert len(set(several)) == 5
    assert [draw(recipe(principles="in-order"), 1, place=n)[0] for n in range(17)] == [
        *IDS,
        IDS[0],
    ]
    listed = recipe(principles=("privacy", "no-harm"))
    assert [draw(listed, 1, place=n)[0] for n in range(3)] == ["privacy", "no-harm", "privacy"]


def test_a_sources_own_principles_come_before_the_recipes() -> None:
    own = replace(COMPARISON, principles=("not-evasive",))
    asks = plan_asks(recipe(), CONSTITUTION, own, place=3, run_id="run")
    assert {ask.principle.id for ask in asks} == {"not-evasive"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"principles": ("nothing",)}, "no principle nothing"),
        ({"sources": (ComparisonSource(run="r", principles=("gone",)),)}, "no principle gone"),
        ({"principles_per_comparison": 17}, "17 and there are 16"),
        ({"principles": ("no-harm",), "principles_per_comparison": 2}, "there are 1"),
    ],
)
def test_principles_that_there_are_not(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        resolve_label_principles(recipe(**changes), CONSTITUTION)
    bare = Principle(id="bare", text="t", critique_request="c", revision_request="r")
    lacking = replace(CONSTITUTION, principles=(bare, *CONSTITUTION.principles))
    with pytest.raises(RecipeError, match=r"'bare'.*no comparison_request"):
        resolve_label_principles(recipe(), lacking)


def test_what_is_asked_has_its_orders_side_by_side_and_ids_and_seeds_of_its_own() -> None:
    made = recipe(reasoned=True, thoughts=3, principles_per_comparison=2)
    asks = plan(made)
    assert len(asks) == made.asks_per_comparison == 12
    assert [ask.order for ask in asks] == [0, 1] * 6
    assert len({ask.row_id for ask in asks}) == len({ask.seed for ask in asks}) == 12
    assert {ask.row_id for ask in plan(made, place=1)}.isdisjoint(ask.row_id for ask in asks)
    assert [ask.order for ask in plan(recipe(orders="first"))] == [0]
    assert [a.seed for a in plan(replace(made, seed=1))] != [a.seed for a in asks]


def test_one_thought_is_greedy_and_several_are_drawn() -> None:
    drawn = SamplingParams(temperature=0.7, max_tokens=33)
    one = recipe(reasoned=True, sampling=drawn)
    assert one.thought_sampling == SamplingParams(temperature=0.0, max_tokens=33)
    assert replace(one, thoughts=2).thought_sampling == drawn


def test_both_orders_are_averaged_and_the_bias_is_kept() -> None:
    label = build_model_label(COMPARISON, rows_of(recipe(), 0.9, 0.4), recipe())
    assert label.prob_a == pytest.approx((0.9 + 0.6) / 2)
    assert (label.prob_a_first, label.prob_a_second) == pytest.approx((0.9, 0.6))
    assert label.position_bias == pytest.approx(0.3)
    single = recipe(orders="first")
    alone = build_model_label(COMPARISON, rows_of(single, 0.9), single)
    assert (alone.prob_a, alone.prob_a_second, alone.position_bias) == (0.9, None, None)


probs = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(probs, probs), min_size=4, max_size=4))
def test_swapping_the_responses_flips_the_label_to_the_last_bit(
    pairs: list[tuple[float, float]],
) -> None:
    for reasoned in (False, True):
        made = recipe(principles_per_comparison=4, reasoned=reasoned)
        flat = [prob for pair in pairs for prob in pair]
        turned = [prob for pair in pairs for prob in pair[::-1]]
        label = build_model_label(COMPARISON, rows_of(made, *flat), made)
        mirrored = build_model_label(COMPARISON, rows_of(made, *turned), made)
        assert label.prob_a is not None and mirrored.prob_a is not None
        assert mirrored.prob_a == 1.0 - label.prob_a
        assert label.prob_a_clamped is not None
        assert mirrored.prob_a_clamped == 1.0 - label.prob_a_clamped
        other = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
        assert mirrored.verdict is other.get(label.verdict, label.verdict)


@pytest.mark.parametrize(
    ("reasoned", "clamp", "clamped"),
    [
        (True, (0.4, 0.6), 0.6),
        (True, (0.2, 0.8), 0.8),
        (True, None, 0.97),
        (False, (0.4, 0.6), 0.97),
    ],
)
def test_clamping_touches_reasoned_labels_alone_and_keeps_the_raw_one(
    reasoned: bool, clamp: tuple[float, float] | None, clamped: float
) -> None:
    made = recipe(reasoned=reasoned, clamp=clamp)
    label = build_model_label(COMPARISON, rows_of(made, 0.98, 0.04), made)
    assert label.prob_a == pytest.approx(0.97)
    assert label.prob_a_clamped == pytest.approx(clamped)
    assert label.verdict is Verdict.A
    other = build_model_label(COMPARISON, rows_of(made, 0.04, 0.98), made)
    assert other.prob_a_clamped == pytest.approx(1 - clamped)
    # What lies between the bounds stays as it is.
    even = build_model_label(COMPARISON, rows_of(made, 0.55, 0.45), made)
    assert even.prob_a_clamped == even.prob_a == pytest.approx(0.55)


def test_the_margin_and_the_mass_decide() -> None:
    near = rows_of(recipe(), 0.6, 0.5)
    assert build_model_label(COMPARISON, near, recipe()).verdict is Verdict.TIE
    assert build_model_label(COMPARISON, near, recipe(tie_margin=0.01)).verdict is Verdict.A
    faint = rows_of(recipe(), 0.9, 0.1, mass=0.3)
    label = build_model_label(COMPARISON, faint, recipe())
    assert (label.verdict, label.prob_a, label.prob_a_clamped) == (Verdict.UNPARSED, None, None)
    assert build_model_label(COMPARISON, faint, recipe(least_mass=0.2)).verdict is Verdict.A


def test_of_several_thoughts_those_count_that_are_readable_in_both_orders() -> None:
    made = recipe(reasoned=True, thoughts=2)
    rows = rows_of(made, 0.9, 0.1, 0.2, 0.8)
    assert build_model_label(COMPARISON, rows, made).prob_a == pytest.approx(0.55)
    lost = [*rows[:3], replace(rows[3], scoring={"way": "text"}, verdict=Verdict.UNPARSED)]
    assert build_model_label(COMPARISON, lost, made).prob_a == pytest.approx(0.9)
    failed = [replace(row, scoring=None, error="x") for row in rows]
    assert build_model_label(COMPARISON, failed, made).verdict is Verdict.UNPARSED


def test_a_written_verdict_is_a_hard_label() -> None:
    made = recipe()
    for verdict, prob in ((Verdict.A, 1.0), (Verdict.B, 0.0), (Verdict.TIE, 0.5)):
        mirrored = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}.get(verdict, verdict)
        told = zip(rows_of(made, 0.5, 0.5), (verdict, mirrored), strict=True)
        rows = [replace(row, scoring={"way": "text"}, verdict=said) for row, said in told]
        label = build_model_label(COMPARISON, rows, made)
        assert label.prob_a is not None
        assert math.isclose(label.prob_a, prob)
