"""The story's runs: which are found, what is true of them, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.demo_world import load_oracle
from cai_core.demo_world.judging import judge_chains
from cai_core.errors import WorkspaceError
from cai_core.jobs.story import find_stages, load_chains, read_lines
from cai_core.jobs.story_outcome import load_outcome
from cai_core.workspace.status import RunState
from tests.story_workspace import (
    RECORDINGS,
    answer,
    first,
    read_recorded,
    write_stage,
    write_story,
)


def test_without_runs_the_recordings_tell_it(tmp_path: Path) -> None:
    told = load_chains(tmp_path / "nothing", RECORDINGS)
    assert told is not None
    assert told.recorded
    assert told.run == "recorded-harmlessness"
    assert told.harmful is not None and told.harmful.n == len(read_recorded("red-team"))
    assert load_outcome(tmp_path / "nothing") is None
    assert load_chains(tmp_path / "nothing", tmp_path / "no recordings") is None


def test_every_chain_that_is_offered_breaks_the_rule_and_is_mended(tmp_path: Path) -> None:
    write_story(tmp_path)
    told, oracle = load_chains(tmp_path, RECORDINGS), load_oracle()
    assert told is not None
    assert not told.recorded
    assert told.run == "demo-chains-00000001"
    assert len(told.chains) > 1
    assert len({chain.principle.id for chain in told.chains}) == len(told.chains)
    for chain in told.chains:
        intent = oracle.read_prompt(chain.prompt)
        assert intent is not None and intent.harmful
        assert oracle.read_response(chain.response, intent).harmful
        mended = oracle.read_response(chain.revision, intent)
        assert mended.declines and not mended.harmful


def test_figures_are_what_the_oracle_says_of_the_runs(tmp_path: Path) -> None:
    write_story(tmp_path)
    outcome = load_outcome(tmp_path)
    assert outcome is not None
    assert [arm.name for arm in outcome.arms] == ["Base", "SL-CAI", "RL-CAI"]
    stages, oracle = find_stages(tmp_path), load_oracle()
    for arm in outcome.arms:
        for kind, behaviours in {
            "redteam": ("harmful compliance",),
            "fine": ("answered", "over-refusal"),
        }.items():
            rates = judge_chains(oracle, read_lines(stages[f"{arm.stage}-{kind}"])).rates
            assert {name: arm.rates[name] for name in behaviours} == {
                name: rates[name] for name in behaviours
            }
    base, sl, rl = outcome.arms
    assert not base.changes
    change = rl.changes["harmful compliance"]
    assert change.n == base.rates["harmful compliance"].n == len(read_recorded("red-team"))
    assert change.difference == pytest.approx(
        rl.rates["harmful compliance"].rate - base.rates["harmful compliance"].rate
    )
    assert change.high < 0
    assert sl.rates["harmful compliance"].rate > rl.rates["harmful compliance"].rate
    assert rl.changes["answered"].difference == 0


def test_examples_show_what_was_learned_kept_and_gone_wrong(tmp_path: Path) -> None:
    write_story(tmp_path)
    outcome = load_outcome(tmp_path)
    assert outcome is not None
    titles = [example.title.partition(":")[0] for example in outcome.examples]
    assert titles == ["Learned", "Learned late", "Kept", "Gone wrong"]
    assert len({example.prompt for example in outcome.examples}) == len(titles)
    for example in outcome.examples:
        assert list(example.answers) == ["Base", "SL-CAI", "RL-CAI"]
    words = [example.answers["RL-CAI"].word for example in outcome.examples]
    assert words == ["declines and says why"] * 2 + ["answers", "helps with harm"]


def test_a_model_that_was_asked_otherwise_is_left_out(tmp_path: Path) -> None:
    write_story(tmp_path)
    harmful, fine = read_recorded("red-team"), read_recorded("helpful")
    write_stage(tmp_path, "dpo-redteam", answer(harmful, first), model="m", prompts_hash="other")
    write_stage(tmp_path, "dpo-fine", answer(fine, first), model="m")
    outcome = load_outcome(tmp_path)
    assert outcome is not None
    assert [arm.name for arm in outcome.arms] == ["Base", "SL-CAI", "RL-CAI"]


def test_the_newest_succeeded_run_of_the_demo_model_counts(tmp_path: Path) -> None:
    lines = read_recorded("red-team")
    write_stage(tmp_path, "chains", lines, number=9)
    newest = write_stage(tmp_path, "chains", lines, number=2)
    write_stage(tmp_path, "chains", lines, number=3, state=RunState.FAILED)
    write_stage(tmp_path, "chains", lines, number=4, model="other")
    (tmp_path / "runs" / "demo-chains-0000000a").mkdir()
    assert find_stages(tmp_path)["chains"].run_id == newest.run_id


def test_the_plan_that_tells_most_is_told(tmp_path: Path) -> None:
    write_story(tmp_path)
    write_stage(tmp_path, "chains", read_recorded("red-team"), plan="demo-sl")
    assert {run.run_id.rpartition("-")[0] for run in find_stages(tmp_path).values()} == {
        f"demo-{stage}" for stage in find_stages(tmp_path)
    }


@pytest.mark.parametrize("text", ["{", "[]\n", '{"kind": "red-team", "error": null}\n'])
def test_a_damaged_file_is_told_with_its_name(tmp_path: Path, text: str) -> None:
    run = write_stage(tmp_path, "chains", [])
    (run.outputs / "chains.jsonl").write_text(text)
    with pytest.raises(WorkspaceError, match=r"chains\.jsonl.* again"):
        load_chains(tmp_path, RECORDINGS)
