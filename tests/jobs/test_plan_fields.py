"""The fields of each kind: what the recipes know, each with words, none twice."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cai_core.jobs.plan import Faults, parse_plan
from cai_core.jobs.plan_edit import read_fields, set_field
from cai_core.jobs.plan_fields import FIRST, MORE, get_shape, is_shown, list_fields
from cai_core.jobs.plan_rlaif import KINDS
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.training.rl_recipe import RlRecipe
from ui.runs_field_words import describe_default, get_words

ENTRY = {
    "sources": [{"run": "chains"}, {"run": "a", "against": "b"}],
    "rewards": [
        {"kind": "reward-model", "model": "run:rm"},
        {"kind": "judge", "model": "demo"},
        {"kind": "length"},
    ],
}
EVERY = [(kind, key) for kind in FIRST for key in sum(list_fields(kind, ENTRY), ())]
SHOWN = [(kind, key) for kind, key in EVERY if is_shown(key)]
PLAN = """\
format: 1
name: p
runs:
  - {name: samples, kind: revise, prompts: redteam, constitution: harmlessness}
  - {name: labels, kind: label, constitution: harmlessness, feedback_model: demo,
     sources: [{run: samples}, {run: samples, pairs: revision, share: 0.3}], clamp: null}
  - {name: rm, kind: reward, base: demo, sources: [{run: labels}]}
  - name: rl
    kind: rl
    base: demo  # the policy
    prompts: [redteam, helpful]
    rewards: [{kind: reward-model, model: "run:rm"}, {kind: length, weight: -0.1}]
    alarms: {kl: null, longer: 3}
  - {name: dpo, kind: dpo, base: demo, sources: [{run: labels}]}
"""
RL = 3


@pytest.mark.parametrize(("kind", "key"), SHOWN)
def test_a_field_has_a_shape_and_a_line_of_words(kind: str, key: str) -> None:
    shape = get_shape(kind, key)
    label, told = get_words(kind, key, {"sources.0.run": "chains", "rewards.0.kind": "judge"})
    assert label and "{" not in label
    assert told.endswith((".", "…")) and "\n" not in told and len(told) < 110
    assert describe_default(key, shape.default)
    assert (shape.holds in ("choice", "several")) is bool(shape.choices)


def test_no_field_comes_twice_and_every_kind_has_some() -> None:
    assert set(FIRST) == set(MORE) == {"revise", "sft", *KINDS}
    for kind in FIRST:
        first, more = list_fields(kind, ENTRY)
        assert len(set(first + more)) == len(first + more)
        assert 5 <= len(FIRST[kind]) <= 13


def test_shapes_are_the_recipes_own() -> None:
    rl = {item.name: item.default for item in fields(RlRecipe)}
    label = {item.name: item.default for item in fields(LabelRecipe)}
    for kind, known in (("rl", rl), ("label", label)):
        for key in (key for each, key in EVERY if each == kind and key in known):
            shape = get_shape(kind, key)
            assert shape.default in (known[key], None)
    assert get_shape("rl", "generations").least == 2
    assert get_shape("label", "seed").least == 0
    assert get_shape("rl", "algorithm").choices == ("rloo", "grpo")
    assert get_shape("label", "clamp").holds == "bounds"
    with pytest.raises(KeyError):
        get_shape("rl", "nothing")


def test_what_people_say_and_kinds_of_prompts_are_offered_for_later() -> None:
    for kind in ("reward", "dpo"):
        _, more = list_fields(kind, ENTRY)
        assert {"human", "use_human", "drop_disputed", "sources.0.kinds"} <= set(more)
        assert get_shape(kind, "human").holds == "name"
        assert get_shape(kind, "use_human").default is False
    assert {"human", "few_shot"} <= set(MORE["label"]) and "few_shot" in MORE["revise"]
    for kind, key in (("revise", "where.kinds"), ("rl", "where.kinds"), ("dpo", "sources.0.kinds")):
        assert get_shape(kind, key).choices == ("red-team", "helpful", "borderline", "unknown")
    alarms = get_shape("rl", "alarms.warn_only")
    assert alarms.holds == "several" and set(alarms.default) < set(alarms.choices)
    assert describe_default("alarms.warn_only", alarms.default).startswith("boilerplate, distinct")
    assert describe_default("where.kinds", ()) == "every kind"


def test_two_runs_that_are_compared_leave_no_pairs_to_choose() -> None:
    first, _ = list_fields("label", ENTRY)
    assert "sources.0.pairs" in first
    assert "sources.1.pairs" not in first
    assert (
        get_words("label", "sources.1.share", {"sources.1.run": "a", "sources.1.against": "b"})[0]
        == "Share of a against b"
    )


OTHERS: dict[str, Any] = {
    "name": "another",
    "names": ["redteam"],
    "several": ["helpful"],
    "switch": True,
    "whole": 3,
    "number": 0.125,
    "principles": ["harm"],
    "bounds": [0.3, 0.7],
}


@pytest.mark.parametrize("run", range(5))
def test_every_field_can_be_set_where_the_text_leaves_it_out(run: int) -> None:
    held = read_fields(PLAN)[run]
    for key in filter(is_shown, held.values):
        shape = get_shape(held.kind, key)
        value = shape.choices[-1] if shape.holds == "choice" else OTHERS[shape.holds]
        changed = set_field(PLAN, run, key, value)
        again = read_fields(changed)
        assert again[run].values[key] == value
        assert key not in again[run].nulls
        assert [one.values for one in again if one.number != run] == [
            one.values for one in read_fields(PLAN) if one.number != run
        ]


def test_null_is_another_thing_than_nothing() -> None:
    labels, rl = read_fields(PLAN)[1], read_fields(PLAN)[RL]
    assert labels.nulls == {"clamp"}
    assert rl.nulls == {"alarms.kl"}
    assert (rl.values["alarms.longer"], rl.values["alarms.shorter"]) == (3, None)
    gone = read_fields(set_field(PLAN, RL, "alarms.kl", None))[RL]
    assert not gone.nulls


def test_a_name_changes_in_lists_too() -> None:
    changed = read_fields(set_field(PLAN, 0, "prompts", "mine", everywhere=True))
    assert changed[RL].values["prompts"] == ["mine", "helpful"]
    alone = read_fields(set_field(PLAN, 0, "prompts", "mine"))
    assert alone[RL].values["prompts"] == ["redteam", "helpful"]
    # The feedback model is not the one that is trained.
    judged = read_fields(set_field(PLAN, 1, "feedback_model", "big", everywhere=True))
    assert [one.values.get("base") for one in judged] == [None, None, "demo", "demo", "demo"]


def test_the_checks_are_the_recipes() -> None:
    for run, key, value, told in (
        (1, "thoughts", 3, "thoughts"),
        (1, "sources.0.share", 0.9, "share"),
        (2, "micro_batch", 7, "micro_batch"),
        (RL, "rewards.0.weight", 0, "weight"),
        (RL, "alarms.longer", 0.5, "longer"),
        (4, "beta", 0.0, "beta"),
    ):
        faults = Faults("p.yaml")
        parse_plan(set_field(PLAN, run, key, value), "p.yaml", faults)
        with pytest.raises(Exception, match=told):
            faults.raise_any()


def test_the_preset_of_ones_own_has_every_kind() -> None:
    recipes = Path(__file__).resolve().parents[2] / "data" / "recipes"
    kinds = {one.kind for one in read_fields((recipes / "rlaif-lora.yaml").read_text("utf-8"))}
    assert kinds == {"revise", *KINDS}
