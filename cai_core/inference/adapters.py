"""LoRA adapters: published into the workspace, loaded into a running vLLM, chosen by name.

vLLM keys its prefix cache by an adapter's name and path and does not look at the weights: a new
version at an old path would be answered from what the old version had read. So each version gets
a folder and a name of its own, made of the hash of its weights.

vLLM's CPU kernels (0.32, `lora/ops/torch_ops`) take index −1, which stands for no adapter, for
their last slot: a request for the base model that is batched with an adapter's may be answered by
some adapter. On a CPU ask them one after the other, or ask an unchanged adapter for the base.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.errors import (
    ModelError,
    RequestRejectedError,
    ServerUnavailableError,
    UnknownModelError,
)
from cai_core.inference.capabilities import Asker
from cai_core.inference.model_folder import compute_weights_hash, list_weights

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NO_LORA = (
    "does not load adapters. Start vLLM with `--enable-lora` and "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or merge the adapter into its base model."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAdapter:
    """One version of an adapter, never changed afterwards.

    Attributes:
        id: `<name>@<first 12 digits of the hash>`: the model name to send in requests.
        weights_hash: SHA-256 (hex) of the weights' file.
        folder: absolute; of this version alone.
        base_model: what it was trained from, as its config says.
        rank: of its matrices; a server's `--max-lora-rank` must reach it.
    """

    id: str
    name: str
    weights_hash: str
    folder: Path
    base_model: str
    rank: int


def publish_adapter(folder: Path, workspace: Path, name: str) -> PublishedAdapter:
    """Put an adapter into the workspace, under a path of its own; publishing again is no change.

    Readers see a version's whole folder or none.

    Raises:
        UnknownModelError: no LoRA adapter in safetensors, a name that cannot be, or the same
            weights were published under this name with another config.
    """
    if not _NAME.fullmatch(name):
        raise UnknownModelError(
            f"{name!r:.80} is no name for an adapter: use a-z, 0-9, `.`, `_` and `-`."
        )
    config = _check_adapter(folder)
    shelf = workspace.absolute() / "adapters" / name
    weights_hash = _place(folder, shelf)
    target = shelf / weights_hash
    if _read_config(target) != config:
        raise UnknownModelError(
            f"{folder}: {name} was published with these weights and another {CONFIG}. Publish it "
            "under another name."
        )
    return PublishedAdapter(
        id=f"{name}@{weights_hash[:12]}",
        name=name,
        weights_hash=weights_hash,
        folder=target,
        base_model=str(config.get("base_model_name_or_path") or ""),
        rank=config["r"],
    )


async def load_adapter(asker: Asker, published: PublishedAdapter) -> None:
    """Load a version into the server; that it is loaded already is fine.

    Requests then choose it by `published.id` in their model field. The server reads the folder
    itself, so it must see the workspace under the same path.

    Raises:
        UnknownModelError: the server does not load adapters, or cannot read this one.
        ServerUnavailableError: as `Asker`.
    """
    if published.id in await list_adapters(asker):
        return
    body = {"lora_name": published.id, "lora_path": str(published.folder)}
    await _change(asker, "/v1/load_lora_adapter", body, published.id, wanted=True)


async def unload_adapter(asker: Asker, adapter_id: str) -> None:
    """Take a version out of the server; that it is not there is fine.

    Raises:
        UnknownModelError: the server does not load adapters.
        ServerUnavailableError: as `Asker`.
    """
    if adapter_id in await list_adapters(asker):
        body = {"lora_name": adapter_id}
        await _change(asker, "/v1/unload_lora_adapter", body, adapter_id, wanted=False)


async def list_adapters(asker: Asker) -> tuple[str, ...]:
    """The adapters that the server has loaded, by the name that requests send.

    Raises:
        ServerUnavailableError: as `Asker`.
    """
    cards = (await asker.get("/v1/models")).get("data")
    found = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    # vLLM gives an adapter's card its base model as parent; a base model's has none.
    return tuple(str(card.get("id")) for card in found if card.get("parent"))


async def _change(
    asker: Asker, path: str, body: dict[str, str], adapter_id: str, *, wanted: bool
) -> None:
    """Ask for a change and look whether it came about: vLLM answers with a text, not JSON."""
    refusal: ModelError | None = None
    try:
        await asker.post(path, body)
    except (RequestRejectedError, UnknownModelError, ServerUnavailableError) as error:
        refusal = error
    # Another process may have made the same change meanwhile: then all is as it should be.
    if (adapter_id in await list_adapters(asker)) is wanted:
        return
    raise _explain(adapter_id, refusal) from refusal


def _explain(adapter_id: str, refusal: ModelError | None) -> ModelError:
    told = str(refusal)
    missing = isinstance(refusal, RequestRejectedError) and refusal.status in (404, 405)
    if (missing and adapter_id not in told) or "not enabled" in told.lower():
        return UnknownModelError(f"Adapter {adapter_id}: the server {_NO_LORA}")
    # vLLM answers 500 to an adapter that it cannot take, and says why.
    if isinstance(refusal, ServerUnavailableError) and "lora" not in told.lower():
        return refusal
    return UnknownModelError(
        f"Adapter {adapter_id} was not taken: {told}. Check that the server sees the workspace "
        "under the same path, that its --max-lora-rank is high enough, and that the adapter was "
        "trained from the model it serves."
    )


def _check_adapter(folder: Path) -> dict[str, Any]:
    """The config of a folder that holds an adapter in safetensors and no pickles."""
    config = _read_config(folder)
    if config.get("peft_type") != "LORA":
        raise UnknownModelError(f"{folder}: {CONFIG} is not a LoRA adapter's. Train one with LoRA.")
    if type(config.get("r")) is not int or config["r"] < 1:
        raise UnknownModelError(f"{folder}: {CONFIG} has no rank `r`. Save the adapter again.")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _PICKLES)
    if pickles:
        raise UnknownModelError(
            f"{folder}: {pickles[0]} is a pickle, which can run code when read. Remove it, and "
            "save the adapter with `safe_serialization=True`."
        )
    if [path.name for path in list_weights(folder)] != [WEIGHTS]:
        raise UnknownModelError(f"{folder}: wants one file of weights, {WEIGHTS}, and no other.")
    return config


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnknownModelError(
            f"{folder}: no adapter: {CONFIG} cannot be read ({error}). Save it with peft's "
            "`save_pretrained`."
        ) from error
    if not isinstance(config, dict):
        raise UnknownModelError(f"{folder}: {CONFIG} is no JSON object. Save the adapter again.")
    return config


def _place(folder: Path, shelf: Path) -> str:
    """Copy the adapter to its version's folder on the shelf; the hash of the copied weights.

    Copied, not linked: a trainer that writes its checkpoint anew would change a linked file, and
    a version must not change.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
    try:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(folder / name, aside / name)
        weights_hash = compute_weights_hash(aside)
        aside.chmod(0o755)
        try:
            aside.rename(shelf / weights_hash)
        except OSError:
            # Published before, or by another process just now: the same bytes.
            if not (shelf / weights_hash).is_dir():
                raise
        return weights_hash
    finally:
        shutil.rmtree(aside, ignore_errors=True)
