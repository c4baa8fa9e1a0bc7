"""Direct RLAIF against the bundled server. The demo model was not taught to give scores of 1 to 10:
what is tested is that its expected score is read and mapped, not that it judges well.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cai_core.constitution import find_constitution
from cai_core.errors import ModelError, RecipeError
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import DEMO
from cai_core.inference.pool import EnginePool
from cai_core.inference.scoring import score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.prompts import chat
from cai_core.records import Message, Principle
from cai_core.training.judge_reward import Judge
from cai_core.training.rewards import SCORES, RewardUnavailableError, Rollout
from cai_core.training.rl import choose_principles, run_rl_training
from cai_core.training.rl_recipe import JudgeReward
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.training.rl_makers import make_prompts, make_run, read_metrics

CONSTITUTION = find_constitution("harmlessness")
ANSWERS = ("Water it in the morning.", "I would rather not say.", "You water a fern slowly.")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    workspace: Path = tmp_path_factory.mktemp("workspace")
    yield ensure_server(DEMO, workspace)
    stop_server(DEMO, workspace)


def open_at(endpoint: Endpoint, *, patience: float = 30.0) -> Callable[[], EnginePool]:
    return lambda: EnginePool([endpoint], concurrency=8, first_limit=8, patience=patience)


def open_nowhere(demo: Endpoint) -> Callable[[], EnginePool]:
    return open_at(dataclasses.replace(demo, base_url="http://127.0.0.1:9"), patience=0.5)


def make_rollouts(step: int = 1) -> list[Rollout]:
    asked = (Message("user", "How can I water a fern?"),)
    return [
        Rollout(prompt_id="p#1", conversation=asked, text=text, tokens=6, ended=True, step=step)
        for text in ANSWERS
    ]


async def score_by_hand(endpoint: Endpoint, rollout: Rollout, principle: Principle) -> float:
    prompt = chat.build_score(rollout.conversation, rollout.text, principle)
    async with ModelClient(endpoint) as client:
        told = await score_options(client, prompt, SCORES, way="token-ids", cache=OptionTokens())
    expected = sum(int(score) * told.probability(score) for score in SCORES)
    return (expected - 5.5) / 4.5


def test_a_reward_is_the_expected_score_in_its_place(demo: Endpoint) -> None:
    principle = CONSTITUTION.principles[0]
    rollouts = make_rollouts()
    with Judge(open_at(demo), [principle], least_mass=0.0, seed=0) as judge:
        rewards = judge.compute(rollouts)
    by_hand = [asyncio.run(score_by_hand(demo, one, principle)) for one in rollouts]
    assert rewards == pytest.approx(by_hand, abs=1e-9)
    assert all(-1 <= reward <= 1 for reward in rewards)
    assert len(set(rewards)) == len(rewards)


def test_a_judge_that_would_say_something_else_ends_it(demo: Endpoint) -> None:
    with (
        Judge(open_at(demo), CONSTITUTION.principles, least_mass=1.0, seed=0) as judge,
        pytest.raises(ModelError, match="gives the scores 1 to 10 only"),
    ):
        judge.compute(make_rollouts())


def test_a_principle_is_drawn_for_each_prompt_and_step(demo: Endpoint) -> None:
    def draw(seed: int) -> list[str]:
        judge = Judge(open_at(demo), CONSTITUTION.principles, least_mass=0.0, seed=seed)
        return [judge.draw_principle(name, step).id for name in ("p", "q") for step in range(12)]

    assert draw(0) == draw(0) != draw(1)
    assert len(set(draw(0))) > 4


def test_principles_are_chosen_by_their_ids() -> None:
    first, second = (principle.id for principle in CONSTITUTION.principles[:2])
    chosen = choose_principles(JudgeReward(model="demo", principles=(second, first)), CONSTITUTION)
    assert [principle.id for principle in chosen] == [second, first]
    assert len(choose_principles(JudgeReward(model="demo"), CONSTITUTION)) == 16
    with pytest.raises(RecipeError, match="has no principle nothing"):
        choose_principles(JudgeReward(model="demo", principles=("nothing",)), CONSTITUTION)
    with pytest.raises(RecipeError, match="no constitution"):
        choose_principles(JudgeReward(model="demo"), None)


def test_a_judge_that_is_gone_interrupts_the_run_which_then_goes_on(
    demo: Endpoint, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    prompts = make_prompts()
    run = make_run(
        tmp_path / "run",
        prompts,
        steps=1,
        prompts_per_step=2,
        max_tokens=24,
        sample_prompts=0,
        rewards=(JudgeReward(model="demo", least_mass=0.0),),
        constitution=CONSTITUTION.name,
        constitution_hash=CONSTITUTION.hash,
    )
    with pytest.raises(RewardUnavailableError, match="the judge did not answer"):
        run_rl_training(run, prompts, constitution=CONSTITUTION, judges=[open_nowhere(demo)])
    status = run.status()
    assert status.state is RunState.INTERRUPTED
    assert "the judge did not answer" in str(status.reason)
    run_rl_training(open_run(run.path), prompts, constitution=CONSTITUTION, judges=[open_at(demo)])
    assert run.status().state is RunState.SUCCEEDED
    (line,) = read_metrics(run, "reward", "rewards/judge/mean", "rewards/judge/std")
    assert -1 <= line["reward"] <= 1
    assert line["rewards/judge/std"] > 0
    assert "judge `demo` under harmlessness" in (run.outputs / "model" / "README.md").read_text()
