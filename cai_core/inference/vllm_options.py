"""The command line and environment that `vllm serve` is started with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cai_core.errors import EndpointError
from cai_core.inference.model_url import LOOPBACK

HOST = LOOPBACK[0]
# Enough for small models on a CPU build, which would otherwise take most of the memory.
CPU_CACHE_BYTES = 2**30
# On so few cores vLLM's own way of using them (a busy loop beside the worker) loses.
FEW_CORES = 4
_KEY_REASON = "an argument list is there for everyone on this machine to read"
# vLLM takes abbreviations (`--trust-rem`), so a name's beginnings are refused with it.
_REFUSED = {
    "--api-key": f"{_KEY_REASON}; the keeper makes a key and passes it by environment",
    "--hf-token": f"{_KEY_REASON}; set HF_TOKEN in the environment",
    "--trust-remote-code": "it would run code that came with the weights",
    "--served-model-name": "the workbench asks for the model under its own name",
    "--model": "the model is named before the options",
    "--config": "a file could say any of what is refused here; give its options one by one",
    "--uds": "the workbench asks over a loopback port",
    "--ssl-": "the server listens on loopback, without TLS",
    "--headless": "a server without its API cannot be asked",
}
_PICKLE_FORMATS = frozenset({"auto", "hf", "pt", "npcache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What a person asks of `vllm serve`, checked.

    Attributes:
        port: a fixed port, None for any free one.
        passed: goes to vLLM as it is.
    """

    port: int | None
    passed: tuple[str, ...]


def parse_options(options: Sequence[str], port: int | None = None) -> ServeOptions:
    """Check the options meant for vLLM; --host (loopback) and --port are taken out.

    Args:
        port: one that was asked for elsewhere.

    Raises:
        EndpointError: an option that is refused, with the reason, or a port that cannot be.
    """
    passed: list[str] = []
    left = list(options)
    while left:
        option = left.pop(0)
        name, given, value = option.partition("=")
        name = name.replace("_", "-")
        if not name.startswith("--") or name == "--":
            passed.append(option)
            continue
        _check_refused(name)
        if name not in ("--host", "--port", "--load-format"):
            passed.append(option)
            continue
        if not given:
            value = left.pop(0) if left else ""
        match name:
            case "--host":
                _check_host(value)
            case "--port":
                port = _parse_port(value, already=port)
            case _:
                passed += ["--load-format", _check_load_format(value)]
    return ServeOptions(port=port, passed=tuple(passed))


def build_command(
    python: str,
    source: str,
    *,
    port: int,
    model_id: str,
    options: Sequence[str],
    cpu: bool,
    bf16: bool = True,
) -> list[str]:
    """The argument list of `vllm serve`. The person's options come after our own defaults, so
    that theirs count; what must stay as it is comes last.

    Args:
        source: a model folder or a hub id.
        cpu: whether this is vLLM's CPU build.
        bf16: whether the processor multiplies bfloat16 by itself.
    """
    command = [python, "-m", "vllm.entrypoints.cli.main", "serve", source]
    # What was asked for is what is sampled, whatever the model's own generation_config says.
    command += ["--generation-config", "vllm", "--enable-prompt-tokens-details"]
    # Never pickles, and no log line for each request.
    command += ["--load-format", "safetensors", "--disable-uvicorn-access-log"]
    sized = ("--kv-cache-memory-bytes", "--gpu-memory-utilization")
    if cpu and not any(has_option(options, name) for name in sized):
        command += ["--kv-cache-memory-bytes", str(CPU_CACHE_BYTES)]
    if cpu and not has_option(options, "--enable-chunked-prefill"):
        # A seeded request whose prompt is read in parts kills the engine of 0.32 on a CPU: it
        # asks torch's CPU generator for an offset, which it has not.
        command += ["--no-enable-chunked-prefill"]
    if cpu and not bf16 and not has_option(options, "--dtype"):
        # `auto` makes float32 weights bfloat16, four times slower where it is emulated.
        command += ["--dtype", "float32"]
    command += options
    return [*command, "--host", HOST, "--port", str(port), "--served-model-name", model_id]


def build_environment(
    environment: Mapping[str, str],
    *,
    api_key: str,
    options: Sequence[str],
    cpu: bool,
    cores: int = FEW_CORES,
) -> dict[str, str]:
    """The environment of `vllm serve`; what is set already stays, but for the key.

    Args:
        cores: how many this process may use.
    """
    built = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    # The working folder is the person's, for relative paths in options: no package from there.
    built["PYTHONSAFEPATH"] = "1"
    if cpu:
        built["VLLM_TARGET_DEVICE"] = "cpu"
    if cpu and cores <= FEW_CORES:
        built |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
        # Keeps the worker in the engine's process (0.32). As two, they wait for each other in busy
        # loops: the same 1,280 requests took 15 to 78 s on two cores, in one process 10 to 13 s.
        built["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if has_option(options, "--enable-lora"):
        built["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    return {**built, **environment, "VLLM_API_KEY": api_key}


def has_option(options: Sequence[str], name: str) -> bool:
    """Whether an option (full name, with dashes) is given, in either spelling."""
    return any(option.partition("=")[0].replace("_", "-") == name for option in options)


def read_option(options: Sequence[str], *names: str) -> str | None:
    """The last value given to an option under any of its names, or None."""
    found = None
    for index, option in enumerate(options):
        name, given, value = option.partition("=")
        if name.replace("_", "-") in names:
            found = value if given else next(iter(options[index + 1 : index + 2]), None)
    return found


def _check_refused(name: str) -> None:
    for refused, reason in _REFUSED.items():
        if refused.startswith(name) or (refused.endswith("-") and name.startswith(refused)):
            # The value is not repeated: it may be a key.
            raise EndpointError(f"vLLM's option {name} is refused: {reason}. Remove it.")
    for own in ("--host", "--port", "--load-format"):
        if own.startswith(name) and own != name:
            raise EndpointError(f"vLLM's option {name} is ambiguous. Write {own} in full.")


def _check_host(value: str) -> None:
    if value not in LOOPBACK:
        raise EndpointError(
            f"--host {value} would let others on the network use this server. Leave it out: "
            f"it listens on {HOST}."
        )


def _parse_port(value: str, *, already: int | None) -> int:
    if already is not None:
        raise EndpointError("--port is given twice. Give it once.")
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise EndpointError(f"--port {value!r:.80} is no port. Give a number from 1 to 65535.")
    return int(value)


def _check_load_format(value: str) -> str:
    if value.lower() in _PICKLE_FORMATS:
        raise EndpointError(
            f"--load-format {value} may read .bin or .pt weights. They are pickles, which can run "
            "code when read. Leave it out: safetensors are read."
        )
    return value
