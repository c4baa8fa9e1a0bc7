"""Whether a `vllm serve` can start here, said in clear words before it is tried."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import ServerUnavailableError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.model_folder import (
    DEMO,
    compute_fingerprint,
    list_weights,
    resolve_model,
)
from cai_core.inference.vllm_options import (
    CPU_CACHE_BYTES,
    ServeOptions,
    has_option,
    parse_options,
    read_option,
)

# An interpreter in an environment that has vLLM, where our own has none.
PYTHON_VARIABLE = "CAI_VLLM_PYTHON"
# Below it vLLM has a known hole: CVE-2026-24779.
_FLOOR = (0, 14, 1)
# Weights need more room than their files: buffers, activations.
_ROOM = 1.2
_VERSION_PROBE = """
import importlib.metadata as metadata, json
try:
    print(json.dumps(metadata.version("vllm")))
except metadata.PackageNotFoundError:
    print("null")
"""
_installs: dict[str, VllmInstall] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmInstall:
    """An environment that has vLLM."""

    python: str
    version: str

    @property
    def is_cpu(self) -> bool:
        """Whether it is vLLM's CPU build."""
        return "+cpu" in self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU; memory in bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """What is served.

    Attributes:
        model_id: the one name that all ways to name a model share.
        source: the folder or hub id that vLLM is given.
        fingerprint: of the weights, "" for a hub id.
        weight_bytes: 0 for a hub id.
    """

    model_id: str
    source: str
    fingerprint: str
    weight_bytes: int


def check_vllm(config: EndpointConfig, port: int | None = None) -> tuple[VllmInstall, ServeOptions]:
    """Everything that can be known before the start.

    Raises:
        EndpointError: an option is refused.
        UnknownModelError: no such model, or no weights that can be read safely.
        ServerUnavailableError: no vLLM, no GPU for it, or too little memory.
    """
    options = parse_options(config.options, port)
    served = identify_model(config.model)
    install = find_install(os.environ)
    if install.is_cpu:
        check_memory(config.model, served.weight_bytes, read_free_memory(), options.passed)
    else:
        check_gpus(config.model, served.weight_bytes, find_gpus(), options.passed)
    return install, options


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by itself; True where it does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return True
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    known = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}
    return flags is None or bool(known & set(flags[1].split()))


def identify_model(model: str) -> ServedModel:
    """Raises UnknownModelError."""
    folder = resolve_model(model)
    if folder is None:
        return ServedModel(model_id=model, source=model, fingerprint="", weight_bytes=0)
    return ServedModel(
        model_id=DEMO if model == DEMO else str(folder),
        source=str(folder),
        fingerprint=compute_fingerprint(folder),
        weight_bytes=sum(path.stat().st_size for path in list_weights(folder)),
    )


def find_install(environment: Mapping[str, str]) -> VllmInstall:
    """The environment of CAI_VLLM_PYTHON, or our own; vLLM is not imported.

    Raises:
        ServerUnavailableError: it has no vLLM, or one with known holes.
    """
    named = environment.get(PYTHON_VARIABLE, "").strip()
    python = named or sys.executable
    # Only what was found is remembered: vLLM may be installed while we run.
    if python not in _installs:
        _installs[python] = VllmInstall(python=python, version=_probe(python, bool(named)))
    return _installs[python]


