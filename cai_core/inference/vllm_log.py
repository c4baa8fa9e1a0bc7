"""Why a `vllm serve` died, from its log, in one sentence. Pure.

The texts are those of vLLM 0.32; tests/inference/vllm_logs holds real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_SPACE = re.compile(r"\s+")
# The last line of a Python traceback, behind vLLM's own prefix or not.
_ERROR = re.compile(r"(?:^|\] )([A-Za-z_][\w.]*(?:Error|Exception|Interrupt)): (.+)$", re.MULTILINE)
# These say only that something else failed.
_HOLLOW = ("Engine core initialization failed", "WorkerProc initialization failed")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why it died.

    Attributes:
        kind: `port` (taken: another one may do), `memory` (may be free again later), `final`
            (starting it again changes nothing), `unknown`.
        sentence: what, and what to do.
    """

    kind: Literal["port", "memory", "final", "unknown"]
    sentence: str


_Kind = Literal["port", "memory", "final"]
_Teller = Callable[[re.Match[str]], str]
_LESS = "Stop what else uses the GPU, or give a smaller --gpu-memory-utilization."
# In this order: the first that is found is the root, the later ones follow from it.
_CAUSES: tuple[tuple[_Kind, str, _Teller], ...] = (
    (
        "final",
        r"error: unrecognized arguments: (.+)",
        lambda m: f"vLLM does not know the option {m[1].strip()}. Remove or correct it.",
    ),
    (
        "final",
        r"error: (argument \S+: .+|ambiguous option: .+)",
        lambda m: f"vLLM refuses an option: {m[1].strip()}. Correct it.",
    ),
    (
        "port",
        r"\[Errno \d+\] Address already in use",
        lambda m: "The port is in use. Choose another --port, or leave it out.",
    ),
    (
        "final",
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \(([^ ]+?)[ )]",
        lambda m: (
            f"--max-model-len {m[1]} is longer than the model's own context ({m[2]}). "
            "Give a smaller --max-model-len."
        ),
    ),
    (
        "final",
        r"max seq len \((\d+)\).*?estimated maximum model length is (\d+)",
        lambda m: (
            f"The memory left for the KV cache does not hold one request of {m[1]} tokens. Give "
            f"--max-model-len {m[2]} or less, or more memory (--gpu-memory-utilization, or "
            "--kv-cache-memory-bytes)."
        ),
    ),
    (
        "final",
        r"max seq len \((\d+)\).*?larger than the available KV cache memory",
        lambda m: (
            f"The memory left for the KV cache does not hold one request of {m[1]} tokens. Give a "
            "smaller --max-model-len, or more memory (--gpu-memory-utilization, or "
            "--kv-cache-memory-bytes)."
        ),
    ),
    (
        "memory",
        r"Free memory on device (\S+) \(([\d.]+)/([\d.]+) GiB\) on startup is less than",
        lambda m: f"Only {m[2]} of {m[3]} GiB are free on {m[1]}, less than vLLM takes. {_LESS}",
    ),
    (
        "memory",
        r"Available memory on node (\S+) \(([\d.]+)/([\d.]+) GiB\) on startup is less than",
        lambda m: (
            f"Only {m[2]} of {m[3]} GiB memory are free on node {m[1]}, less than vLLM takes. Give "
            "--kv-cache-memory-bytes, or a smaller --gpu-memory-utilization."
        ),
    ),
    (
        "memory",
        r"No available memory for the cache blocks",
        lambda m: (
            "The weights leave no memory for the KV cache. Give a larger --gpu-memory-utilization "
            "or --kv-cache-memory-bytes, or a smaller model."
        ),
    ),
    (
        "memory",
        r"(?:CUDA|HIP) (?:error: )?out of memory(?:\. Tried to allocate ([\d.]+ \w+))?",
        lambda m: (
            "The GPU's memory ran out"
            + (f" (asked for another {m[1]})" if m[1] else "")
            + ". Give a smaller --max-model-len or --gpu-memory-utilization, or a smaller or "
            "quantized model."
        ),
    ),
    (
        "final",
        r"Model architectures? \[?'?([\w.]+)'?.{0,9} (?:are|is|was) (?:not supported|supported in)",
        lambda m: f"This vLLM does not know the model's architecture {m[1]}. Try a newer vLLM.",
    ),
    (
        "final",
        r"has model type `([^`]+)` but Transformers does not recognize",
        lambda m: (
            f"The transformers in vLLM's environment does not know the model type {m[1]}. Try a "
            "newer one."
        ),
    ),
    (
        "final",
        r"Cannot find any model weights with `([^`]+)`",
        lambda m: f"There are no *.safetensors in {m[1]}. Save with `save_pretrained`.",
    ),
    (
        "final",
        r"SafetensorError: (.+)",
        lambda m: f"The weights are damaged ({m[1].strip()}). Fetch or save them again.",
    ),
    (
        "final",
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https://",
        lambda m: (
            "The model's files are not on this machine and the Hugging Face hub cannot be "
            "reached. Download them first, or name a local folder."
        ),
    ),
    (
        "final",
        r"RepositoryNotFoundError|GatedRepoError|Invalid repository ID",
        lambda m: (
            "The Hugging Face hub does not give this model. Check its id, and set HF_TOKEN if it "
            "is gated."
        ),
    ),
    (
        "final",
        r"Couldn't instantiate the backend tokenizer",
        lambda m: "The model's folder has no tokenizer that can be read. Save one beside it.",
    ),
)


def explain_log(text: str) -> Cause:
    """The cause of death that a log tells; `unknown` with the last error where none is known."""
    plain = _STYLE.sub("", text)
    for kind, pattern, tell in _CAUSES:
        if found := re.search(pattern, plain):
            return Cause(kind, tell(found))
    errors = [(name, said) for name, said in _ERROR.findall(plain) if not said.startswith(_HOLLOW)]
    if errors:
        name, said = errors[0]
        return Cause("unknown", f"vLLM died of {name}: {_SPACE.sub(' ', said)[:300]}")
    return Cause("unknown", "vLLM died without saying why.")
