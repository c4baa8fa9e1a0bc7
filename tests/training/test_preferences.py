"""From labels to pairs: what is taken, left out, mixed and held out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import PromptKind, Verdict
from cai_core.training.dpo_recipe import DpoRecipe, parse_dpo_recipe
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.preferences import (
    PreferenceDataset,
    build_preference_dataset,
    parse_pair,
)
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe
from tests.training.labels import flip, make_label

HELPFUL = {"prompt_kind": PromptKind.HELPFUL}


def build(*sources: tuple[PreferenceSource, list[LabelRecord]], **own: Any) -> PreferenceDataset:
    settings = {"soft": True, "eval_share": 0.0, "seed": 0, **own}
    return build_preference_dataset(sources, **settings)


def one(labels: list[LabelRecord], **own: Any) -> PreferenceDataset:
    return build((PreferenceSource(run="l"), labels), **own)


@given(st.floats(0, 1))
def test_swapping_the_responses_changes_no_pair(prob: float) -> None:
    label = make_label(1, prob)
    (pair,) = one([label]).examples
    (swapped,) = one([flip(label)]).examples
    assert pair.prob >= 0.5
    assert swapped.prob == pytest.approx(pair.prob)
    if prob != 0.5 and 1 - (1 - prob) == prob:
        assert (swapped.chosen, swapped.rejected) == (pair.chosen, pair.rejected)


def test_soft_keeps_what_is_clamped_and_hard_keeps_the_winner() -> None:
    labels = [make_label(1, 0.99, prob_a_clamped=0.6), make_label(2, 0.2)]
    soft = {pair.comparison_id: pair for pair in one(labels).examples}
    assert soft["c1"].prob == 0.6
    assert soft["c2"].prob == 0.8 and soft["c2"].chosen == labels[1].response_b
    hard = one(labels, soft=False).examples
    assert {pair.prob for pair in hard} == {1.0}


def test_ties_are_kept_soft_and_left_out_hard() -> None:
    labels = [make_label(1), make_label(2, 0.5), make_label(3, 0.52, verdict=Verdict.TIE)]
    soft = one(labels)
    assert soft.counts[0].ties == 2
    assert sorted(pair.prob for pair in soft.examples) == [0.5, 0.52, 0.9]
    hard = one(labels, soft=False)
    assert len(hard.examples) == 1
    assert hard.counts[0].left_out == {"tie": 2}


def test_shuffled_labels_keep_their_strength_and_lose_their_side() -> None:
    labels = [make_label(n, 0.5 + n / 1000) for n in range(1, 401)]
    told = {pair.comparison_id: pair for pair in one(labels).examples}
    tossed = {pair.comparison_id: pair for pair in one(labels, shuffled=True).examples}
    assert {name: pair.prob for name, pair in tossed.items()} == {
        name: pair.prob for name, pair in told.items()
    }
    kept = sum(told[name].chosen == pair.chosen for name, pair in tossed.items())
    assert 160 < kept < 240  # within four standard deviations of an even coin
    assert one(labels, shuffled=True) == one(labels, shuffled=True)
    assert one(labels, shuffled=True) != one(labels, shuffled=True, seed=1)


def test_what_cannot_be_trained_on_is_counted() -> None:
    labels = [
        make_label(1),
        make_label(2, None),
        make_label(3, response_b=make_label(3).response_a),
        make_label(4, response_b=" "),
        make_label(5, tags=("split:held-out",)),
    ]
    (count,) = one(labels).counts
    assert count.left_out == {
        "unparsed": 1,
        "both responses alike": 1,
        "empty response": 1,
        "held out": 1,
    }
    assert (count.found, count.taken) == (1, 1)


def test_a_prompt_held_out_in_one_source_is_in_every() -> None:
    tagged = make_label(5, tags=("split:held-out",))
    dataset = build(
        (PreferenceSource(run="a"), [make_label(1), make_label(5)]),
        (PreferenceSource(run="b"), [tagged]),
    )
    assert [pair.comparison_id for pair in dataset.examples] == ["c1"]
    assert [count.left_out for count in dataset.counts] == [{"held out": 1}] * 2


def test_a_person_without_a_probability_is_certain() -> None:
    label = make_label(1, None, verdict=Verdict.B, label_source="human")
    (pair,) = one([label]).examples
    assert (pair.prob, pair.chosen) == (1.0, label.response_b)


def test_kinds_and_uses_choose() -> None:
    labels = [make_label(1), make_label(2, **HELPFUL), make_label(3, label_source="human")]
    chosen = build((PreferenceSource(run="l", kinds=("helpful",)), labels))
    assert [pair.comparison_id for pair in chosen.examples] == ["c2"]
    assert chosen.counts[0].left_out == {"of another kind": 2}
    human = build((PreferenceSource(run="l", use="human"), labels))
    assert [pair.comparison_id for pair in human.examples] == ["c3"]


def test_a_share_mixes_helpfulness_in_at_its_ratio() -> None:
    harm = [make_label(n) for n in range(30)]
    helpful = [make_label(100 + n, **HELPFUL) for n in range(50)]
    sources = (
        (PreferenceSource(run="harm"), harm),
        (PreferenceSource(run="help", share=0.25), helpful),
    )
    dataset = build(*sources)
    assert [count.taken for count in dataset.counts] == [30, 10]
    assert dataset.hash == build(*sources).hash
    assert dataset.hash != build(*sources, seed=1).hash
    few = build(sources[0], (PreferenceSource(run="help", share=0.75), helpful))
    assert (few.counts[1].wanted, few.counts[1].taken) == (90, 50)


@given(st.integers(0, 20), st.sampled_from([0.0, 0.1, 0.5]))
def test_no_prompt_is_on_both_sides(seed: int, share: float) -> None:
    # Three comparisons a prompt; two kinds, each of which gives its share.
    labels = [make_label(n, comparison_id=f"{n}/{k}") for n in range(20) for k in range(3)]
    labels += [make_label(100 + n, **HELPFUL) for n in range(10)]
    dataset = one(labels, eval_share=share, seed=seed)
    sides: dict[str, set[str]] = {"train": set(), "eval": set()}
    for pair in dataset.examples:
        sides[pair.split].add(pair.prompt_key)
    assert not sides["train"] & sides["eval"]
    kinds = [p.prompt_kind for p in dataset.examples if p.split == "eval"]
    assert kinds.count("red-team") == 3 * round(20 * share)
    assert kinds.count("helpful") == round(10 * share)
    assert dataset.counts[0].held_out_eval == len(kinds)


def test_lines_come_back_and_every_field_is_in_the_hash() -> None:
    dataset = one([make_label(n) for n in range(3)])
    assert tuple(parse_pair(pair.as_dict()) for pair in dataset.examples) == dataset.examples
    assert dataset.hash != one([make_label(n, 0.8) for n in range(3)]).hash


def test_nothing_to_train_on_is_told() -> None:
    with pytest.raises(RecipeError, match="2 unparsed"):
        one([make_label(1, None), make_label(2, None)])
    with pytest.raises(RecipeError, match="held out to evaluate"):
        one([make_label(1)], eval_share=0.9)


def make_recipe(kind: Any = RewardRecipe, **changes: Any) -> Any:
    return kind(**{"base": "demo", "sources": (PreferenceSource(run="r"),), **changes})


def test_the_plain_forms_come_back() -> None:
    sources = (
        PreferenceSource(run="r", kinds=("red-team",)),
        PreferenceSource(run="r", kinds=("helpful",), share=0.3),
    )
    reward = make_recipe(sources=sources, center=0.1, soft=False)
    assert parse_reward_recipe(reward.as_dict()) == reward
    assert reward.parents == ("r",)
    dpo = make_recipe(DpoRecipe, sources=sources, beta=0.5)
    assert parse_dpo_recipe(dpo.as_dict()) == dpo


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": ""}, "base names no model"),
        ({"soft": "yes"}, "soft is 'yes'"),
        ({"eval_share": 1.0}, "eval_share is 1.0"),
        ({"batch_size": 10, "micro_batch": 4}, "multiple"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"center": -1.0}, "center"),
        ({"sources": ()}, "every source has a share"),
        (
            {"sources": (PreferenceSource(run="r"), PreferenceSource(run="r", kinds=("helpful",)))},
            "same labels",
        ),
        (
            {
                "sources": (
                    PreferenceSource(run="a"),
                    PreferenceSource(run="b", share=0.5),
                    PreferenceSource(run="c", share=0.5),
                )
            },
            "add up to 1",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        make_recipe(**changes)


def test_unknown_keys_and_kinds_are_told() -> None:
    plain = make_recipe().as_dict()
    with pytest.raises(RecipeError, match="unknown keys beta"):
        parse_reward_recipe({**plain, "beta": 0.1})
    with pytest.raises(RecipeError, match="kinds is 'nice'"):
        parse_reward_recipe({**plain, "sources": [{"run": "r", "kinds": ["nice"]}]})
    with pytest.raises(RecipeError, match="Give a list"):
        parse_reward_recipe({**plain, "sources": [{"run": "r", "kinds": "helpful"}]})
    with pytest.raises(RecipeError, match="beta is 0"):
        make_recipe(DpoRecipe, beta=0)
