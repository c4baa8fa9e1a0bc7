"""Train the demo model from scratch: tokenizer, data drawn step by step, a small Llama.

The data of step i depends on the seed and i alone, so a resumed run sees what an unbroken one sees.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cai_core.demo_world.examples import Part, draw_example
from cai_core.demo_world.muon import Muon
from cai_core.demo_world.tokenizer import ExampleEncoder, load_tokenizer, train_tokenizer
from cai_core.demo_world.world import World
from cai_core.errors import ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRecipe:
    """How the demo model is trained. Sizes follow docs/demo-world.md's plan: ≤ 3 M parameters.

    Attributes:
        batch_examples: examples a step; about 180 tokens each.
        muon_lr: for the weight matrices, in units matched to AdamW's update size.
        adam_lr: for embeddings and norms.
        schedule: (share of the steps, learning-rate factor) points, joined by straight lines;
            the first line rises from 0.
        decisions_from: share of the steps after which the second part begins: the tokens that
            decide whether a harm is the principle's matter weigh more (examples.draw_example).
        judgements_from: share after which the third begins: more judgements, most about manners,
            and the words about each response weigh more.
        verdicts_from: share after which the fourth begins: more one-word verdicts.
    """

    seed: int = 0
    steps: int = 1700
    batch_examples: int = 64
    muon_lr: float = 6e-3
    adam_lr: float = 3e-3
    schedule: tuple[tuple[float, float], ...] = ((0.04, 1.0), (0.3, 1.0), (1.0, 0.0))
    decisions_from: float = 0.2
    judgements_from: float = 0.6475
    verdicts_from: float = 0.82365
    layers: int = 5
    width: int = 192
    mlp_width: int = 448
    head_dim: int = 32
    context: int = 512

    def part(self, step: int) -> Part:
        """Which part of the training a step (from 0) belongs to."""
        if step >= self.verdicts_from * self.steps:
            return 4
        if step >= self.judgements_from * self.steps:
            return 3
        return 2 if step >= self.decisions_from * self.steps else 1

    def learning_rate_factor(self, step: int) -> float:
        """The schedule at a step (from 0). In (0, 1] before the last point."""
        (first, top), *_ = self.schedule
        if step < first * self.steps:
            return top * (step + 1) / (first * self.steps)
        share = step / self.steps
        for (left, high), (right, low) in pairwise(self.schedule):
            if share < right:
                return high + (low - high) * (share - left) / (right - left)
        return self.schedule[-1][1]


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded token ids [examples, length] and each token's weight in the loss, same shape."""

    ids: torch.Tensor
    weights: torch.Tensor


