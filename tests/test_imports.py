"""Imports point down, heavy packages stay where they belong, and no page reaches torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "cai_core"

# Which packages of cai_core each one may import (docs: "Imports point down").
BASE = {"constitution", "records", "errors", "machine", "recipe_checks"}
MIDDLE = BASE | {"prompts", "inference", "workspace"}
STAGES = MIDDLE | {"training", "pipeline", "evaluation"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "machine": set(),
    "recipe_checks": {"errors"},
    "records": {"errors"},
    "constitution": BASE,
    "prompts": MIDDLE,
    "inference": MIDDLE,
    "workspace": MIDDLE,
    "training": STAGES | {"demo_world"},
    "pipeline": STAGES,
    "evaluation": STAGES,
    "demo_world": BASE | {"prompts", "inference", "evaluation"},
    "jobs": STAGES | {"demo_world"},
    "reports": STAGES | {"jobs"},
    "actions": STAGES | {"demo_world", "jobs", "reports"},
    "commands": STAGES | {"actions", "demo_world", "jobs", "reports"},
    "cli": STAGES | {"actions", "commands", "demo_world", "jobs", "reports"},
    "__main__": {"cli"},
    "__init__": set(),
}
# Where a third-party package may be imported; everything below a listed path counts.
CONFINED = {
    "streamlit": (),
    "duckdb": ("workspace",),
    "sqlite3": ("workspace",),
    **dict.fromkeys(
        ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers"),
        ("training", "demo_world", "inference/local_server"),
    ),
}


def list_imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, inside functions too, as an absolute dotted name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it absolute"
            module = node.module or ""
            if module in ("cai_core", "ui"):  # `from ui import services` imports ui.services
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def list_sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", list_sources(CORE), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_point_down(path: Path) -> None:
    own = part_of(path)
    for module in list_imports(path):
        parts = module.split(".")
        if parts[0] in ("ui", "pages", "app"):
            pytest.fail(f"{path}: cai_core imports {module}")
        if parts[0] == "cai_core" and len(parts) > 1 and parts[1] != "__version__":
            allowed = MAY_IMPORT[own] | {own}
            assert parts[1] in allowed, f"{path} imports {module}; {own} may import {allowed}"


@pytest.mark.parametrize("path", list_sources(CORE), ids=lambda p: str(p.relative_to(ROOT)))
def test_confined_packages_stay_in_their_place(path: Path) -> None:
    place = path.relative_to(CORE).as_posix()
    for module in list_imports(path):
        homes = CONFINED.get(module.split(".")[0])
        if homes is not None:
            assert any(place.startswith(f"{home}/") for home in homes), f"{path} imports {module}"


@pytest.mark.parametrize(
    "path",
    [ROOT / "app.py", *list_sources(ROOT / "pages"), *list_sources(ROOT / "ui")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_pages_ask_core_and_hold_no_engine_room(path: Path) -> None:
    forbidden = {"duckdb", "sqlite3", "torch", "transformers", "trl", "httpx", "tokenizers"}
    for module in list_imports(path):
        assert module.split(".")[0] not in forbidden, f"{path} imports {module}"
        assert not module.startswith("cai_core.prompts"), f"{path} imports {module}"


def test_pages_are_thin() -> None:
    for page in (ROOT / "pages").glob("*.py"):
        assert len(page.read_text("utf-8").splitlines()) < 150, page


def test_nothing_that_a_page_imports_reaches_torch() -> None:
    modules = {
        module
        for path in [ROOT / "app.py", *list_sources(ROOT / "pages"), *list_sources(ROOT / "ui")]
        for module in list_imports(path)
        if module.split(".")[0] in ("cai_core", "ui")
    }
    assert "ui.services" in modules
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'trl'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
