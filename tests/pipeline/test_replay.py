"""Replays of the real demo model's chains and labels, what they refuse, and what they explain."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.replays import start_replay
from cai_core.constitution import dump_constitution
from cai_core.constitution.model import with_hash
from cai_core.errors import CaiError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.label_stage import run_label
from cai_core.pipeline.label_records import read_labels
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.replay import run_replay
from cai_core.pipeline.replay_live import ReplayBuffer, ReplayHub, ReplayRequest
from cai_core.pipeline.replay_report import ReplayReport, build_report, pair_rows
from cai_core.pipeline.replay_targets import (
    ChainTarget,
    LabelTarget,
    ReplayError,
    Target,
    build_label_target,
)
from cai_core.records import LOCAL_ACTOR, Finding, StepKind, Verdict
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run
from tests.chain_workspace import Round, Texts, write_chains
from tests.fake_model import serve_fake_model, wait_until
from tests.pipeline.label_runs import held_out_prompts, make_chains, make_label_run
from tests.pipeline.makers import make_constitution
from tests.workspace.rows_of import make_row

OTHER_HASH = "0" * 64


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("replays")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


@pytest.fixture(scope="module")
def chains(workspace: Path) -> Run:
    return make_chains(workspace, "chains", held_out_prompts("redteam", 2), revisions=2, samples=2)


@pytest.fixture(scope="module")
def labels(workspace: Path, chains: Run) -> Run:
    run = make_label_run(workspace, "labels", [{"run": "chains"}], seed=3, reasoned=True)
    run_label(run, workspace)
    return run


def target_of(run: Run, sample: int = 1) -> ChainTarget:
    """The last prompt's chain of that sample."""
    rows = [row for row in RowIndex(run, "chain").values() if row.sample == sample]
    own = sorted((r for r in rows if r.prompt_id == rows[0].prompt_id), key=lambda r: r.index)
    return ChainTarget(id=own[0].row_id, run=run.run_id, run_kind=run.kind, rows=tuple(own))


def label_of(run: Run, place: int = 1) -> LabelTarget:
    label = list(read_labels(run.path))[place]
    rows = [row for row in RowIndex(run, "label").values() if row.sample == place]
    rows.sort(key=lambda row: (row.index, row.cot, row.order))
    return build_label_target(run.run_id, run.kind, place, label, rows)


def replay(target: Target, workspace: Path) -> ReplayReport:
    buffer = ReplayBuffer(target.rows)
    asyncio.run(run_replay("r", ReplayRequest(target=target, workspace=workspace), buffer))
    report = buffer.snapshot().report
    assert report is not None
    return report


def refuse(target: Target, workspace: Path, words: str) -> None:
    with pytest.raises(ReplayError, match=words):
        replay(target, workspace)


def test_a_chain_of_the_demo_model_is_the_same_to_the_letter(workspace: Path, chains: Run) -> None:
    target = target_of(chains)
    report = replay(target, workspace)
    assert report.first is None
    assert [step.name for step in report.steps] == [
        "initial response",
        "critique 1",
        "revision 1",
        "critique 2",
        "revision 2",
    ]
    assert report.reasons == report.notes == ()
    # The seeds and the ids are those of the stored rows, not merely the texts.
    for step in report.steps:
        assert step.stored is not None and step.new is not None
        assert (step.new.row_id, step.new.seed) == (step.stored.row_id, step.stored.seed)
    assert len(list(RowIndex(chains, "chain"))) == 2 * 2 * 5  # nothing was written


def test_a_label_is_the_same_to_the_last_bit(workspace: Path, labels: Run) -> None:
    target = label_of(labels)
    report = replay(target, workspace)
    assert report.first is None
    assert report.label == target.label
    assert [step.moved for step in report.steps] == [0.0, 0.0]
    assert all(step.new is not None and step.new.text for step in report.steps)


