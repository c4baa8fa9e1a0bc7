"""What a plan's fields may name: the workspace's prompt sets, constitutions and models."""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.errors import CaiError
from cai_core.jobs.looking import list_made_models
from cai_core.jobs.plan_edit import RunFields
from cai_core.jobs.plan_lookup import MODEL_KINDS
from cai_core.jobs.plan_names import RUN, check_place
from cai_core.pipeline.prompt_sets import list_versions as list_prompt_sets
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.prompt_sets import SHORT
from cai_core.workspace.versions import list_names, resolve_constitution
from cai_core.workspace.versions import list_versions as list_constitutions
from ui import services


def list_for(key: str, run: RunFields, above: Sequence[RunFields]) -> list[str]:
    """What may stand under that key of a run.

    Args:
        above: the plan's runs before it.
    """
    last = key.rpartition(".")[2]
    if last == "prompts":
        return list_prompts()
    if last == "constitution":
        return list_constitution_names()
    if key.startswith("rewards.") and run.values.get(f"{key.rpartition('.')[0]}.kind") != "judge":
        return [f"{RUN}{one.name}" for one in above if one.kind == "reward" and one.name]
    made = [f"{RUN}{one.name}" for one in above if one.kind in MODEL_KINDS and one.name]
    return [*list_models(asked=last != "base"), *made]


def list_models(*, asked: bool) -> list[str]:
    """Models by name, `demo` first, made ones last.

    Args:
        asked: those that answer, which are endpoints; else those whose weights can be trained.
    """
    workspace = services.workspace()
    named = list(read_endpoints(workspace).book.endpoints) if asked else ["demo"]
    return [*named, *(f"{RUN}{made}" for made in list_made_models(workspace))]


def list_prompts() -> list[str]:
    """Prompt sets, and the older versions of those that have some."""
    workspace = services.workspace()
    try:
        newest = list_prompt_sets(workspace)
        older = [
            f"{version.name}@{version.hash[:SHORT]}"
            for one in newest
            if one.number
            for version in list_prompt_sets(workspace, one.name)
        ]
    except CaiError:
        return []  # the check beside the fields says why
    return list(dict.fromkeys([*(one.name for one in newest), *older]))


def list_constitution_names() -> list[str]:
    """Constitutions, and the older versions of those that have some."""
    workspace = services.workspace()
    try:
        names = list_names(workspace)
        older = [
            f"{info.name}@{version.hash[:SHORT]}"
            for info in names
            if info.versions > 1
            for version in list_constitutions(workspace, info.name)
        ]
    except CaiError:
        return []
    return list(dict.fromkeys([*(info.name for info in names), *older]))


def list_principles(constitution: object) -> list[str]:
    """Ids of a constitution that is named, never of a file; none where there is no such one."""
    if not isinstance(constitution, str) or constitution.lower().endswith((".yaml", ".yml")):
        return []
    workspace = services.workspace()
    try:
        check_place(constitution, workspace)
        found = resolve_constitution(workspace, constitution)
    except CaiError:
        return []
    return [principle.id for principle in found.principles]
