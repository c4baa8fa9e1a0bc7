"""Publishing adapters, and the routes around loading them. Real vLLM is in tests/vllm."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cai_core.errors import RequestRejectedError, ServerUnavailableError, UnknownModelError
from cai_core.inference.adapters import (
    PublishedAdapter,
    list_adapters,
    load_adapter,
    publish_adapter,
    unload_adapter,
)
from cai_core.inference.model_folder import compute_weights_hash
from cai_core.records import ModelInfo


def save_adapter(folder: Path, value: float = 1.0, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "base", **config}
    (folder / "adapter_config.json").write_text(json.dumps(told), "utf-8")
    save_file({"w": torch.full((2, 2), value)}, folder / "adapter_model.safetensors")
    return folder


def test_a_version_has_a_path_and_a_name_of_its_own(tmp_path: Path) -> None:
    first = publish_adapter(save_adapter(tmp_path / "a", 1.0), tmp_path / "w", "kind")
    second = publish_adapter(save_adapter(tmp_path / "b", 2.0), tmp_path / "w", "kind")
    assert first.folder != second.folder
    assert first.id != second.id
    for published in (first, second):
        digest = compute_weights_hash(published.folder)
        assert published.weights_hash == digest == published.folder.name
        assert published.id == f"kind@{digest[:12]}"
        assert published.folder.parent == tmp_path / "w" / "adapters" / "kind"
        assert (published.rank, published.base_model) == (4, "base")
        files = sorted(path.name for path in published.folder.iterdir())
        assert files == ["adapter_config.json", "adapter_model.safetensors"]


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "a")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: publish_adapter(folder, tmp_path, "kind"), range(16)))
    assert len(set(made)) == 1
    assert [path.name for path in (tmp_path / "adapters" / "kind").iterdir()] == [
        made[0].weights_hash
    ]


def test_a_version_does_not_change_with_the_folder_it_came_from(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "a", 1.0)
    published = publish_adapter(folder, tmp_path, "kind")
    # Written into the same file, as a trainer may write its checkpoint anew.
    other = save_adapter(tmp_path / "b", 2.0) / "adapter_model.safetensors"
    with (folder / "adapter_model.safetensors").open("r+b") as file:
        file.write(other.read_bytes())
    assert compute_weights_hash(published.folder) == published.weights_hash


def test_the_same_weights_with_another_config_are_refused(tmp_path: Path) -> None:
    publish_adapter(save_adapter(tmp_path / "a", lora_alpha=8), tmp_path, "kind")
    with pytest.raises(UnknownModelError, match="another name"):
        publish_adapter(save_adapter(tmp_path / "b", lora_alpha=16), tmp_path, "kind")


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a@b", ".x", "x" * 65])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownModelError, match="no name for an adapter"):
        publish_adapter(save_adapter(tmp_path / "a"), tmp_path, name)


def test_what_is_no_safe_adapter_is_refused(tmp_path: Path) -> None:
    def refused(folder: Path, why: str) -> None:
        with pytest.raises(UnknownModelError, match=why):
            publish_adapter(folder, tmp_path, "kind")
        assert not (tmp_path / "adapters").exists()

    refused(tmp_path / "nowhere", "no adapter")
    refused(save_adapter(tmp_path / "a", peft_type="PREFIX_TUNING"), "not a LoRA")
    refused(save_adapter(tmp_path / "b", r=None), "no rank")
    broken = save_adapter(tmp_path / "c")
    (broken / "adapter_config.json").write_text("[1]", "utf-8")
    refused(broken, "no JSON object")
    for name in ("adapter_model.bin", "optimizer.pt", "X.PTH"):
        pickled = save_adapter(tmp_path / f"with {name}")
        (pickled / name).write_bytes(b"\x80")
        refused(pickled, "pickle")
    bare = save_adapter(tmp_path / "d")
    (bare / "adapter_model.safetensors").unlink()
    refused(bare, "wants one file of weights")


class AdapterServer:
    """vLLM's routes for adapters, as 0.32 answers them through `ModelClient`."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.loaded: dict[str, str] = {}
        self.asked: list[str] = []

    async def info(self) -> ModelInfo:
        raise AssertionError("not asked for")

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        assert path == "/v1/models"
        base = {"id": "base", "parent": None, "root": "base"}
        cards = [{"id": i, "root": path, "parent": "base"} for i, path in self.loaded.items()]
        return {"data": [base, *cards]}

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(path)
        if self.refusal is not None:
            raise self.refusal
        name = body["lora_name"]
        if path == "/v1/load_lora_adapter":
            if name in self.loaded:
                raise RequestRejectedError(f"{name} has already been loaded", status=400)
            assert Path(body["lora_path"]).is_absolute()
            self.loaded[name] = body["lora_path"]
        else:
            assert path == "/v1/unload_lora_adapter"
            if name not in self.loaded:
                raise RequestRejectedError(f"{name} cannot be found", status=404)
            del self.loaded[name]
        raise ServerUnavailableError("answered with something that is not a JSON object")


@pytest.fixture
def published(tmp_path: Path) -> PublishedAdapter:
    return publish_adapter(save_adapter(tmp_path / "a"), tmp_path, "kind")


def test_loading_and_unloading_twice_is_fine(published: PublishedAdapter) -> None:
    async def check() -> None:
        server = AdapterServer()
        assert await list_adapters(server) == ()
        await load_adapter(server, published)
        await load_adapter(server, published)
        assert await list_adapters(server) == (published.id,)
        assert server.loaded == {published.id: str(published.folder)}
        assert len(server.asked) == 1
        await unload_adapter(server, published.id)
        await unload_adapter(server, published.id)
        assert await list_adapters(server) == ()
        assert len(server.asked) == 2

    asyncio.run(check())


def test_two_that_load_at_once_are_both_content(published: PublishedAdapter) -> None:
    async def check() -> None:
        server = AdapterServer()
        await asyncio.gather(*(load_adapter(server, published) for _ in range(5)))
        assert await list_adapters(server) == (published.id,)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (RequestRejectedError("Not Found", status=404), UnknownModelError, "--enable-lora"),
        (RequestRejectedError("Method Not Allowed", status=405), UnknownModelError, "merge"),
        (
            ServerUnavailableError("HTTP 500: LoRA is not enabled."),
            UnknownModelError,
            "--enable-lora",
        ),
        (RequestRejectedError("rank 64 is too high"), UnknownModelError, "rank 64.*max-lora-rank"),
        (ServerUnavailableError("cannot be reached"), ServerUnavailableError, "be reached"),
    ],
)
def test_refusals_say_what_to_do(
    published: PublishedAdapter, refusal: Exception, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        asyncio.run(load_adapter(AdapterServer(refusal), published))