def build_model(recipe: TrainRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of the recipe's size with random weights."""
    torch.manual_seed(recipe.seed)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.mlp_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.width // recipe.head_dim,
        num_key_value_heads=recipe.width // recipe.head_dim,
        head_dim=recipe.head_dim,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    # Generation stops on generation_config's ids, and RL trainers read them there too.
    model.generation_config.eos_token_id = end
    model.generation_config.pad_token_id = pad
    model.generation_config.bos_token_id = None
    return model


def draw_batch(
    world: World, encoder: ExampleEncoder, recipe: TrainRecipe, step: int
) -> list[Batch]:
    """The step's examples as a few length-sorted batches, so that little is padding."""
    rng = random.Random(f"{recipe.seed}:{step}")
    part = recipe.part(step)
    examples = [draw_example(world, rng, part=part) for _ in range(recipe.batch_examples)]
    rows = [encoder.encode(example) for example in examples]
    rows.sort(key=lambda row: len(row[0]))
    size = max(1, len(rows) // 4)
    return [_pad(rows[i : i + size]) for i in range(0, len(rows), size)]


def _pad(rows: list[tuple[list[int], list[float]]]) -> Batch:
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for i, (tokens, row_weights) in enumerate(rows):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        weights[i, : len(row_weights)] = torch.tensor(row_weights)
    return Batch(ids, weights)


def compute_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Summed and weighted cross-entropy of the taught tokens, in nats.

    Padding stands on the right of a causal model, so no attention mask is needed. The vocabulary
    projection, a third of the work at this size, is done for taught tokens only.
    """
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    weights = batch.weights[:, 1:]
    chosen = weights > 0
    logits = model.lm_head(hidden[:, :-1][chosen])
    losses = F.cross_entropy(logits.float(), batch.ids[:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum()


class Trainer:
    """One training run in a folder: resumable, and it stops on a loss that is not a number."""

    def __init__(self, world: World, recipe: TrainRecipe, folder: Path, device: str):
        self.world, self.recipe, self.folder, self.device = world, recipe, folder, device
        self.tokenizer = self._tokenizer()
        self.encoder = ExampleEncoder(self.tokenizer)
        self.model = build_model(recipe, self.tokenizer)
        self.model.to(torch.device(device))  # type: ignore[arg-type]
        hidden = [p for p in self.model.model.layers.parameters() if p.ndim == 2]
        other = [p for p in self.model.parameters() if p.ndim == 1]
        other.append(self.model.model.embed_tokens.weight)
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(hidden, lr=recipe.muon_lr, weight_decay=0.05),
            torch.optim.AdamW(other, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.step, self.tokens, self.seconds, self.loss = 0, 0, 0.0, float("nan")
        self._resume()

    def run(self, report: Callable[[dict[str, float]], None], save_every: int = 100) -> None:
        """Train to the end; `report` gets step, loss (nats a token), tokens and seconds."""
        while self.step < self.recipe.steps:
            started = time.perf_counter()
            self.loss, tokens = self._train_step()
            seconds = time.perf_counter() - started
            self.step += 1
            self.tokens += tokens
            self.seconds += seconds
            report({"step": self.step, "loss": self.loss, "tokens": tokens, "seconds": seconds})
            if self.step % save_every == 0 or self.step == self.recipe.steps:
                self.save()

    def _train_step(self) -> tuple[float, int]:
        batches = draw_batch(self.world, self.encoder, self.recipe, self.step)
        weight = sum(float(b.weights[:, 1:].sum()) for b in batches)
        factor = self.recipe.learning_rate_factor(self.step)
        total = 0.0
        for batch in batches:
            moved = Batch(batch.ids.to(self.device), batch.weights.to(self.device))
            loss = compute_loss(self.model, moved) / weight
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        if total != total:
            raise ModelError(f"loss is not a number at step {self.step}; lower the learning rates")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, lr in zip(
            self.optimizers, (self.recipe.muon_lr, self.recipe.adam_lr), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.step()
            optimizer.zero_grad()
        return total, sum(b.ids.numel() for b in batches)

    def save(self) -> None:
        """Write model, tokenizer and the state to resume from; the state is renamed last."""
        self.model.save_pretrained(self.folder)
        self.tokenizer.save_pretrained(self.folder)
        self._save_facts()
        state = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "recipe": self._recipe_record(),
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        aside = self.folder / "resume.tmp"
        torch.save(state, aside)
        aside.replace(self.folder / "resume.state")

    def _recipe_record(self) -> dict[str, Any]:
        # Through JSON: what is read back holds lists where the recipe holds tuples.
        record: dict[str, Any] = json.loads(json.dumps(asdict(self.recipe)))
        return record

    def _save_facts(self) -> None:
        """training.json: what the model card tells of the training."""
        facts = {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "vocabulary": len(self.tokenizer),
            "steps": self.step,
            "tokens": self.tokens,
            "minutes": round(self.seconds / 60, 1),
            "device": f"{self.device}, {torch.get_num_threads()} threads",
            "last loss, nats a taught token": round(self.loss, 4),
            "seed": self.recipe.seed,
            "torch": torch.__version__,
        }
        text = json.dumps(facts, indent=1) + "\n"
        (self.folder / "training.json").write_text(text, encoding="utf-8")

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        if (self.folder / "tokenizer.json").exists():
            return load_tokenizer(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        tokenizer = train_tokenizer(self.world, self.recipe.seed)
        tokenizer.save_pretrained(self.folder)
        return load_tokenizer(self.folder)

    def _resume(self) -> None:
        path = self.folder / "resume.state"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != self._recipe_record():
            raise ModelError(
                f"{self.folder}: was trained with another recipe "
                f"({json.dumps(state['recipe'])}). Choose an empty folder or the same settings."
            )
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds = state["seconds"]
