"""Which files are a model: here, and of what lies on the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects

from cai_core.errors import UnknownModelError
from cai_core.inference.model_folder import (
    HUB_FILES,
    HUB_LEFT_OUT,
    compute_fingerprint,
    fetch_model,
)


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "tokenizer.json"])
def test_a_served_file_written_anew_changes_the_fingerprint(
    llama: Path, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "llama"))
    before = compute_fingerprint(folder)
    (folder / "notes.md").write_text("not served")
    assert compute_fingerprint(folder) == before
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert compute_fingerprint(folder) != before


def test_of_a_hub_repository_only_the_model_is_fetched() -> None:
    model = ["config.json", "model-00001-of-00002.safetensors", "chat_template.jinja"]
    others = [
        "consolidated.safetensors",
        "original/model.safetensors",
        "onnx/config.json",
        "modeling_own.py",
        "pytorch_model.bin",
    ]
    kept = filter_repo_objects(
        [*model, *others], allow_patterns=list(HUB_FILES), ignore_patterns=list(HUB_LEFT_OUT)
    )
    assert list(kept) == model


def test_a_name_that_the_hub_cannot_have_is_told() -> None:
    with pytest.raises(UnknownModelError, match="owner/na--me"):
        fetch_model("owner/na--me")
