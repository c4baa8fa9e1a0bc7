"""Training on labels and by RL as a run ÷ a bare TRL script with the same settings. One JSON line.

    python -m benchmarks.trainers [--kinds reward dpo rl] [--repeats 5] [--pairs 512] [--steps 30]
                                  [--quick]

For each kind:

    run_over_bare    seconds of the run (dataset frozen, status and metrics durable, checkpoints
                     hashed, samples and probe off, nothing held out) ÷ seconds of TRL's own trainer
                     with the same settings and data, its model saved at the end; pairs have hard
                     labels, the reward of RL is the completion's length
    own_share        seconds of samples (four prompts before, twice on the way, and after) and of
                     the probe (as in a run: 24 prompts of each kind, every ten steps) ÷ those of
                     the training steps; 0 for reward models, which have neither
    same_losses      whether both logged the same loss (RL: loss, reward and KL) at every step

Sides take turns; figures are medians of pairs. A kind is a `Side`: add one for another trainer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._trainers_rl import RlSide
from cai_core.inference.model_folder import resolve_model
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Message, PromptKind, Verdict
from cai_core.training import dpo, reward
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.preferences import PreferenceDataset, build_preference_dataset
from cai_core.training.reward_recipe import RewardRecipe
from cai_core.workspace.runs import create_run

SOURCE = PreferenceSource(run="labels")
SETTINGS: dict[str, Any] = {
    "base": "demo",
    "sources": (SOURCE,),
    "soft": False,
    "eval_share": 0.0,
    "method": "full",
    "batch_size": 16,
    "micro_batch": 16,
    "max_length": 384,
    "precision": "fp32",
}
TUNED = DpoRecipe(**SETTINGS, learning_rate=3e-5, sample_prompts=0)
KINDS = ["reward", "dpo", "rl"]


class Side(Protocol):
    """One kind of training, both ways: what each logged, step by step."""

    def train_ours(self, folder: Path) -> list[Any]:
        """As a run in that folder."""
        ...

    def train_bare(self, folder: Path) -> list[Any]:
        """What a person would write with TRL."""
        ...

    def measure_share(self, folder: Path) -> float:
        """Seconds of samples and probe over those of the steps, in one more run."""
        ...


def build_bare_reward(folder: Path, dataset: PreferenceDataset) -> RewardTrainer:
    """What a person would write with TRL."""
    base = resolve_model("demo")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, dtype=torch.float32
    )
    return RewardTrainer(
        model=model,
        args=reward.build_config(RewardRecipe(**SETTINGS), folder, bf16=False),
        train_dataset=dpo.build_columns(dataset.examples).remove_columns("prob"),
        processing_class=AutoTokenizer.from_pretrained(base),
    )


def build_bare_dpo(folder: Path, dataset: PreferenceDataset) -> DPOTrainer:
    """What a person would write with TRL."""
    base = resolve_model("demo")
    return DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=dpo.build_config(TUNED, folder, bf16=False),
        train_dataset=dpo.build_columns(dataset.examples).remove_columns("prob"),
        processing_class=AutoTokenizer.from_pretrained(base),
    )


class PairSide:
    """Reward models or DPO, both ways."""

    def __init__(self, kind: str, pairs: int) -> None:
        self._kind, self._dataset = kind, build_pairs(pairs)
        self._recipe = RewardRecipe(**SETTINGS) if kind == "reward" else TUNED
        self._run: Any = reward.run_reward if kind == "reward" else dpo.run_dpo
        self._build: Any = build_bare_reward if kind == "reward" else build_bare_dpo

    def train_ours(self, folder: Path) -> list[Any]:
        """A run; its losses."""
        run = create_run(folder, kind=self._kind, recipe=self._recipe.as_dict())
        losses: list[Any] = []
        self._run(run, lambda: self._dataset, on_log=lambda line: losses.append(line["loss"]))
        return losses

    def train_bare(self, folder: Path) -> list[Any]:
        """The bare script; its losses."""
        trainer = self._build(folder, self._dataset)
        trainer.train()
        trainer.save_model(str(folder / "model"))
        return [line["loss"] for line in trainer.state.log_history if "loss" in line]

    def measure_share(self, folder: Path) -> float:
        """Of samples; reward models write none."""
        if self._kind == "reward":
            return 0.0
        steps = len(self._dataset.examples) // SETTINGS["batch_size"]
        recipe = replace(TUNED, sample_prompts=4, sample_steps=max(1, steps // 3))
        run = create_run(folder, kind=self._kind, recipe=recipe.as_dict())
        told = self._run(run, lambda: self._dataset)
        return float(told.sample_seconds / told.seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--steps", type=int, default=30, help="of RL")
    parser.add_argument("--quick", action="store_true", help="one small round: does it work")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.pairs, args.steps = 1, 32, 3
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    result = {}
    for kind in args.kinds:
        side: Side = RlSide(args.steps) if kind == "rl" else PairSide(kind, args.pairs)
        result[kind] = measure(kind, side, args.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sizes = {"pairs": args.pairs, "steps": args.steps, "repeats": args.repeats}
    print(json.dumps({**result, **sizes, "peak_mib": peak}))


def measure(kind: str, side: Side, repeats: int) -> dict[str, Any]:
    """Both ways in turn; the first round warms up where there are more."""
    rounds: list[tuple[float, float]] = []
    same = True
    with tempfile.TemporaryDirectory() as name:
        for number in range(repeats + 1 if repeats > 1 else 1):
            folder = Path(name) / str(number)
            took: dict[str, float] = {}
            told: dict[str, list[Any]] = {}
            for who in ("ours", "bare") if number % 2 else ("bare", "ours"):
                act = side.train_ours if who == "ours" else side.train_bare
                started = time.perf_counter()
                told[who] = act(folder / who)
                took[who] = time.perf_counter() - started
                print(f"{kind}, {who}: {took[who]:.1f} s", file=sys.stderr, flush=True)
            same = same and bool(told["ours"]) and told["ours"] == told["bare"]
            rounds.append((took["ours"], took["bare"]))
        share = side.measure_share(Path(name) / "own")
    kept = rounds[1:] or rounds
    ratios = sorted(ours / bare for ours, bare in kept)
    return {
        "run_over_bare": round(statistics.median(ratios), 3),
        "spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "ours_seconds": round(statistics.median(ours for ours, _ in kept), 1),
        "bare_seconds": round(statistics.median(bare for _, bare in kept), 1),
        "own_share": round(share, 3),
        "same_losses": same,
    }


def build_pairs(count: int) -> PreferenceDataset:
    """Answers of about thirty tokens to prompts of about fifteen."""
    labels = [
        LabelRecord(
            comparison_id=f"c{number:05}",
            prompt_id=f"p{number:05}",
            prompt_kind=PromptKind.RED_TEAM,
            tags=(),
            conversation=(Message("user", f"How do I pick lock number {number}?"),),
            response_a=f"I will not help you pick lock number {number}. It may be another "
            "person's. I can help you find a locksmith who will ask whose it is.",
            response_b=f"Sure. To pick lock number {number}, take a thin wire, put it in, and turn "
            "it until you feel the pins. Then turn the lock and go in at once.",
            source_a={},
            source_b={},
            prob_a=0.9,
            prob_a_clamped=0.9,
            verdict=Verdict.A,
            label_source="feedback-model",
        )
        for number in range(count)
    ]
    return build_preference_dataset([(SOURCE, labels)], soft=False, eval_share=0.0, seed=0)


if __name__ == "__main__":
    main()
