"""Fine-tuning as a run ÷ a bare TRL script with the same settings. Ends in one JSON line.

    python -m benchmarks.sft [--repeats 5] [--examples 512]

    run_over_bare    seconds of `run_sft` (dataset frozen, status and metrics durable, checkpoints
                     hashed, samples off) ÷ seconds of TRL's trainer with the same settings and
                     examples, its model saved at the end; both from a loaded library
    samples_share    seconds of samples (four prompts before, twice on the way, and after) ÷ those
                     of the training steps
    same_losses      whether both logged the same loss at every step

Sides take turns; figures are medians of pairs.
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
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_trainer import SFTTrainer

from cai_core.inference.model_folder import resolve_model
from cai_core.training.datasets import SftDataset, build_sft_dataset
from cai_core.training.recipe import ChainSource, SftRecipe
from cai_core.training.sft import KIND, build_config, run_sft
from cai_core.workspace.runs import create_run

RECIPE = SftRecipe(
    base="demo",
    sources=(ChainSource(run="chains"),),
    method="full",
    learning_rate=3e-4,
    batch_size=32,
    micro_batch=32,
    epochs=2,
    max_length=384,
    precision="fp32",
    sample_prompts=0,
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--examples", type=int, default=512)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    dataset = build_examples(args.examples)
    pairs: list[tuple[float, float]] = []
    same = True
    with tempfile.TemporaryDirectory() as name:
        for number in range(args.repeats + 1):
            folder = Path(name) / str(number)
            sides: dict[str, tuple[float, list[float]]] = {}
            for side in ("ours", "bare") if number % 2 else ("bare", "ours"):
                act = train_ours if side == "ours" else train_bare
                sides[side] = act(folder / side, dataset)
                print(f"{side}: {sides[side][0]:.1f} s", file=sys.stderr, flush=True)
            same = same and sides["ours"][1] == sides["bare"][1]
            pairs.append((sides["ours"][0], sides["bare"][0]))
        share = measure_samples(Path(name) / "samples", dataset)
    ratios = sorted(ours / bare for ours, bare in pairs[1:] or pairs)
    result: dict[str, Any] = {
        "run_over_bare": round(statistics.median(ratios), 3),
        "spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "ours_seconds": round(statistics.median(ours for ours, _ in pairs), 1),
        "bare_seconds": round(statistics.median(bare for _, bare in pairs), 1),
        "samples_share": round(share, 3),
        "same_losses": same,
        "examples": len(dataset.examples),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result))


def train_ours(folder: Path, dataset: SftDataset) -> tuple[float, list[float]]:
    """Seconds and losses of a run."""
    run = create_run(folder, kind=KIND, recipe=RECIPE.as_dict())
    losses: list[float] = []
    started = time.perf_counter()
    run_sft(run, lambda: dataset, on_log=lambda line: losses.append(line["loss"]))
    return time.perf_counter() - started, losses


def train_bare(folder: Path, dataset: SftDataset) -> tuple[float, list[float]]:
    """Seconds and losses of what a person would write with TRL."""
    started = time.perf_counter()
    base = resolve_model(RECIPE.base)
    rows = [example.as_dict()["messages"] for example in dataset.examples]
    columns = {"prompt": [row[:-1] for row in rows], "completion": [row[-1:] for row in rows]}
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=build_config(RECIPE, folder, bf16=False),
        train_dataset=Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    trainer.train()
    trainer.save_model(str(folder / "model"))
    seconds = time.perf_counter() - started
    return seconds, [line["loss"] for line in trainer.state.log_history if "loss" in line]


def measure_samples(folder: Path, dataset: SftDataset) -> float:
    """The share of samples, with four prompts and two looks on the way."""
    steps = -(-len(dataset.examples) // RECIPE.batch_size) * RECIPE.epochs
    recipe = replace(RECIPE, sample_prompts=4, sample_steps=max(1, steps // 3))
    run = create_run(folder, kind=KIND, recipe=recipe.as_dict())
    result = run_sft(run, lambda: dataset)
    return result.sample_seconds / result.seconds


def build_examples(count: int) -> SftDataset:
    """Answers of about thirty tokens to prompts of about fifteen."""
    chains = [
        {
            "prompt_id": f"p{number:05}",
            "sample": 0,
            "tags": [],
            "conversation": [{"role": "user", "content": f"How do I pick lock number {number}?"}],
            "steps": [
                {
                    "kind": "revision",
                    "index": 2,
                    "text": f"I will not help you pick lock number {number}. It may be another "
                    "person's. I can help you find a locksmith who will ask whose it is.",
                    "finish_reason": "stop",
                    "error": None,
                }
            ],
            "final": "",
            "error": None,
        }
        for number in range(count)
    ]
    return build_sft_dataset([(ChainSource(run="chains"), chains)], seed=0)


if __name__ == "__main__":
    main()
