"""What vLLM's logs say, in one sentence. The files in vllm_logs are real ones of vLLM 0.32."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.inference.vllm_log import explain_log

LOGS = Path(__file__).with_name("vllm_logs")
# File: kind, and what the sentence must name of what and how to mend it.
REAL = {
    "unknown-option": ("final", ("--no-such-option 3", "Remove")),
    "bad-value": ("final", ("--max-model-len", "'lots'")),
    "longer-than-model": ("final", ("--max-model-len 100000", "512")),
    "longer-than-cache": ("final", ("512 tokens", "--max-model-len 256 or less")),
    "no-cache-blocks": ("memory", ("KV cache", "--gpu-memory-utilization")),
    "node-memory": ("memory", ("8.26 of 17.96 GiB", "--kv-cache-memory-bytes")),
    "port-in-use": ("port", ("--port",)),
    "unknown-architecture": ("final", ("NoSuchForCausalLM", "newer vLLM")),
    "unknown-model-type": ("final", ("nosuch", "transformers")),
    "not-cached-and-offline": ("final", ("hub cannot be reached", "local folder")),
    "empty-folder": ("final", ("Check its id",)),
    "no-tokenizer": ("final", ("no tokenizer",)),
    "no-safetensors": ("final", ("no *.safetensors", "/models/pt")),
    "damaged-weights": ("final", ("damaged", "incomplete metadata")),
}
# What needs a GPU; worded as in vLLM 0.32's source and torch 2.13's.
GPU = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total "
    "capacity of 79.10 GiB of which 1.19 GiB is free.": ("memory", "another 2.50 GiB"),
    "RuntimeError: CUDA error: out of memory": ("memory", "ran out"),
    "ValueError: Free memory on device cuda:0 (3.11/79.1 GiB) on startup is less than desired GPU "
    "memory utilization (0.92, 72.77 GiB). Decrease GPU": ("memory", "3.11 of 79.1 GiB"),
    "ValueError: To serve at least one request with the model's max seq len (131072), (16.0 GiB "
    "KV cache is needed, which is larger than the available KV cache memory (4.0 GiB). Try": (
        "final",
        "131072 tokens",
    ),
    "ValueError: Model architecture X was supported in vLLM until v0.9, and is not": ("final", "X"),
    "huggingface_hub.errors.GatedRepoError: 401 Client Error.": ("final", "HF_TOKEN"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_logs(name: str) -> None:
    kind, words = REAL[name]
    cause = explain_log((LOGS / f"{name}.log").read_text("utf-8"))
    assert cause.kind == kind
    for word in words:
        assert word in cause.sentence
    assert "\n" not in cause.sentence and len(cause.sentence) < 300


def test_every_kept_log_is_looked_at() -> None:
    assert {path.stem for path in LOGS.iterdir()} == REAL.keys()


@pytest.mark.parametrize("said", GPU)
def test_texts_that_need_a_gpu(said: str) -> None:
    kind, word = GPU[said]
    prefix = "\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ERROR 01-01 00:00:00 [core.py:1510] "
    follows = "RuntimeError: Engine core initialization failed. See root cause above."
    cause = explain_log(f"starting\n{prefix}{said}\n{follows}\n")
    assert cause.kind == kind
    assert word in cause.sentence


def test_an_unknown_error_is_told_as_it_stands() -> None:
    follows = "RuntimeError: Engine core initialization failed. See root cause above."
    cause = explain_log(f"(Worker pid=1) ERROR [x.py:1] KeyError: 'rope'\n{follows}")
    assert (cause.kind, cause.sentence) == ("unknown", "vLLM died of KeyError: 'rope'")
    assert explain_log("").sentence == "vLLM died without saying why."


def test_a_healthy_start_has_no_cause() -> None:
    said = "INFO: Using max model len 256\nWARNING: Found ulimit of 20000 and failed with error"
    assert explain_log(said).kind == "unknown"