def test_a_planted_difference_is_found_where_it_lies(workspace: Path, chains: Run) -> None:
    target = target_of(chains, 0)
    rows = list(target.rows)
    rows[1] = replace(rows[1], text=f"{rows[1].text} And more.", engine_version="0.0.1")
    report = replay(replace(target, rows=tuple(rows)), workspace)
    assert report.first is not None and report.first.name == "critique 1"
    assert [step.same for step in report.steps] == [True, False, True, True, True]
    assert report.reasons[0].startswith("The server’s version is another one: it was '0.0.1'")


def test_another_seed_in_the_recipe_gives_another_chain(workspace: Path, chains: Run) -> None:
    other = make_chains(workspace, "other", held_out_prompts("redteam", 1), revisions=1, seed=9)
    stored = target_of(other, 0)
    path = other.path / "recipe.yaml"
    path.write_text(path.read_text().replace("seed: 9", "seed: 8"))
    report = replay(stored, workspace)
    assert report.first is not None
    assert report.reasons[0].startswith("The seed is another one, so the recipe was changed")
    assert report.reasons[-1].startswith("The steps after the initial response go on from another")


def test_the_constitution_is_the_very_version_or_none(workspace: Path) -> None:
    rules = make_constitution()
    (row_id,) = write_chains(
        workspace, "changed", [Texts(prompt="How?", rounds=(Round(revision="So."),))],
        constitution=rules, model="demo",
    )  # fmt: skip
    changed = with_hash(replace(rules, description="Another."))
    path = workspace / "runs" / "changed" / "outputs" / "constitution.yaml"
    path.write_text(dump_constitution(changed), "utf-8")
    row = make_row("changed", prompt={"conversation": [{"role": "user", "content": "How?"}]})
    target = ChainTarget(id=row_id, run="changed", run_kind="revise", rows=(row,))
    refuse(target, workspace, f"nowhere in the workspace.*holds {changed.hash[:12]}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_kind": "import"}, "was imported"),
        ({"run_kind": "ways"}, "makes no chains"),
        ({"rows": ()}, "holds the prompt, is missing"),
        ({"run": "gone"}, "is not in the workspace any more"),
        ({"run": "../../etc"}, "is not in the workspace any more"),
    ],
)
def test_what_cannot_be_replayed_says_why(
    workspace: Path, chains: Run, changes: dict[str, object], words: str
) -> None:
    refuse(replace(target_of(chains), **changes), workspace, words)


def test_a_missing_model_is_told(workspace: Path) -> None:
    write_chains(workspace, "no-model", [Texts(prompt="How?")], model="/no/such/model")
    row = make_row("no-model", prompt={"conversation": [{"role": "user", "content": "How?"}]})
    target = ChainTarget(id=row.row_id, run="no-model", run_kind="revise", rows=(row,))
    refuse(target, workspace, "'/no/such/model' cannot be asked any more: No model")


def test_labels_without_a_model_and_other_comparisons_are_refused(
    workspace: Path, labels: Run
) -> None:
    target = label_of(labels)
    person = replace(target.label, label_source="human", reviewer="Ada")
    refuse(replace(target, label=person), workspace, "No feedback model was asked.*Ada said it")
    refuse(replace(target, run_kind="import"), workspace, "was imported")
    refuse(replace(target, rows=()), workspace, "answers.*are missing")
    refuse(replace(target, place=0), workspace, "about another comparison now")
    refuse(replace(target, place=999), workspace, "is missing or damaged")


def test_a_replay_runs_behind_the_page_is_journalled_and_stops(tmp_path: Path) -> None:
    with serve_fake_model() as fake:
        write_chains(tmp_path, "slow", [Texts(prompt="How?")], model=fake.url)
        row = make_row("slow", prompt={"conversation": [{"role": "user", "content": "How?"}]})
        target = ChainTarget(id=row.row_id, run="slow", run_kind="revise", rows=(row,))
        hub = ReplayHub(run_replay)
        live = start_replay(LOCAL_ACTOR, tmp_path, hub, target)
        assert hub.get(live.id) is live
        live.join(20)
        snapshot = live.snapshot()
    # The fake refuses what is not streamed: an error row, which differs from the stored text.
    assert snapshot.state is ChainState.FINISHED, snapshot.error
    assert snapshot.report is not None and snapshot.report.first is not None
    begun, ended = read_events(tmp_path, Topic.LAUNCHES)
    assert (begun["action"], begun["run"], begun["chain"]) == ("replay chain", "slow", target.id)
    assert (ended["action"], ended["same"]) == ("replayed chain", False)
    assert ended["first_difference"] == "initial response"
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"slow"}


