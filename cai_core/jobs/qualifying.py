"""Which comparisons a feedback model is qualified by, and how a qualification is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cai_core.demo_world import load_world
from cai_core.demo_world.qualifying import draw_known_comparisons
from cai_core.errors import WorkspaceError
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER
from cai_core.pipeline.connect import resolve_config
from cai_core.pipeline.qualify import GENERAL, KnownSet, load_known_set
from cai_core.workspace.qualifications import find_qualification, get_standing
from cai_core.workspace.runs import open_run
from cai_core.workspace.versions import resolve_constitution

_WORLD_CONSTITUTION = "harmlessness"
_MOST_ANCESTORS = 50


def is_of_demo_world(model: str, workspace: Path) -> bool:
    """Whether the model is the demo model, or was trained from it by runs of the workspace.

    Raises:
        EndpointError: an empty name, or the endpoints file cannot be read.
    """
    config = resolve_config(model, workspace)
    name = config.model if config.kind == "bundled" else ""
    runs = (workspace / "runs").absolute()
    for _ in range(_MOST_ANCESTORS):
        folder = Path(name).absolute()
        if name == DEMO or folder == DEMO_FOLDER:
            return True
        if not name or not folder.is_relative_to(runs) or folder == runs:
            return False
        try:
            name = str(open_run(runs / folder.relative_to(runs).parts[0]).recipe.get("base") or "")
        except WorkspaceError:
            return False
    return False


def choose_known_set(
    model: str, workspace: Path, *, constitution: str | None = None, file: Path | None = None
) -> KnownSet:
    """The file, where one is given; comparisons of the demo world for its models; else ours.

    Args:
        constitution: a name, NAME@HASH or a path, whose comparison requests are asked in turn.
            None asks `harmlessness` in the demo world, and our own questions elsewhere.

    Raises:
        CaiError: there is no such constitution, or as `load_known_set`, `draw_known_comparisons`
            and `is_of_demo_world`.
    """
    in_world = file is None and is_of_demo_world(model, workspace)
    name = constitution or (_WORLD_CONSTITUTION if in_world else None)
    chosen = resolve_constitution(workspace, name) if name else None
    if not in_world or chosen is None:
        return load_known_set(file or GENERAL, chosen)
    return KnownSet(
        name="demo world",
        comparisons=draw_known_comparisons(load_world(), chosen),
        asked_by=f"{chosen.name}@{chosen.hash[:12]}",
    )


def describe_standing(workspace: Path, recipe: Mapping[str, Any]) -> str:
    """How a label recipe's feedback model stands, in a line for people."""
    model = str(recipe.get("feedback_model"))
    template, reasoned = str(recipe.get("template", "chat")), bool(recipe.get("reasoned", False))
    found = find_qualification(workspace, model, template=template, reasoned=reasoned)
    if found is None:
        flags = " --reasoned" if reasoned else ""
        flags += f" --template {template}" if template != "chat" else ""
        return f"{model} is not qualified: ask by `python -m cai_core qualify {model}{flags}`"
    rates = "; ".join(
        f"{name.replace('_', ' ')} {100 * found[name]['rate']:.1f} %"
        for name in ("accuracy", "planted", "swap_consistency")
        if found.get(name)
    )
    standing = get_standing(found)
    told = standing if standing == "qualified" else f"below {found.get('least_rate')}"
    return f"{model} is {told} ({rates}; {found.get('set')}, {found.get('at')})"
