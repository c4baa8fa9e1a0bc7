"""The model that a run begins from: found, compared with what it was, loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)

from cai_core.errors import ModelError, RecipeError, RunMismatchError
from cai_core.inference.model_folder import compute_weights_hash, fetch_model
from cai_core.training.training_settings import Method, Precision
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run

A = TypeVar("A", bound=TrainingArguments)

BASE = "base.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model's folder on this machine.

    Attributes:
        hash: SHA-256 (hex) of its weights.
    """

    path: Path
    hash: str


def find_base(run: Run, name: str, expected: str | None) -> Base:
    """The run's base model; a hub id is downloaded when it is not cached.

    Its weights' hash is kept in outputs/base.json at the first start.

    Args:
        expected: the hash by the recipe; None for a hub id, whose weights are then held to those
            of the first start.

    Raises:
        RunMismatchError: its weights are others.
        UnknownModelError: there is no such model.
    """
    path = fetch_model(name)
    found = compute_weights_hash(path)
    held = run.outputs / BASE
    whose = "the recipe's"
    if expected is None and held.exists():
        expected, whose = _load_hash(held), "at the first start they were"
    if expected not in (None, found):
        raise RunMismatchError(
            f"{path}: its weights are {found[:12]}, {whose} {expected!s:.12}. "
            "Bring the old ones back, or start a new run."
        )
    if not held.exists():
        replace_file(held, [json.dumps({"base": name, "hash": found}).encode()])
    return Base(path=path, hash=found)


def _load_hash(path: Path) -> str:
    try:
        return str(json.loads(path.read_text("utf-8"))["hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunMismatchError(
            f"{path}: cannot be read: {error}. Bring it back, or start a new run."
        ) from error


def load_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """Its tokenizer; no code of the model's folder runs."""
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        base.path, trust_remote_code=False
    )
    return found


def load_model(
    base: Base,
    *,
    seed: int,
    method: Method,
    bf16: bool,
    auto_class: Any = AutoModelForCausalLM,
    **options: Any,
) -> PreTrainedModel:
    """The model in fp32, or in bf16 where an adapter alone is trained in that.

    Args:
        seed: of weights that are new, e.g. a head or an adapter.
        auto_class: e.g. `AutoModelForSequenceClassification` for a reward model.
        options: of its `from_pretrained`, e.g. `num_labels`.

    Raises:
        ModelError: it cannot be loaded.
    """
    torch.manual_seed(seed)
    dtype = torch.bfloat16 if bf16 and method == "lora" else torch.float32
    try:
        model: PreTrainedModel = auto_class.from_pretrained(
            base.path, dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"{base.path}: cannot be loaded: {error}") from error
    return model


def uses_bf16(precision: Precision) -> bool:
    """Whether a recipe's precision means bf16 here; `auto` does on a GPU that can."""
    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def build_lora(
    method: Method, rank: int, alpha: int, task_type: str = "CAUSAL_LM"
) -> LoraConfig | None:
    """The adapter's settings; None where all weights are trained.

    Args:
        task_type: peft's, e.g. `SEQ_CLS` for a reward model.
    """
    if method != "lora":
        return None
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type=task_type)


def build_common_arguments(folder: Path, *, bf16: bool, seed: int) -> dict[str, Any]:
    """Settings that are alike for every trainer here: where, on what, and what it says.

    Args:
        folder: gets the checkpoints.
    """
    cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "use_cpu": cpu,
        "bf16": bf16,
        "seed": seed,
        "data_seed": seed,
        # The filter would hide a loss that is not a number.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": not cpu,
    }


def use_one_device(arguments: A) -> A:
    """The settings, held to one GPU.

    On a machine with several, transformers would wrap the model in DataParallel and multiply the
    batch by their number, and the same recipe would train another model.
    """
    if arguments.n_gpu > 1:  # asks for the device first, which is when they are counted
        arguments._n_gpu = 1
    return arguments


def check_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """A model learns to stop from the end token after each answer: the chat template must give it.

    Raises:
        RecipeError: there is no template, or it lacks that token, or the prompt that a model is
            asked with is not how the text that it learns begins.
    """
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    if not tokenizer.chat_template:
        raise RecipeError("the base model has no chat template. Choose a chat model.")
    whole = str(tokenizer.apply_chat_template(turns, tokenize=False))
    asked = str(
        tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    )
    if not whole.startswith(asked):
        raise RecipeError(
            "the base model's chat template begins an answer in another way when a model is asked "
            "than when it is taught. Use a template that begins both alike."
        )
    end = str(tokenizer.eos_token or "")
    if not end or end not in whole[len(asked) :]:
        raise RecipeError(
            f"the base model's chat template does not end an answer with its end token ({end!r}), "
            "so the model would not learn to stop. Correct the template or the token."
        )
