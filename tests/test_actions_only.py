"""Pages and the command line change nothing but through `cai_core.actions`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.test_imports import CORE, ROOT, list_sources

# Whatever writes: only actions, and the stages that they launch, may use these.
WRITERS = {
    "cai_core.workspace.journal": {"append_records"},
    "cai_core.workspace.events": {"append_event"},
    "cai_core.workspace.files": {"replace_file", "write_all"},
    "cai_core.workspace.runs": {"create_run"},
    "cai_core.workspace.writer": {"RunWriter"},
    "cai_core.workspace.status": {"save_status"},
    "cai_core.workspace.versions": {"write_version"},
    "cai_core.workspace.drafts": {"write_draft", "delete_draft"},
    "cai_core.workspace.endpoints": {"write_endpoints", "restore_endpoints"},
    "cai_core.workspace.prompt_sets": {"write_prompt_set", "write_rejected"},
    "cai_core.workspace.suites": {"write_suite"},
    "cai_core.workspace.prompt_uploads": {"write_upload", "delete_upload"},
    "cai_core.jobs.queue": {"hold_queue"},
    "cai_core.jobs.run_files": {"set_state", "write_inputs", "bury"},
    "cai_core.jobs.tombstone": {"write_tombstone", "clear_folder"},
    "cai_core.pipeline.import_samples": {"import_anthropic_samples"},
    "cai_core.pipeline.import_run": {"import_files", "write_import"},
    "cai_core.pipeline.import_outputs": {
        "copy_files",
        "write_rows",
        "write_preferences",
        "write_questions",
        "write_summary",
        "write_rejected",
    },
    "cai_core.pipeline.interactive": {"run_live"},
    "cai_core.workspace.review_queues": {"write_queue"},
    "cai_core.workspace.review_claims": {"hold_claims"},
    "cai_core.workspace.opinions": {"write_opinion"},
    "cai_core.pipeline.ways_interactive": {"run_live_ways"},
}
HUBS = {"hub", "ways_hub"}
METHODS = {"write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch", "rename"}
# ui/services.py gives the hubs their work; actions.chains and actions.ways alone start it.
MAY = {
    "ui/services.py": {"run_live", "run_live_ways"},
    # Files that the person names on the command line, outside of the workspace.
    "cai_core/commands/constitution.py": {"replace_file"},
    "cai_core/commands/drift.py": {"replace_file"},
    "cai_core/commands/verify.py": {"replace_file"},
}
FRONT = [
    ROOT / "app.py",
    *list_sources(ROOT / "pages"),
    *list_sources(ROOT / "ui"),
    CORE / "cli.py",
    *list_sources(CORE / "commands"),
]


def find_writes(source: str) -> set[str]:
    """Names of writers that the program imports, and of writing methods that it calls."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            writers = WRITERS.get(node.module or "", set())
            found |= {alias.name for alias in node.names} & writers
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in WRITERS}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            chains = isinstance(owner, ast.Call) and getattr(owner.func, "attr", "") in HUBS
            if node.func.attr in METHODS or (chains and node.func.attr == "start"):
                found.add(node.func.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open":
            found.add("open")
    return found


@pytest.mark.parametrize("path", FRONT, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_in_front_of_actions_writes(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert find_writes(path.read_text("utf-8")) <= MAY.get(name, set())


def test_every_writer_is_where_this_test_looks_for_it() -> None:
    for module, names in WRITERS.items():
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text("utf-8")
        defined = {n.name for n in ast.walk(ast.parse(source)) if hasattr(n, "name")}
        assert names <= defined, module


@pytest.mark.parametrize(
    "source",
    [
        "from cai_core.workspace.files import get_workspace, replace_file",
        "import cai_core.workspace.journal",
        "path.write_text('x')",
        "services.hub().start(request)",
        "open('x', 'w')",
    ],
)
def test_a_write_would_be_found(source: str) -> None:
    assert find_writes(source)