def _probe(python: str, named: bool) -> str:
    asked = [python, "-c", _VERSION_PROBE]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
        version = json.loads(told.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ServerUnavailableError(
            f"{python} ({PYTHON_VARIABLE if named else 'this Python'}) does not run: {error}. "
            f"Set {PYTHON_VARIABLE} to the python of an environment that has vLLM."
        ) from error
    if not isinstance(version, str):
        raise ServerUnavailableError(
            f"vLLM is not installed in the environment of {python}. Install it there "
            f"(`pip install vllm`), or set {PYTHON_VARIABLE} to the python of an environment that "
            "has it."
        )
    if _release(version) < _FLOOR:
        wanted = ".".join(map(str, _FLOOR))
        raise ServerUnavailableError(
            f"vLLM {version} of {python} has known holes; {wanted} or newer is needed. "
            "Update it (`pip install -U vllm`)."
        )
    return version


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def find_gpus() -> list[Gpu] | None:
    """NVIDIA GPUs that may be used; None where there are AMD's, whose memory is not looked at.

    Raises:
        ServerUnavailableError: there is no GPU.
    """
    query = [
        "--query-gpu=index,uuid,name,memory.free,memory.total",
        "--format=csv,noheader,nounits",
    ]
    told = _ask(["nvidia-smi", *query])
    gpus = parse_gpus(told or "", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpus:
        return gpus
    if _ask(["rocm-smi", "--showid"]) is not None:
        return None
    hidden = " that CUDA_VISIBLE_DEVICES lets us use" if told else ""
    raise ServerUnavailableError(
        f"vLLM needs a GPU, and there is none{hidden} on this machine (asked: nvidia-smi, "
        "rocm-smi). Use the bundled server for small models, give the URL of a server "
        f"elsewhere, or set {PYTHON_VARIABLE} to an environment with a CPU build of vLLM."
    )


def parse_gpus(told: str, visible: str | None) -> list[Gpu]:
    """The GPUs of nvidia-smi's CSV, in the order of CUDA_VISIBLE_DEVICES where it is set."""
    found: dict[str, Gpu] = {}
    by_index: list[Gpu] = []
    for line in told.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 5 or not parts[3].isdecimal() or not parts[4].isdecimal():
            continue
        gpu = Gpu(name=parts[2], free=int(parts[3]) * 2**20, total=int(parts[4]) * 2**20)
        by_index.append(gpu)
        found |= {parts[0]: gpu, parts[1]: gpu}
    if visible is None:
        return by_index
    named = [name.strip() for name in visible.split(",")]
    return [found[name] for name in named if name in found]


def check_gpus(
    model: str, weight_bytes: int, gpus: Sequence[Gpu] | None, options: Sequence[str]
) -> None:
    """Whether the weights fit into the GPUs' free memory.

    Raises:
        ServerUnavailableError: they do not, or more GPUs are asked for than there are.
    """
    if gpus is None:
        return
    split = _count(options, "--tensor-parallel-size", "-tp")
    split *= _count(options, "--pipeline-parallel-size", "-pp")
    if split > len(gpus):
        raise ServerUnavailableError(
            f"The options ask for {split} GPUs, and {len(gpus)} can be used here. Give a smaller "
            "--tensor-parallel-size."
        )
    if _shrinks(options):
        return
    needed, free = weight_bytes * _ROOM / split, min(gpu.free for gpu in gpus[:split])
    if needed > free:
        more = " of each GPU" if split > 1 else ""
        raise ServerUnavailableError(
            f"{model}: needs about {_gib(needed)}{more}, and {_gib(free)} are free on "
            f"{gpus[0].name}. Stop what else uses it (`python -m cai_core vllm --list`), spread "
            "the model with --tensor-parallel-size, or choose a smaller or quantized one."
        )


def check_memory(model: str, weight_bytes: int, free: int | None, options: Sequence[str]) -> None:
    """Whether weights and KV cache of a CPU build fit into the free memory.

    Raises:
        ServerUnavailableError: they do not.
    """
    if free is None or not weight_bytes or _shrinks(options):
        return
    asked = read_option(options, "--kv-cache-memory-bytes") or str(CPU_CACHE_BYTES)
    cache = int(asked) if asked.isdecimal() else CPU_CACHE_BYTES
    needed = weight_bytes * _ROOM + cache
    if needed > free:
        raise ServerUnavailableError(
            f"{model}: needs about {_gib(needed)} with its KV cache, and {_gib(free)} memory are "
            "free. Stop other programs, give a smaller --kv-cache-memory-bytes, or choose a "
            "smaller model."
        )


def read_free_memory() -> int | None:
    """Bytes of memory that programs can still take; None where the system does not tell."""
    try:
        told = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _shrinks(options: Sequence[str]) -> bool:
    """Whether the weights take another room than their files."""
    return any(has_option(options, name) for name in ("--quantization", "-q", "--cpu-offload-gb"))


def _count(options: Sequence[str], *names: str) -> int:
    told = read_option(options, *names) or "1"
    return max(1, int(told)) if told.isdecimal() else 1


def _ask(command: list[str]) -> str | None:
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
