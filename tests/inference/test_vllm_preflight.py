"""What is said before a start that cannot go well. GPUs and environments are stood in for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cai_core.errors import EndpointError, ServerUnavailableError, UnknownModelError
from cai_core.inference import vllm_preflight
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_plan import make_plan
from cai_core.inference.vllm_preflight import (
    check_gpus,
    check_memory,
    find_gpus,
    find_install,
    parse_gpus,
    read_free_memory,
)
from cai_core.inference.vllm_server import ensure_vllm
from tests.inference import fake_vllm

TWO = "0, GPU-a, H100, 1000, 81559\n1, GPU-b, H100, 60000, 81559\n"


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_preflight, "_installs", {})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


def config_of(model: object, *options: str) -> EndpointConfig:
    return EndpointConfig(name="local", kind="vllm", model=str(model), options=options)


def add_program(folder: Path, name: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in front of the search path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_vllm(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAI_VLLM_PYTHON", raising=False)
    monkeypatch.setattr(sys, "executable", str(make_python(tmp_path / "bare", None)))
    with pytest.raises(ServerUnavailableError, match=r"not installed .* CAI_VLLM_PYTHON"):
        ensure_vllm(config_of(model), tmp_path)
    # A missing one is looked for again: it may be installed meanwhile.
    monkeypatch.setattr(sys, "executable", str(make_python(tmp_path / "own", "0.32.0")))
    assert find_install({}).version == "0.32.0"


def make_python(folder: Path, version: str | None) -> Path:
    folder.mkdir()
    python = folder / "python"
    told = "null" if version is None else f'"{version}"'
    python.write_text(f"#!/bin/sh\necho '{told}'\n")
    python.chmod(0o755)
    return python


def test_the_named_python_is_asked(tmp_path: Path) -> None:
    python = fake_vllm.install(tmp_path / "fake", [{}])
    found = find_install({"CAI_VLLM_PYTHON": str(python)})
    assert (found.python, found.version, found.is_cpu) == (str(python), "0.32.0+cpu", True)
    with pytest.raises(ServerUnavailableError, match="does not run"):
        find_install({"CAI_VLLM_PYTHON": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("version", ["0.14.0", "0.9.2", "0.14.0.post1"])
def test_versions_with_known_holes_are_refused(version: str, tmp_path: Path) -> None:
    python = make_python(tmp_path / "old", version)
    with pytest.raises(ServerUnavailableError, match=r"0\.14\.1 or newer"):
        find_install({"CAI_VLLM_PYTHON": str(python)})


def test_no_gpu(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_VLLM_PYTHON", str(make_python(tmp_path / "gpu", "0.32.0")))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if any(Path(f"/usr/bin/{name}").exists() for name in ("nvidia-smi", "rocm-smi")):
        pytest.skip("there is a GPU")
    with pytest.raises(ServerUnavailableError, match=r"needs a GPU, .* bundled server"):
        make_plan(config_of(model), detached=True)


def test_gpus_are_asked_of_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_program(tmp_path / "bin", "nvidia-smi", TWO, monkeypatch)
    gpus = find_gpus()
    assert gpus is not None
    assert [gpu.free for gpu in gpus] == [1000 * 2**20, 60000 * 2**20]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ServerUnavailableError, match="CUDA_VISIBLE_DEVICES"):
        find_gpus()


def test_amd_gpus_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_program(tmp_path / "bin", "rocm-smi", "GPU[0]", monkeypatch)
    monkeypatch.setattr(
        vllm_preflight, "parse_gpus", lambda told, visible: [] if told == "" else pytest.fail(told)
    )
    assert find_gpus() is None
    check_gpus("m", 10**15, None, ())


def test_visible_gpus_by_number_and_uuid() -> None:
    assert [gpu.free // 2**20 for gpu in parse_gpus(TWO, "1,0")] == [60000, 1000]
    assert [gpu.free // 2**20 for gpu in parse_gpus(TWO, "GPU-b")] == [60000]
    assert parse_gpus("No devices were found\n", None) == []


def test_weights_must_fit_into_free_gpu_memory() -> None:
    gpus = parse_gpus(TWO, "1")
    fits = int(60000 * 2**20 / 1.2)
    check_gpus("m", fits, gpus, ())
    with pytest.raises(ServerUnavailableError, match=r"needs about .* free on H100.*--list"):
        check_gpus("m", fits + 2**20, gpus, ())
    check_gpus("m", fits * 2, gpus, ("--quantization=fp8",))
    both = parse_gpus(TWO.replace("1000,", "60000,"), None)
    check_gpus("m", fits * 2, both, ("-tp", "2"))
    with pytest.raises(ServerUnavailableError, match="of each GPU"):
        check_gpus("m", fits * 2 + 2**22, both, ("--tensor_parallel_size=2",))
    with pytest.raises(ServerUnavailableError, match="ask for 4 GPUs, and 2"):
        check_gpus("m", 1, both, ("-tp", "2", "-pp=2"))


def test_weights_and_cache_must_fit_into_memory() -> None:
    check_memory("m", 100, 2**30 + 120, ())
    with pytest.raises(ServerUnavailableError, match="--kv-cache-memory-bytes"):
        check_memory("m", 100, 2**30 + 119, ())
    check_memory("m", 100, 620, ("--kv-cache-memory-bytes", "500"))
    check_memory("m", 100, None, ())
    if sys.platform == "linux":
        assert (read_free_memory() or 0) > 2**20


def test_bad_models_and_options_start_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = fake_vllm.install(tmp_path / "fake", [{}])
    monkeypatch.setenv("CAI_VLLM_PYTHON", str(python))
    (model / "model.safetensors").unlink()
    with pytest.raises(UnknownModelError, match="pickles"):
        ensure_vllm(config_of(model), tmp_path)
    with pytest.raises(UnknownModelError, match="No model"):
        ensure_vllm(config_of("no such model"), tmp_path)
    with pytest.raises(EndpointError, match="refused"):
        ensure_vllm(config_of("owner/name", "--trust-remote-code"), tmp_path)
    with pytest.raises(EndpointError, match="kind bundled"):
        ensure_vllm(EndpointConfig(name="x", kind="bundled", model="demo"), tmp_path)
    assert fake_vllm.count_lives(python) == 0
