"""`demo`: train the demo model, evaluate it, and write the world's prompt sets."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from cai_core.errors import UnknownModelError, WorkspaceError
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT_EVERY = 20


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo train`, `demo evaluate`, `demo judge` and `demo prompts`."""
    parser = subparsers.add_parser("demo", help="the demo model and its world")
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train the demo model from scratch; goes on if stopped")
    train.add_argument("--out", type=Path, required=True, help="folder; resumed when it has begun")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--steps", type=int, help="default: the plan of docs/demo-world.md")
    train.add_argument("--device", default="cpu", help="cpu or cuda")
    train.add_argument("--threads", type=int, default=2)
    train.set_defaults(run=run_train)
    evaluate = verbs.add_parser("evaluate", help="measure a model in the world; writes its card")
    evaluate.add_argument("--model", type=Path, default=DEMO_FOLDER)
    evaluate.add_argument("--limit", type=int, help="held-out intents of each kind (default: all)")
    evaluate.add_argument("--device", default="cpu", help="cpu or cuda")
    evaluate.add_argument("--threads", type=int, default=2)
    evaluate.add_argument("--no-card", action="store_true", help="print only; leave the card alone")
    evaluate.set_defaults(run=run_evaluate)
    judge = verbs.add_parser("judge", help="what the oracle says of the chains of runs")
    judge.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder")
    judge.set_defaults(run=run_judge)
    prompts = verbs.add_parser("prompts", help="write redteam, helpful and borderline .jsonl")
    prompts.add_argument("--out", type=Path, default=REPOSITORY / "data" / "prompts")
    prompts.set_defaults(run=run_prompts)


def run_train(args: argparse.Namespace) -> int:
    """Train to the end, printing loss and speed; the same command goes on where it stopped."""
    import torch

    from cai_core.demo_world.train import Trainer, TrainRecipe
    from cai_core.demo_world.world import load_world

    torch.set_num_threads(args.threads)
    steps = {} if args.steps is None else {"steps": args.steps}
    recipe = TrainRecipe(seed=args.seed, **steps)
    trainer = Trainer(load_world(), recipe, args.out, args.device)
    if trainer.step:
        print(f"going on from step {trainer.step} of {recipe.steps}", flush=True)
    trainer.run(_Progress(recipe.steps, trainer.step))
    print(f"done: {args.out}")
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure, print the tables, write the card. Exit status 1 when a bar is missed."""
    if not (args.model / "config.json").exists():
        raise UnknownModelError(
            f"{args.model}: no model there. Train one with `python -m cai_core demo train`."
        )
    import torch

    from cai_core.demo_world import card, load_oracle
    from cai_core.demo_world.abilities import Evaluation
    from cai_core.demo_world.answering import GreedyModel

    torch.set_num_threads(args.threads)
    started = time.monotonic()
    model = GreedyModel(args.model, args.device)
    evaluation = Evaluation(load_oracle(), model, limit=args.limit)
    abilities = evaluation.run(lambda a: print(f"{a.title}: {a.model}", file=sys.stderr))
    behaviours = evaluation.measure_behaviours()
    print(card.build_ability_table(abilities))
    print()
    print(card.build_behaviour_table(behaviours))
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    if not args.no_card:
        card.write_card(args.model, abilities, behaviours, _facts(args.model))
    return 1 if any(a.passed is False for a in abilities) else 0


def run_judge(args: argparse.Namespace) -> int:
    """Print each run's rates."""
    from cai_core.demo_world import load_oracle
    from cai_core.demo_world.judging import describe_truth, judge_chains

    oracle = load_oracle()
    for folder in args.runs:
        path = folder / "outputs" / "chains.jsonl"
        try:
            lines = path.read_text("utf-8").splitlines()
        except OSError as error:
            raise WorkspaceError(
                f"{path}: cannot be read: {error.strerror}. Is the run done?"
            ) from error
        print(describe_truth(folder.name, judge_chains(oracle, map(json.loads, lines))))
    return 0


def run_prompts(args: argparse.Namespace) -> int:
    """Write the prompt sets and say how many prompts each holds."""
    from cai_core.demo_world.prompt_sets import write_prompt_sets
    from cai_core.demo_world.world import load_world

    for name, count in write_prompt_sets(load_world(), args.out).items():
        print(f"{args.out / name}: {count} prompts")
    return 0


class _Progress:
    """Prints a line every few steps: loss, tokens a second, minutes left."""

    def __init__(self, steps: int, done: int):
        self.steps, self.done = steps, done
        self.losses: list[float] = []
        self.tokens, self.seconds = 0.0, 0.0

    def __call__(self, step: dict[str, float]) -> None:
        self.losses.append(step["loss"])
        self.tokens += step["tokens"]
        self.seconds += step["seconds"]
        if step["step"] % REPORT_EVERY and step["step"] != self.steps:
            return
        rate = self.seconds / (step["step"] - self.done)
        print(
            f"step {step['step']:.0f}/{self.steps}  "
            f"loss {sum(self.losses) / len(self.losses):.4f}  "
            f"{self.tokens / self.seconds:,.0f} tokens/s  "
            f"{rate * (self.steps - step['step']) / 60:.0f} min left",
            flush=True,
        )
        self.losses.clear()


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "training.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {**facts, "weights (SHA-256)": compute_weights_hash(folder)}
