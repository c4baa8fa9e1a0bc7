"""RLOO as a run, and as a bare TRL script, for `benchmarks.trainers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.rloo_trainer import RLOOTrainer

from cai_core.inference.model_folder import resolve_model
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.records import Prompt, PromptKind
from cai_core.training.alarm_callback import AlarmCallback
from cai_core.training.alarm_limits import AlarmLimits
from cai_core.training.probe import Probe
from cai_core.training.probe_prompts import choose_probe
from cai_core.training.rl import KIND, Hooks, run_rl_training
from cai_core.training.rl_prompts import build_order, choose_prompts
from cai_core.training.rl_recipe import LengthReward, RlRecipe
from cai_core.training.rl_trainer import build_config
from cai_core.workspace.runs import create_run

PROMPTS = Path(__file__).resolve().parents[1] / "data" / "prompts"
_LOGGED = ("loss", "reward", "kl")
# Units of the length reward.
_TOKENS = 64


class RlSide:
    """RLOO with a reward for length on the shipped prompts; settings as in the demo's loop."""

    def __init__(self, steps: int) -> None:
        self._prompts = load_training_prompts()
        self._recipe = RlRecipe(
            base="demo",
            rewards=(LengthReward(per_tokens=_TOKENS),),
            prompts="redteam + helpful",
            prompts_hash=prompts_hash(self._prompts),
            steps=steps,
            prompts_per_step=16,
            generations=4,
            micro_batch=64,
            max_tokens=96,
            learning_rate=1e-5,
            method="full",
            precision="fp32",
            sample_prompts=0,
        )

    def train_ours(self, folder: Path) -> list[Any]:
        """A run without probe; what it logged."""
        run = create_run(folder, kind=KIND, recipe=self._recipe.as_dict())
        told: list[Any] = []
        run_rl_training(run, self._prompts, hooks=Hooks(on_log=lambda one: told.append(_read(one))))
        return told

    def train_bare(self, folder: Path) -> list[Any]:
        """What a person would write with TRL; what it logged."""
        base = resolve_model("demo")
        tokenizer = AutoTokenizer.from_pretrained(base)
        end = tokenizer.eos_token_id

        def length(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
            return [(len(ids) - (ids[-1] == end)) / _TOKENS for ids in completion_ids]

        trainer = RLOOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            reward_funcs=length,
            args=build_config(self._recipe, folder, bf16=False),
            train_dataset=self._build_dataset(),
            processing_class=tokenizer,
        )
        trainer.train()
        trainer.save_model(str(folder / "model"))
        return [_read(line) for line in trainer.state.log_history if "loss" in line]

    def measure_share(self, folder: Path) -> float:
        """Of samples and probe, as a worker has them."""
        steps = self._recipe.steps
        recipe = replace(self._recipe, sample_prompts=4, sample_steps=max(1, steps // 3))
        run = create_run(folder, kind=KIND, recipe=recipe.as_dict())
        # A reward for length makes answers longer, and nothing here is to ring.
        limits = AlarmLimits(**dict.fromkeys(_ALARMS))
        made: list[AlarmCallback] = []

        def build(tokenizer: Any) -> list[AlarmCallback]:
            probe = Probe(
                tokenizer,
                choose_probe(self._prompts, recipe.probe_prompts, recipe.seed),
                every=recipe.probe_steps,
                seed=recipe.seed,
                max_tokens=recipe.max_tokens,
            )
            made.append(AlarmCallback(run.path, limits, probe))
            return list(made)

        told = run_rl_training(run, self._prompts, hooks=Hooks(build_callbacks=build))
        return (told.sample_seconds + made[0].seconds) / told.seconds

    def _build_dataset(self) -> Dataset:
        order = build_order(
            self._prompts,
            steps=self._recipe.steps,
            per_step=self._recipe.prompts_per_step,
            red_team_share=None,
            seed=self._recipe.seed,
        )
        turns = [[turn.as_dict() for turn in prompt.conversation] for prompt in self._prompts]
        return Dataset.from_dict({"prompt": turns}).select(order)


_ALARMS = (
    *("kl", "longer", "shorter", "repetition", "boilerplate", "distinct"),
    *("emoji", "identical", "evasive", "over_refusal", "goodhart"),
)


def load_training_prompts() -> list[Prompt]:
    """Those of the shipped sets that may be trained on."""
    found = []
    for kind in (PromptKind.RED_TEAM, PromptKind.HELPFUL):
        found += load_prompts(PROMPTS / f"{kind.value.replace('-', '')}.jsonl").prompts
    return list(choose_prompts(found).prompts)


def _read(line: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(float(line[name]) for name in _LOGGED)
