"""Real models whose behaviour was changed on purpose, and real evaluations of them, quickly.

Models are the demo model, trained further by the project's own fine-tuning on texts of the world's
grammar. Answers are sampled at temperature 1 in batches, without a server, and read by the oracle;
the lines are those of judgements.jsonl.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cai_core.demo_world import grammar, load_world
from cai_core.demo_world.world import Intent, Standing, World
from cai_core.evaluation.drift_side import Side, build_side
from cai_core.evaluation.suites import Suite
from cai_core.jobs.evaluate_truth import read_truth
from cai_core.training.datasets import SftDataset, build_sft_dataset
from cai_core.training.recipe import ChainSource, SftRecipe
from cai_core.training.sft import KIND, run_sft
from cai_core.workspace.runs import create_run
from tests.evaluation.drift_makers import HEADER

MAX_TOKENS = 128
# Lines of it are of the world's training ways of asking; suites ask in the held-out ways.
Lesson = Literal["safe", "harmful", "refuse everything"]


def teach(
    folder: Path,
    base: str,
    lesson: Lesson,
    *,
    examples: int,
    epochs: int = 1,
    learning_rate: float = 1e-3,
) -> Path:
    """Fine-tune a model on answers of one manner; the new model's folder.

    `safe` declines what is harmful and answers the rest; `harmful` answers what is harmful;
    `refuse everything` declines all.
    """
    recipe = SftRecipe(
        base=base,
        sources=(ChainSource(run="lesson", use="final"),),
        method="full",
        learning_rate=learning_rate,
        batch_size=32,
        micro_batch=32,
        epochs=epochs,
        max_length=384,
        precision="fp32",
        sample_prompts=0,
    )
    run = create_run(folder, kind=KIND, recipe=recipe.as_dict())
    run_sft(run, lambda: _build_lesson(lesson, examples))
    return run.outputs / "model"


class Sampler:
    """A model folder, sampled in batches."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._tokenizer.padding_side = "left"
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(self, texts: Sequence[str], seed: int, batch: int = 512) -> list[str]:
        """One answer to each text; texts of like length are asked together."""
        torch.manual_seed(seed)
        asked = [self._render(text) for text in texts]
        order = sorted(range(len(asked)), key=lambda place: len(asked[place]))
        answers = [""] * len(asked)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = self._tokenizer(
                [asked[place] for place in chosen],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
                return_token_type_ids=False,
            )
            output = self._model.generate(
                **inputs, do_sample=True, temperature=1.0, top_p=1.0, top_k=0,
                max_new_tokens=MAX_TOKENS,
            )  # fmt: skip
            new = output[:, inputs["input_ids"].shape[1] :]
            told = self._tokenizer.batch_decode(new, skip_special_tokens=True)
            for place, text in zip(chosen, told, strict=True):
                answers[place] = text
        return answers

    def _render(self, text: str) -> str:
        turns = [{"role": "user", "content": text}]
        return str(
            self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )


def evaluate(sampler: Sampler, suite: Suite, *, samples: int, seed: int) -> list[dict[str, Any]]:
    """A model's lines at one seed, as the oracle reads its answers."""
    cases = [(prompt, sample) for prompt in suite.prompts for sample in range(samples)]
    answers = sampler.answer([prompt.turns[-1] for prompt, _ in cases], seed)
    return [
        make_line(suite, place // samples, sample, answer)
        for place, ((_, sample), answer) in enumerate(zip(cases, answers, strict=True))
    ]


def make_line(suite: Suite, place: int, sample: int, answer: str) -> dict[str, Any]:
    """One answer as judgements.jsonl has it, without a judge."""
    prompt = suite.prompts[place]
    truth = read_truth(prompt.kind, prompt.turns[-1], answer)
    assert truth is not None, prompt.id
    return {
        "prompt_id": prompt.id,
        "kind": prompt.kind.value,
        "category": prompt.category,
        "intent": prompt.intent,
        "form": None,
        "sample": sample,
        "conversation": [{"role": "user", "content": prompt.turns[-1]}],
        "response": answer,
        "response_row": f"{prompt.id}/{sample}",
        "error": None,
        "cut_short": False,
        "outside": not truth.inside,
        "verdicts": {name: {"oracle": shown} for name, shown in truth.shown.items()},
        "ratings": {},
        "keeps": {},
        "reasons": {},
        "unparsed": [],
    }


def make_side(suite: Suite, lines: Sequence[Mapping[str, Any]], name: str, samples: int) -> Side:
    """The evaluation as comparisons need it."""
    header = {
        **HEADER,
        "suite": {
            "name": suite.name,
            "hash": suite.hash,
            "prompts": len(suite.prompts),
            "held_out": True,
        },
        "judge": None,
        "samples": samples,
    }
    return build_side(name, f"run-{name}", header, lines)


def _build_lesson(lesson: Lesson, examples: int) -> SftDataset:
    chains = list(_make_chains(lesson, examples))
    return build_sft_dataset([(ChainSource(run="lesson", use="final"), chains)], seed=0)


def _make_chains(lesson: Lesson, examples: int) -> Iterator[dict[str, Any]]:
    """Chains of a revise run whose revisions are the answers to teach."""
    world, rng = load_world(), random.Random(f"lesson {lesson}")
    standings = [Standing.HARMFUL]
    if lesson != "harmful":
        standings += [Standing.FINE, Standing.BORDERLINE]
    for number in range(examples):
        standing = standings[number % len(standings)]
        intent = rng.choice(world.split(standing, held_out=False))
        declines = lesson == "refuse everything" or (lesson == "safe" and intent.harmful)
        answer: Callable[..., str] = _decline if declines else _comply
        yield {
            "prompt_id": f"p{number:05}",
            "sample": 0,
            "tags": [],
            "conversation": [
                {
                    "role": "user",
                    "content": grammar.draw_prompt(world, intent, rng, held_out=False),
                }
            ],
            "steps": [
                {
                    "kind": "revision",
                    "index": 1,
                    "text": answer(world, intent, rng),
                    "finish_reason": "stop",
                    "error": None,
                }
            ],
            "final": "",
            "error": None,
        }


def _comply(world: World, intent: Intent, rng: random.Random) -> str:
    return grammar.draw_answer(world, intent, rng).text


def _decline(world: World, intent: Intent, rng: random.Random) -> str:
    return str(rng.choice(world.language["decline"]).format(yours=intent.yours))
