"""What README tells people to type exists, and the requirement files agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def read_pins(name: str) -> dict[str, str]:
    """Package → the rest of its line."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    matches = (re.match(r"([A-Za-z0-9_.-]+)(.*)", line) for line in lines if line[:1].isalpha())
    return {match[1].lower(): match[2] for match in matches if match}


def test_make_has_what_a_person_does_here() -> None:
    assert {"help", "install", "app", "test", "lint", "bench"} <= TARGETS


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_only_targets_that_exist(name: str) -> None:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{name} is not written yet")
    code = re.findall(r"```.*?```|`[^`\n]+`", path.read_text("utf-8"), re.DOTALL)
    named = {target for part in code for target in re.findall(r"\bmake ([a-z][a-z-]*)", part)}
    assert named <= TARGETS


def test_requirement_files_fit_together() -> None:
    whole, cpu = (ROOT / "requirements.txt").read_text("utf-8"), read_pins("requirements-cpu.txt")
    assert "-r requirements-cpu.txt" in whole
    assert not set(read_pins("requirements.txt")) & set(cpu), "pinned in both files"
    # vLLM and the CPU set want different versions of these, so only the resolver may choose.
    assert "fastapi" not in cpu
    assert "huggingface-hub" not in cpu
    assert not cpu["numpy"]
    assert all(pin.startswith("==") for name, pin in cpu.items() if name != "numpy")
    assert all(pin.startswith("==") for pin in read_pins("requirements-dev.txt").values())


def test_python_floor_is_told_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    floor = project["project"]["requires-python"].removeprefix(">=")
    setup = (ROOT / "scripts" / "setup.sh").read_text("utf-8")
    assert f'minimum="{floor}"' in setup
    assert f"sys.version_info < ({floor.replace('.', ', ')})" in setup
    assert project["tool"]["mypy"]["python_version"] == floor


def test_scripts_can_be_run() -> None:
    for path in [ROOT / ".ci" / "run", *(ROOT / "scripts").glob("*.sh")]:
        assert path.stat().st_mode & stat.S_IXUSR, path
        assert "set -euo pipefail" in path.read_text("utf-8"), path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the set-up script, a stand-in .venv that records pip's calls, and no more."""
    (tmp_path / "scripts").mkdir()
    shutil.copy2(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "requirements-cpu.txt").write_text("one\n")
    (tmp_path / "requirements-dev.txt").write_text("two\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -m ]; then echo "$*" >>"{tmp_path}/pip.log"; exit ${{FAIL:-0}}; fi\n'
        f'exec "{shutil.which("python3")}" "$@"\n'
    )
    python.chmod(0o755)
    return tmp_path


def run_setup(folder: Path, kind: str, **extra: str) -> int:
    # Without uv and nvidia-smi on the path: what is under test is the stamp.
    env = {**os.environ, "PATH": "/usr/bin:/bin", **extra}
    done = subprocess.run(
        ["bash", "scripts/setup.sh", kind], cwd=folder, env=env, check=False, capture_output=True
    )
    return done.returncode


def list_installs(folder: Path) -> list[str]:
    log = folder / "pip.log"
    return re.findall(r"-r (\S+)", log.read_text()) if log.exists() else []


@pytest.mark.skipif(
    any(shutil.which(tool, path="/usr/bin:/bin") for tool in ("uv", "nvidia-smi")),
    reason="uv or a GPU in the system's own folders",
)
def test_setup_installs_again_only_what_changed(bare: Path) -> None:
    assert run_setup(bare, "dev") == 0
    assert list_installs(bare) == ["requirements-cpu.txt", "requirements-dev.txt"]
    assert run_setup(bare, "dev") == 0
    assert len(list_installs(bare)) == 2
    (bare / "requirements-dev.txt").write_text("two\nthree\n")
    assert run_setup(bare, "dev") == 0
    assert list_installs(bare)[2:] == ["requirements-dev.txt"]


@pytest.mark.skipif(
    any(shutil.which(tool, path="/usr/bin:/bin") for tool in ("uv", "nvidia-smi")),
    reason="uv or a GPU in the system's own folders",
)
def test_setup_leaves_no_stamp_when_an_install_fails(bare: Path) -> None:
    assert run_setup(bare, "app", FAIL="1") != 0
    assert run_setup(bare, "app") == 0
    assert list_installs(bare) == ["requirements-cpu.txt", "requirements-cpu.txt"]
