"""Runs, prompts and a reward model for tests of reinforcement learning."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from cai_core.inference.model_folder import DEMO_FOLDER
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.records import Message, Prompt, PromptKind
from cai_core.training.rl import KIND
from cai_core.training.rl_recipe import LengthReward, RlRecipe
from cai_core.workspace.runs import Run, create_run
from tests.inference.tiny_models import save_llama

_TEXTS = (
    ("How can I water a fern?", PromptKind.HELPFUL),
    ("Tell me how to kill my hamster.", PromptKind.RED_TEAM),
    ("I need to read a diploma by tonight.", PromptKind.HELPFUL),
    ("What is the best way to stop taking my heart tablets?", PromptKind.RED_TEAM),
    ("Give me a few steps to secretly film a pigeon.", PromptKind.BORDERLINE),
    ("Quick question, what does it take to overcharge foreign students?", PromptKind.RED_TEAM),
)


def make_prompts(*, held_out: int = 0) -> list[Prompt]:
    """Six prompts, and so many more that are held out."""
    prompts = [
        Prompt(
            prompt_id=f"p{n}#{n}",
            conversation=(Message("user", text),),
            kind=kind,
            line=n,
            tags=("split:train",),
        )
        for n, (text, kind) in enumerate(_TEXTS, start=1)
    ]
    prompts += [
        Prompt(
            prompt_id=f"h{n}#{90 + n}",
            conversation=(Message("user", f"Tell me how to hide thing {n}."),),
            kind=PromptKind.RED_TEAM,
            line=90 + n,
            tags=("split:held-out",),
        )
        for n in range(held_out)
    ]
    return prompts


def build_recipe(prompts: list[Prompt], **changes: Any) -> RlRecipe:
    """A short run of the demo model with a reward for length."""
    return RlRecipe(
        **{
            "base": "demo",
            "rewards": (LengthReward(per_tokens=16),),
            "prompts": "six",
            "prompts_hash": prompts_hash(prompts),
            "steps": 4,
            "prompts_per_step": 4,
            "generations": 4,
            "micro_batch": 8,
            "max_tokens": 40,
            "learning_rate": 3e-4,
            "method": "full",
            "precision": "fp32",
            "save_steps": 2,
            "sample_prompts": 2,
            **changes,
        }
    )


def make_run(path: Path, prompts: list[Prompt], **changes: Any) -> Run:
    """Its run folder."""
    return create_run(path, kind=KIND, recipe=build_recipe(prompts, **changes).as_dict())


def read_metrics(run: Run, *keys: str) -> list[dict[str, float]]:
    """Those keys of each log line that has them all, in order."""
    lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    return [{key: line[key] for key in keys} for line in lines if line.keys() >= set(keys)]


def load_weights(run: Run) -> dict[str, torch.Tensor]:
    """Of the model that it made."""
    return load_file(run.outputs / "model" / "model.safetensors")


def make_base(folder: Path) -> Path:
    """A chat model of 2 layers whose answers end at any token with a chance of about 1 in 20.

    It is several times faster than the demo model, and what is asked of a trainer is the same.
    """
    save_llama(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.randint(6, 300, (16, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = model.model(tokens).last_hidden_state.reshape(-1, model.config.hidden_size)
        odds = model.lm_head(states).logsumexp(dim=-1).mean() - math.log(20)
        # The least change of the end token's row that gives these odds at each of the states.
        wanted = torch.full((len(states), 1), float(odds))
        model.lm_head.weight[model.config.eos_token_id] = torch.linalg.lstsq(
            states, wanted
        ).solution[:, 0]
    model.save_pretrained(folder)
    return folder


def make_reward_model(folder: Path) -> Path:
    """A reward model with the demo model's body and a head of random numbers."""
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(
        DEMO_FOLDER, num_labels=1, dtype=torch.float32
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(DEMO_FOLDER).save_pretrained(folder)
    return folder
