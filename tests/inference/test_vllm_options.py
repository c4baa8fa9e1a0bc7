"""What vLLM is started with, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import EndpointError
from cai_core.inference.vllm_options import (
    build_command,
    build_environment,
    has_option,
    parse_options,
    read_option,
)


def command(*options: str, cpu: bool = True, bf16: bool = True) -> list[str]:
    return build_command("py", "dir", port=81, model_id="m", options=options, cpu=cpu, bf16=bf16)


def test_on_a_processor_without_bfloat16_weights_stay_as_they_are() -> None:
    assert "--dtype" not in command() and "--dtype" not in command(cpu=False, bf16=False)
    built = command(bf16=False)
    assert built[built.index("--dtype") + 1] == "float32"
    assert command("--dtype=bfloat16", bf16=False).count("float32") == 0


def test_prompts_are_not_read_in_parts_on_a_cpu() -> None:
    assert "--no-enable-chunked-prefill" in command()
    assert "--no-enable-chunked-prefill" not in command(cpu=False)
    assert "--no-enable-chunked-prefill" not in command("--enable-chunked-prefill")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--api-key", "sk-canary"], "argument list"),
        (["--api_key=sk-canary"], "argument list"),
        (["--api-k", "sk-canary"], "argument list"),  # vLLM takes abbreviations
        (["--hf-token=sk-canary"], "HF_TOKEN"),
        (["--trust-remote-code"], "code"),
        (["--trust_rem"], "code"),
        (["--served-model-name", "x"], "own name"),
        (["--model", "x"], "before the options"),
        (["--config", "x.yaml"], "one by one"),
        (["--ssl-keyfile", "x"], "TLS"),
        (["--host", "0.0.0.0"], "network"),
        (["--host=::"], "network"),
        (["--host"], "network"),
        (["--ho", "0.0.0.0"], "in full"),
        (["--port", "1", "--port=2"], "twice"),
        (["--port", "0x50"], "no port"),
        (["--port", "70000"], "no port"),
        (["--load-format", "pt"], "pickles"),
        (["--load_format=AUTO"], "pickles"),
    ],
)
def test_refused(options: list[str], reason: str) -> None:
    with pytest.raises(EndpointError, match=reason) as caught:
        parse_options(options)
    assert "sk-canary" not in str(caught.value)


def test_a_port_given_in_both_places_is_refused() -> None:
    with pytest.raises(EndpointError, match="twice"):
        parse_options(["--port", "5"], port=6)


def test_the_rest_passes_unchanged() -> None:
    options = ["--max-model-len", "8192", "-tp", "2", "--config-format=hf", "--enable-lora"]
    options += ["--model-impl", "vllm", "--no-trust-remote-code", "--override.x", '{"a b": 1}']
    parsed = parse_options(["--host", "127.0.0.1", *options, "--port=5"])
    assert parsed.passed == tuple(options)
    assert parsed.port == 5
    assert parse_options(["--load-format", "tensorizer"]).passed == ("--load-format", "tensorizer")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=6))
def test_nothing_that_is_no_option_is_lost(texts: list[str]) -> None:
    plain = [text for text in texts if not text.startswith("--")]
    assert parse_options(plain).passed == tuple(plain)


def test_the_persons_options_win_over_defaults_and_lose_against_ours() -> None:
    built = command("--generation-config", "auto", "--kv-cache-memory-bytes", "7")
    assert built.index("auto") > built.index("--generation-config")
    assert read_option(built, "--generation-config") == "auto"
    assert read_option(built, "--kv-cache-memory-bytes") == "7"
    assert built[-6:] == ["--host", "127.0.0.1", "--port", "81", "--served-model-name", "m"]
    assert built[:5] == ["py", "-m", "vllm.entrypoints.cli.main", "serve", "dir"]


def test_the_cpu_build_is_given_a_small_cache_unless_told_otherwise() -> None:
    assert read_option(command(), "--kv-cache-memory-bytes") == str(2**30)
    assert not has_option(command(cpu=False), "--kv-cache-memory-bytes")
    told = command("--gpu_memory_utilization=0.5")
    assert not has_option(told, "--kv-cache-memory-bytes")


def test_the_environment_keeps_what_is_set_but_for_the_key() -> None:
    own = {"VLLM_API_KEY": "theirs", "OMP_NUM_THREADS": "4", "PATH": "/bin"}
    built = build_environment(own, api_key="ours", options=("--enable-lora",), cpu=True)
    assert built["VLLM_API_KEY"] == "ours"
    assert (built["OMP_NUM_THREADS"], built["PATH"]) == ("4", "/bin")
    assert built["VLLM_TARGET_DEVICE"] == "cpu"
    assert built["VLLM_NO_USAGE_STATS"] == built["DO_NOT_TRACK"] == "1"
    assert built["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    big = build_environment({}, api_key="k", options=(), cpu=True, cores=32)
    assert built["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert not {"OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING"} & big.keys()
    gpu = build_environment({}, api_key="k", options=(), cpu=False)
    assert not {"VLLM_TARGET_DEVICE", "OMP_NUM_THREADS"} & gpu.keys()
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in gpu