def test_a_stopped_replay_says_nothing_of_its_end(tmp_path: Path) -> None:
    async def wait(_id: str, _request: ReplayRequest, buffer: ReplayBuffer) -> None:
        buffer.add(make_row(text="Hello."))
        await asyncio.sleep(60)

    hub = ReplayHub(wait, max_live=1)
    target = ChainTarget(id="c", run="r", run_kind="revise", rows=(make_row(),))
    live = start_replay(LOCAL_ACTOR, tmp_path, hub, target)
    wait_until(lambda: live.snapshot().done == 1)
    with pytest.raises(CaiError, match="1 replays are running"):
        start_replay(LOCAL_ACTOR, tmp_path, hub, target)
    live.stop()
    live.join(5)
    assert live.snapshot().state is ChainState.STOPPED
    assert [event["action"] for event in read_events(tmp_path, Topic.LAUNCHES)] == ["replay chain"]


def answer(order: int, prob: float, **changes: object) -> Row:
    scoring = {"way": "token-ids", "probabilities": [prob, 1 - prob], "mass": 1.0}
    fields = {"kind": StepKind.LABEL, "step": "label-0", "order": order, "text": None}
    return make_row(**{**fields, "scoring": scoring, "principle_id": "p0", **changes})


def test_answers_are_paired_by_what_was_asked_and_probabilities_compared() -> None:
    stored = [answer(0, 0.7), answer(1, 0.2)]
    new = [answer(1, 0.2), answer(0, 0.65)]
    steps = pair_rows(stored, new)
    assert [step.name for step in steps] == ["answer about p0, A first", "answer about p0, B first"]
    assert [step.same for step in steps] == [False, True]
    assert steps[0].moved == pytest.approx(0.05)
    assert pair_rows(stored, new[:1])[0].new is None


@pytest.mark.parametrize(
    ("old", "new", "seeds", "words"),
    [
        ({"weights_hash": "a" * 64}, {"weights_hash": "b" * 64}, None, "it was aaaaaaaaaaaa, it"),
        ({"weights_hash": None}, {}, None, "does not tell the hash"),
        ({"model_id": "x"}, {"model_id": "y"}, None, "Another model answers: it was 'x'"),
        ({}, {"sampling": {"temperature": 0.5}}, None, "it is temperature 0.5"),
        ({}, {"template_version": "chat/2"}, None, "another way \\(template\\)"),
        ({}, {"repeatability": "statistical"}, "no", "takes no seeds"),
        ({}, {"repeatability": "statistical"}, "yes", "does not promise that a seeded text"),
        ({"error": "it broke", "text": None}, {}, None, "errors come and go: it broke"),
        ({}, {}, None, "Nothing that was kept explains it"),
    ],
)
def test_why_it_differs_is_said(
    old: dict[str, object], new: dict[str, object], seeds: str | None, words: str
) -> None:
    report = build_report([make_row(**old)], [make_row(text="Other.", **new)], seeds=seeds)
    assert any(re.search(words, reason) for reason in report.reasons)


def test_what_changed_and_made_no_difference_is_a_note() -> None:
    same = build_report([make_row()], [make_row(engine_version="2", weights_hash=OTHER_HASH)])
    assert same.first is None and same.reasons == ()
    assert any("version" in note for note in same.notes)
    finding = make_row(kind=StepKind.CRITIQUE, finding=Finding.FOUND)
    assert build_report([finding], [replace(finding, finding=None)]).first is not None
    told = answer(0, 0.5, verdict=Verdict.A, text="Verdict: A")
    assert build_report([told], [replace(told, verdict=Verdict.B)]).first is not None
