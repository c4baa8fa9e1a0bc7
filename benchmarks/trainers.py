"""Training on labels as a run ÷ a bare TRL script with the same settings. Ends in one JSON line.

    python -m benchmarks.trainers [--kinds reward dpo] [--repeats 5] [--pairs 512] [--quick]

For each kind:

    run_over_bare    seconds of the run (dataset frozen, status and metrics durable, checkpoints
                     hashed, samples off, nothing held out) ÷ seconds of TRL's own trainer with the
                     same settings and pairs, hard labels, its model saved at the end
    samples_share    seconds of samples (four prompts before, twice on the way, and after) ÷ those
                     of the training steps; of kinds that sample
    same_losses      whether both logged the same loss at every step (labels are hard: p = 1)

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer

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
OnLog = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One kind of training, both ways.

    Attributes:
        recipe: its plain form; `sampling` the same with samples, None where there are none.
        run: trains as a run; `build_bare` makes the trainer of a bare script.
    """

    recipe: dict[str, Any]
    sampling: dict[str, Any] | None
    run: Callable[..., Any]
    build_bare: Callable[[Path, PreferenceDataset], Any]


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
        args=dpo.build_config(DpoRecipe(**SETTINGS, learning_rate=3e-5), folder, bf16=False),
        train_dataset=dpo.build_columns(dataset.examples).remove_columns("prob"),
        processing_class=AutoTokenizer.from_pretrained(base),
    )


def build_sides(pairs: int) -> dict[str, Side]:
    """Each kind by its name."""
    tuned = DpoRecipe(**SETTINGS, learning_rate=3e-5, sample_prompts=0)
    looks = max(1, pairs // SETTINGS["batch_size"] // 3)
    sampled = replace(tuned, sample_prompts=4, sample_steps=looks)
    return {
        "reward": Side(
            recipe=RewardRecipe(**SETTINGS).as_dict(),
            sampling=None,
            run=reward.run_reward,
            build_bare=build_bare_reward,
        ),
        "dpo": Side(
            recipe=tuned.as_dict(),
            sampling=sampled.as_dict(),
            run=dpo.run_dpo,
            build_bare=build_bare_dpo,
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["reward", "dpo"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="one small round: does it work")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.pairs = 1, 32
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    dataset = build_pairs(args.pairs)
    sides = build_sides(args.pairs)
    result = {kind: measure(kind, sides[kind], dataset, args.repeats) for kind in args.kinds}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**result, "pairs": args.pairs, "peak_mib": peak}))


def measure(kind: str, side: Side, dataset: PreferenceDataset, repeats: int) -> dict[str, Any]:
    """Both ways in turn; the first round warms up where there are more."""
    rounds: list[tuple[float, float]] = []
    same = True
    with tempfile.TemporaryDirectory() as name:
        for number in range(repeats + 1 if repeats > 1 else 1):
            folder = Path(name) / str(number)
            took: dict[str, tuple[float, list[float]]] = {}
            for who in ("ours", "bare") if number % 2 else ("bare", "ours"):
                act = train_ours if who == "ours" else train_bare
                took[who] = act(kind, side, folder / who, dataset)
                print(f"{kind}, {who}: {took[who][0]:.1f} s", file=sys.stderr, flush=True)
            same = same and took["ours"][1] == took["bare"][1]
            rounds.append((took["ours"][0], took["bare"][0]))
        share = None
        if side.sampling is not None:
            run = create_run(Path(name) / "samples", kind=kind, recipe=side.sampling)
            told = side.run(run, lambda: dataset)
            share = round(told.sample_seconds / told.seconds, 3)
    ratios = sorted(ours / bare for ours, bare in rounds[1:] or rounds)
    return {
        "run_over_bare": round(statistics.median(ratios), 3),
        "spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "ours_seconds": round(statistics.median(ours for ours, _ in rounds), 1),
        "bare_seconds": round(statistics.median(bare for _, bare in rounds), 1),
        "samples_share": share,
        "same_losses": same,
    }


def train_ours(
    kind: str, side: Side, folder: Path, dataset: PreferenceDataset
) -> tuple[float, list[float]]:
    """Seconds and losses of a run."""
    run = create_run(folder, kind=kind, recipe=side.recipe)
    losses: list[float] = []
    started = time.perf_counter()
    side.run(run, lambda: dataset, on_log=lambda line: losses.append(line["loss"]))
    return time.perf_counter() - started, losses


def train_bare(
    kind: str, side: Side, folder: Path, dataset: PreferenceDataset
) -> tuple[float, list[float]]:
    """Seconds and losses of the bare script."""
    del kind
    started = time.perf_counter()
    trainer = side.build_bare(folder, dataset)
    trainer.train()
    trainer.save_model(str(folder / "model"))
    seconds = time.perf_counter() - started
    return seconds, [line["loss"] for line in trainer.state.log_history if "loss" in line]


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
