"""A trained model's folder: whole, sealed and with its card, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from cai_core.inference.model_folder import compute_weights_hash
from cai_core.training.checkpoints import seal_checkpoint

MODEL, ADAPTER = "model", "adapter"


def save_model(
    outputs: Path,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    build_card: Callable[[str], str],
) -> Path:
    """Write outputs/model, which the bundled server and vLLM load; with LoRA outputs/adapter too.

    An adapter is merged into its base: the model is used up.

    Args:
        build_card: gets the hash of the saved weights; what it gives becomes README.md.

    Returns:
        The model's folder.
    """
    if isinstance(model, PeftModel):
        write_folder(outputs / ADAPTER, lambda folder: model.save_pretrained(folder))
        model = model.merge_and_unload()

    def write(folder: Path) -> None:
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(build_card(compute_weights_hash(folder)), "utf-8")

    write_folder(outputs / MODEL, write)
    return outputs / MODEL


def write_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Have a folder written aside, seal it, and put it in the place of the old one."""
    aside = target.with_name(f".{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write(aside)
    seal_checkpoint(aside)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
