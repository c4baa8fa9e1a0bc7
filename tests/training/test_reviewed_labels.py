"""People's votes in training pairs: used, dropped, mirrored; and recipes that know none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import RecipeError, RunMismatchError
from cai_core.jobs.clone import build_clone, list_changeable
from cai_core.jobs.forecast import Known
from cai_core.jobs.forecast_counts import Plans
from cai_core.jobs.forecast_pairs import count_pairs
from cai_core.jobs.plan_specs import build_plan, load_plan
from cai_core.jobs.preference_sources import build_run_dataset, load_run_people
from cai_core.jobs.run_files import write_inputs
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.comparison_records import build_comparison_id
from cai_core.pipeline.human_labels import (
    HumanLabel,
    build_people,
    load_people,
    people_hash,
    settle_people,
    settle_verdict,
)
from cai_core.pipeline.label_recipe import parse_label_recipe
from cai_core.records import Verdict
from cai_core.training.preferences import PreferenceDataset
from cai_core.training.reviewed_labels import review_label
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.runs import create_run, open_run
from tests.jobs.plans import CHAINS, write_plan
from tests.jobs.test_forecast import LARGE
from tests.review_makers import ADA, BOB, RUN, make_vote, make_workspace, queue_up, say
from tests.training.labels import flip, make_label

A, B, TIE, BAD = VoteChoice.A, VoteChoice.B, VoteChoice.TIE, VoteChoice.BOTH_BAD
REWARD: dict[str, Any] = {
    "name": "rm",
    "kind": "reward",
    "base": "demo",
    "sources": [{"run": RUN}],
    "eval_share": 0.0,
}


def test_a_majority_is_more_than_half() -> None:
    a, b, tie = Verdict.A, Verdict.B, Verdict.TIE
    assert settle_verdict([a, a, b]) is a
    assert settle_verdict([a, b]) is settle_verdict([]) is settle_verdict([a, b, tie]) is None
    assert settle_verdict([tie, tie, a]) is tie


@pytest.mark.parametrize(
    ("said", "use", "drop", "found"),
    [
        # The label says A at 0.9.
        ((), True, True, ("A", 0.9, "feedback-model")),
        ((A, A), True, False, ("A", 1.0, "human")),
        ((A, A), False, True, ("A", 0.9, "feedback-model")),
        ((B, B, A), True, False, ("B", 0.0, "human")),
        ((B, B, A), True, True, ("B", 0.0, "human")),
        ((B, B, A), False, True, None),
        ((A, B), True, False, ("A", 0.9, "feedback-model")),
        ((A, B), True, True, None),
        ((BAD,), True, False, ("tie", 0.5, "human")),
        ((VoteChoice.DISCARDED,), True, True, ("A", 0.9, "feedback-model")),
    ],
)
def test_what_people_make_of_a_label(said: Any, use: bool, drop: bool, found: Any) -> None:
    label = make_label(1, 0.9)
    people = build_people(make_vote("c1", one, f"r{n}") for n, one in enumerate(said))
    told = review_label(label, people=people, use_human=use, drop_disputed=drop)
    if found is None:
        assert told is None
        return
    assert told is not None
    assert (told.verdict.value, told.prob_a_clamped, told.label_source) == found


def test_what_was_said_of_the_swapped_comparison_is_mirrored() -> None:
    places = {"source_a": {"run": "x", "chain": "1"}, "source_b": {"run": "x", "chain": "2"}}
    label = make_label(1, 0.9, **places)
    own = build_comparison_id(label.prompt_id, label.source_a, label.source_b)
    turned = replace(
        flip(replace(label, comparison_id=own)),
        source_a=label.source_b,
        source_b=label.source_a,
        comparison_id=build_comparison_id(label.prompt_id, label.source_b, label.source_a),
    )
    people = build_people([make_vote(own, B)])
    told = review_label(turned, people=people, use_human=True, drop_disputed=False)
    assert told is not None and told.verdict is Verdict.A


def test_settling_for_a_label_recipe_drops_or_ties_what_is_disputed() -> None:
    votes = [make_vote("c1", A), make_vote("c1", B, "bob"), make_vote("c2", B)]
    people = build_people(votes)
    assert list(settle_people(people, "drop")) == ["c2"]
    tied = settle_people(people, "tie")["c1"]
    assert (tied.verdict, tied.reviewer) == (Verdict.TIE, "ada, bob")


def test_a_file_of_people_has_a_line_a_person(tmp_path: Path) -> None:
    path = tmp_path / "human.jsonl"
    lines = [
        {"comparison_id": "c1", "verdict": word, "reviewer": who}
        for word, who in (("A", "ada"), ("B", "bob"), ("A", "ada"))
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    people = load_people(path)
    assert [one.reviewer for one in people["c1"]] == ["ada", "bob"]
    path.write_text("".join(json.dumps(one) + "\n" for one in reversed(lines)))
    assert people_hash(load_people(path)) == people_hash(people)
    lines.append({"comparison_id": "c1", "verdict": "B", "reviewer": "ada"})
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(RecipeError, match="'ada' says B and said A"):
        load_people(path)
    assert people_hash({}) is None


def test_older_recipes_keep_their_form_and_their_ids() -> None:
    plain = {"base": "demo", "sources": [{"run": "labels"}]}
    recipe = parse_reward_recipe(plain)
    assert not {"human_hash", "use_human", "drop_disputed"} & recipe.as_dict().keys()
    reviewed = replace(recipe, human_hash="h", drop_disputed=True)
    assert parse_reward_recipe(reviewed.as_dict()) == reviewed
    assert reviewed.as_dict()["use_human"] is False


@pytest.mark.parametrize(
    "keys",
    [{"human_hash": "h"}, {"use_human": True}, {"drop_disputed": True}, {"use_human": "yes"}],
)
def test_people_and_what_to_do_with_them_come_together(keys: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        RewardRecipe(**{"base": "demo", "sources": parse_sources(), **keys})


def parse_sources() -> Any:
    return parse_reward_recipe({"base": "demo", "sources": [{"run": "l"}]}).sources


@pytest.fixture
def reviewed(tmp_path: Path) -> tuple[Path, str]:
    """Six labels (A, B, A, B, A, B); people agree about one, disagree about two."""
    workspace = tmp_path / "w"
    make_workspace(workspace)
    queue = queue_up(workspace, overlap=2).queue_id
    for name, ada, bob in (("c0", A, A), ("c1", A, A), ("c2", A, B)):
        say(workspace, queue, ADA, name, ada)
        say(workspace, queue, BOB, name, bob)
    return workspace, queue


def plan(workspace: Path, **keys: Any) -> RunSpec:
    runs = load_plan(write_plan(workspace.parent / "p.yaml", {**REWARD, **keys}), workspace)
    return runs[0]


def build(workspace: Path, spec: RunSpec) -> PreferenceDataset:
    run = create_run(workspace / "runs" / spec.run_id, kind="reward", recipe=spec.recipe)
    write_inputs(run.path, spec.inputs, missing=False)
    recipe = parse_reward_recipe(run.recipe)
    return build_run_dataset(recipe, workspace, load_run_people(recipe, run))


def test_a_queues_votes_change_what_is_trained_on(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    plain = plan(workspace)
    assert plain.inputs == {}
    held: dict[str, dict[str, tuple[str, float]]] = {}
    counts = {}
    for name, keys in {
        "plain": {},
        "use": {"human": f"queue:{queue}", "use_human": True},
        "drop": {"human": f"queue:{queue}", "drop_disputed": True},
        "both": {"human": f"queue:{queue}", "use_human": True, "drop_disputed": True},
    }.items():
        dataset = build(workspace, plan(workspace, **keys))
        counts[name] = dict(dataset.counts[0].left_out)
        held[name] = {p.comparison_id: (p.chosen[:4], p.prob) for p in dataset.examples}
    assert set(held["plain"]) == {f"c{n}" for n in range(6)}
    refusal, compliance = "I wi", "Sure"
    assert held["plain"]["c1"] == (compliance, 0.8)
    assert held["use"]["c1"] == (refusal, 1.0) and held["use"]["c2"] == held["plain"]["c2"]
    assert set(held["drop"]) == {"c0", "c3", "c4", "c5"}
    assert held["drop"]["c0"] == held["plain"]["c0"]
    assert set(held["both"]) == {"c0", "c1", "c3", "c4", "c5"}
    assert counts["drop"] == {"disputed by people": 2} and counts["both"]["disputed by people"] == 1


def test_a_run_keeps_the_votes_as_they_stood(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    keys = {"human": f"queue:{queue}", "drop_disputed": True}
    spec = plan(workspace, **keys)
    before = build(workspace, spec)
    say(workspace, queue, ADA, "c5", A)
    other = plan(workspace, **keys)
    assert other.run_id != spec.run_id
    assert len(build(workspace, other).examples) == len(before.examples) - 1
    assert plan(workspace).run_id not in (spec.run_id, other.run_id)
    path = workspace / "runs" / spec.run_id / "inputs" / "human.jsonl"
    path.write_text(path.read_text().replace('"A"', '"B"'))
    recipe = parse_reward_recipe(spec.recipe)
    with pytest.raises(RunMismatchError, match="the recipe says"):
        load_run_people(recipe, open_run(workspace / "runs" / spec.run_id))


def test_a_label_plan_takes_a_queues_majorities(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    labels = {
        "name": "again",
        "kind": "label",
        "sources": [{"run": "chains", "pairs": "revision"}],
        "feedback_model": "demo",
        "constitution": "harmlessness",
        "human": f"queue:{queue}",
    }
    spec = load_plan(write_plan(workspace.parent / "p.yaml", CHAINS, labels), workspace)[1]
    assert parse_label_recipe(spec.recipe).human_hash is not None
    lines = [json.loads(one) for one in b"".join(spec.inputs["human.jsonl"]()).splitlines()]
    assert [HumanLabel(**one).comparison_id for one in lines] == ["c0", "c1"]
    assert {one["verdict"] for one in lines} == {"A"}


@pytest.mark.parametrize("name", ["queue:0123456789abcdef", "queue:../x", "nowhere.jsonl"])
def test_a_queue_that_is_not_there_is_a_fault_of_the_plan(tmp_path: Path, name: str) -> None:
    make_workspace(tmp_path / "w")
    with pytest.raises(RecipeError, match="human"):
        plan(tmp_path / "w", human=name, use_human=True)


def test_a_queue_nobody_voted_in_is_a_fault_of_the_plan(tmp_path: Path) -> None:
    make_workspace(tmp_path / "w")
    queue = queue_up(tmp_path / "w").queue_id
    with pytest.raises(RecipeError, match="nobody has voted"):
        plan(tmp_path / "w", human=f"queue:{queue}", use_human=True)


def test_a_plan_from_a_page_may_name_a_queue_and_no_file(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    path = write_plan(
        workspace.parent / "p.yaml", {**REWARD, "human": f"queue:{queue}", "use_human": True}
    )
    (spec,) = build_plan(path.read_text(), "p", path.parent, workspace, names_only=True)
    assert spec.run_id == plan(workspace, human=f"queue:{queue}", use_human=True).run_id
    text = path.read_text().replace(f"queue:{queue}", "/etc/passwd")
    with pytest.raises(RecipeError, match="is a path"):
        build_plan(text, "p", path.parent, workspace, names_only=True)


def test_a_clone_takes_the_votes_over(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    spec = plan(workspace, human=f"queue:{queue}", drop_disputed=True)
    build(workspace, spec)
    run = open_run(workspace / "runs" / spec.run_id)
    assert "human_hash" not in list_changeable(run)
    clone = build_clone(run, {"seed": 7})
    assert clone.recipe["human_hash"] == spec.recipe["human_hash"]
    say(workspace, queue, ADA, "c5", A)  # the clone is of the run, not of today
    dataset = build(workspace, clone)
    assert {pair.comparison_id for pair in dataset.examples} == {"c0", "c3", "c4", "c5"}


def test_a_forecast_counts_what_people_may_still_take_out(reviewed: tuple[Path, str]) -> None:
    workspace, queue = reviewed
    told = {}
    for name, keys in {
        "plain": {},
        "drop": {"human": f"queue:{queue}", "drop_disputed": True},
    }.items():
        spec = plan(workspace, **keys)
        known = Known(plans=Plans(workspace, [spec]), machine=LARGE)
        count = count_pairs(parse_reward_recipe(spec.recipe), known)
        assert count is not None
        told[name] = (count.pairs, count.exact, "people disagree" in count.formula)
    assert told == {"plain": (6, True, False), "drop": (6, False, True)}
