"""Memory told before a model is loaded, against hand-made cases and the demo model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from cai_core.errors import ModelError
from cai_core.inference.model_folder import DEMO_FOLDER
from cai_core.training.memory import (
    ModelShape,
    compute_training_memory,
    count_trained,
    read_shape,
)
from cai_core.training.recipe import ChainSource, SftRecipe

TINY = ModelShape(
    parameters=1000,
    weight_bytes=4000,
    hidden=8,
    layers=2,
    vocabulary=50,
    inner=16,
    attention=8,
    key_value=4,
    gated=True,
    context=64,
    linear_ends=100,
    linear_out=60,
)


def make_recipe(**changes: Any) -> SftRecipe:
    values = {"method": "full", "micro_batch": 4, "batch_size": 4, "precision": "fp32", **changes}
    return SftRecipe(base="demo", sources=(ChainSource(run="x"),), **values)


def reckon(recipe: SftRecipe, *, length: int = 32, gpu: bool = False) -> dict[str, int]:
    parts = compute_training_memory(TINY, recipe, length=length, gpu=gpu)
    return {part.name: part.size for part in parts}


def test_a_hand_made_case() -> None:
    found = reckon(make_recipe())
    assert (found["weights"], found["gradients"], found["optimizer"]) == (4000, 4000, 8000)
    kept = 6 * 8 + 3 * 8 + 2 * 4 + 4 * 16
    assert found["activations"] == 4 * 32 * 2 * kept * 4
    assert found["logits"] == 4 * 32 * 50 * 4 * 3


def test_the_demo_models_parameters_are_exact() -> None:
    true = sum(tensor.size for tensor in load_file(DEMO_FOLDER / "model.safetensors").values())
    shape = read_shape(DEMO_FOLDER)
    assert shape.parameters == true
    assert shape.weight_bytes == true * 4
    assert (shape.context, shape.gated) == (512, True)


def test_every_knob_moves_it() -> None:
    base = sum(reckon(make_recipe()).values())
    assert sum(reckon(make_recipe(micro_batch=2)).values()) < base
    assert sum(reckon(make_recipe(), length=16).values()) < base
    assert sum(reckon(make_recipe(gradient_checkpointing=True)).values()) < base
    half = reckon(make_recipe(precision="bf16"))
    assert half["activations"] * 2 == reckon(make_recipe())["activations"]
    lora = make_recipe(method="lora", lora_rank=2)
    assert count_trained(TINY, lora) == 200
    assert reckon(lora)["optimizer"] == 200 * 8
    assert reckon(replace(lora, lora_rank=4))["adapters"] == 2 * reckon(lora)["adapters"]
    assert reckon(replace(lora, precision="bf16"))["weights"] == 2000


@pytest.mark.parametrize(
    ("length", "rows", "checkpointing", "measured"),
    [(384, 8, False, 1156), (384, 32, False, 2176), (384, 32, True, 1491), (192, 8, False, 852)],
)
def test_near_what_was_measured(length: int, rows: int, checkpointing: bool, measured: int) -> None:
    recipe = make_recipe(micro_batch=rows, batch_size=rows, gradient_checkpointing=checkpointing)
    parts = compute_training_memory(read_shape(DEMO_FOLDER), recipe, length=length, gpu=False)
    assert sum(part.size for part in parts) / 1e6 == pytest.approx(measured, rel=0.15)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8}))
    with pytest.raises(ModelError, match="no size that can be read"):
        read_shape(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(ModelError, match="no safetensors head"):
        read_shape(tmp_path)
