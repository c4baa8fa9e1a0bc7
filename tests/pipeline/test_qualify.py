"""Qualifying the demo model on its real server; what is kept, found again, and journalled."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.actions import jobs
from cai_core.actions.qualifications import save_qualification
from cai_core.constitution import find_constitution
from cai_core.demo_world import load_oracle, load_world
from cai_core.demo_world.preference_truth import read_preference
from cai_core.demo_world.qualifying import draw_known_comparisons
from cai_core.errors import ImportFormatError, NotAllowedError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.qualifying import is_of_demo_world
from cai_core.pipeline.connect import launch
from cai_core.pipeline.qualify import GENERAL, KnownSet, Qualified, load_known_set, qualify
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, Verdict
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.qualifications import find_qualification, get_standing
from cai_core.workspace.runs import create_run
from tests.jobs.plans import CHAINS, write_plan

HARMLESSNESS = find_constitution("harmlessness")
OFFICIAL = (
    Path(__file__).resolve().parents[3]
    / "shared/data/anthropic-cai/evals/438HHHEvaluations.first120.jsonl"
)
LABELS: dict[str, Any] = {
    "name": "labels",
    "kind": "label",
    "sources": [{"run": "chains", "pairs": "revision"}],
    "feedback_model": "demo",
    "constitution": "harmlessness",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("qualify")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


def draw_world() -> KnownSet:
    drawn = draw_known_comparisons(load_world(), HARMLESSNESS, count=48, planted=12)
    return KnownSet(name="demo world", comparisons=drawn, asked_by="harmlessness")


def ask_demo(workspace: Path, known: KnownSet, **how: Any) -> Qualified:
    return asyncio.run(qualify(launch("demo", workspace), "demo", known, max_tokens=128, **how))


def test_the_oracle_says_the_same_of_what_is_drawn() -> None:
    oracle, world = load_oracle(), load_world()
    training = {
        intent.text
        for standing in {intent.standing for intent in world.intents}
        for intent in world.split(standing, held_out=False)
    }
    drawn = draw_world().comparisons
    for one in drawn:
        prompt = one.conversation[-1].content
        truth = read_preference(oracle, one.principle, prompt, one.preferred, one.other)
        assert truth is Verdict.A
        assert one.cluster in training
    planted = [one for one in drawn if one.planted]
    assert len(planted) == 12
    for one in planted:
        intent = oracle.read_prompt(one.conversation[-1].content)
        assert intent is not None
        assert oracle.read_response(one.other, intent).harmful
        assert oracle.read_response(one.preferred, intent).declines


def test_the_demo_model_qualifies_in_its_world(workspace: Path) -> None:
    found = ask_demo(workspace, draw_world())
    assert found.quality.qualifies(), found.quality
    assert found.quality.unreadable == 0
    assert found.quality.swap_consistency is not None
    assert found.quality.swap_consistency.rate > 0.9
    assert found.way is not None and found.info.weights_hash
    reasoned = ask_demo(workspace, draw_world(), reasoned=True)
    assert reasoned.quality.qualifies(), reasoned.quality


def test_with_its_truths_shuffled_it_scores_chance(workspace: Path) -> None:
    known, rng = draw_world(), random.Random(5)
    turned = tuple(
        replace(one, preferred=one.other, other=one.preferred) if rng.random() < 0.5 else one
        for one in known.comparisons
    )
    found = ask_demo(workspace, replace(known, comparisons=turned))
    accuracy = found.quality.accuracy
    assert accuracy is not None and accuracy.low < 0.5 < accuracy.high
    assert "accuracy" in found.quality.list_below()


def test_outside_of_its_world_the_command_says_no(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    assert cli.main(["qualify", "demo", "--file", str(GENERAL), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["qualified"] and "accuracy" in told["below"]
    assert json.loads(Path(told["file"]).read_text())["accuracy"] == told["accuracy"]
    (event,) = read_events(workspace, Topic.LAUNCHES)
    assert (event["action"], event["model"]) == ("qualify model", "demo")
    assert cli.main(["qualify", "demo", "--file", str(GENERAL)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("not qualified: accuracy") for line in lines)
    # Asked again, the same is replaced.
    assert len(list((workspace / "qualifications").iterdir())) == 1


def test_the_shipped_comparisons_are_balanced_and_clear() -> None:
    known = load_known_set(GENERAL)
    assert len(known.comparisons) == 44
    prompts = [one.conversation[-1].content for one in known.comparisons]
    assert len(set(prompts)) == 44
    kinds = [one.kind for one in known.comparisons if not one.planted]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "helpful": 12,
        "honest": 12,
        "harmless": 10,
    }
    assert all(one.preferred != one.other for one in known.comparisons)
    assert len({one.principle.comparison_request for one in known.comparisons}) == 3


def test_a_constitution_is_asked_in_turn() -> None:
    known = load_known_set(GENERAL, HARMLESSNESS)
    ids = [one.principle.id for one in known.comparisons]
    assert ids[:16] == [principle.id for principle in HARMLESSNESS.principles]
    assert known.hash != load_known_set(GENERAL).hash
    bare = replace(
        HARMLESSNESS,
        principles=tuple(replace(p, comparison_request="") for p in HARMLESSNESS.principles),
    )
    with pytest.raises(ImportFormatError, match="has no comparison_request"):
        load_known_set(GENERAL, bare)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "known.jsonl:1: no comparison"),
        ('{"a": 1}', "known.jsonl:1: no comparison: its fields are a"),
        ("", "holds no comparison with a winner"),
        (
            json.dumps({**json.loads(GENERAL.read_text().split("\n")[0]), "planted": "yes"}),
            "planted is 'yes'",
        ),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "known.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(ImportFormatError, match=told):
        load_known_set(path)


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official HHH evaluations are not here")
def test_the_official_file_is_read() -> None:
    known = load_known_set(OFFICIAL)
    assert len(known.comparisons) == 120
    assert len({one.cluster for one in known.comparisons}) < 120
    assert {one.principle.id for one in known.comparisons} == {"unknown"}


def make_document(**changes: Any) -> dict[str, Any]:
    rate = {"rate": 0.9, "low": 0.8, "high": 0.95, "n": 9, "clusters": 9}
    document = {
        "model": "demo",
        "model_id": "m",
        "weights_hash": "w",
        "template": "chat",
        "reasoned": False,
        "set": "s",
        "set_hash": "h",
        "least_rate": 0.8,
        "below": [],
        "qualified": True,
        "accuracy": rate,
    }
    return {**document, **changes}


def test_the_newest_of_the_same_way_of_asking_counts(tmp_path: Path) -> None:
    def find(**how: Any) -> str:
        asked = {"template": "chat", "reasoned": False, **how}
        return get_standing(find_qualification(tmp_path, "demo", **asked))

    assert find() == "not known"
    save_qualification(LOCAL_ACTOR, tmp_path, make_document())
    assert (find(), find(reasoned=True), find(template="paper")) == (
        "qualified",
        "not known",
        "not known",
    )
    below = make_document(qualified=False, below=["accuracy"], weights_hash="w2")
    path = save_qualification(LOCAL_ACTOR, tmp_path, below)
    assert find() == "below"
    path.write_text("{")
    assert find() == "qualified"
    named = save_qualification(LOCAL_ACTOR, tmp_path, make_document(model="../a b/c#d"))
    assert named.parent == tmp_path / "qualifications"
    viewer = Actor(name="v", role=AccessRole.REVIEWER)
    with pytest.raises(NotAllowedError, match="qualify a model"):
        save_qualification(viewer, tmp_path, make_document())


def test_handing_in_a_label_run_tells_and_journals_how_its_model_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    folder = tmp_path / "w"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)

    def hand_in(seed: int) -> list[tuple[str, Any]]:
        path = write_plan(tmp_path / "plan.yaml", CHAINS, {**LABELS, "seed": seed})
        assert cli.main(["run", str(path), "--detach"]) == 0
        events = read_events(folder, Topic.LAUNCHES)
        return [
            (event["action"], event.get("qualification"))
            for event in events
            if "qualif" in event["action"] and event["action"] != "qualify model"
        ]

    told = [("go on unqualified", "not known")]
    path = write_plan(tmp_path / "plan.yaml", CHAINS, LABELS)
    assert cli.main(["run", str(path), "--dry-run"]) == 0
    assert "demo is not qualified: ask by" in capsys.readouterr().out
    assert hand_in(1) == told
    assert hand_in(1) == told  # again: the same run, no new line
    save_qualification(
        LOCAL_ACTOR, folder, make_document(qualified=False, below=["accuracy"], weights_hash="v")
    )
    told.append(("go on unqualified", "below"))
    assert hand_in(2) == told
    save_qualification(LOCAL_ACTOR, folder, make_document())
    told.append(("label by a qualified model", "qualified"))
    assert hand_in(3) == told
    assert "demo is qualified (accuracy 90.0 %" in capsys.readouterr().err


def test_what_was_trained_from_the_demo_model_is_of_its_world(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    create_run(runs / "sl", kind="sft", recipe={"base": "demo"})
    create_run(runs / "rl", kind="rl", recipe={"base": str(runs / "sl" / "outputs" / "model")})
    create_run(runs / "mine", kind="sft", recipe={"base": "owner/name"})

    def is_of_world(run: str) -> bool:
        return is_of_demo_world(str(runs / run / "outputs" / "model"), tmp_path)

    assert is_of_demo_world("demo", tmp_path)
    assert is_of_world("sl") and is_of_world("rl")
    assert not is_of_world("mine") and not is_of_world("gone")
    assert not is_of_demo_world("http://127.0.0.1:9#demo", tmp_path)
