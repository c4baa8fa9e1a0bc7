"""Which prompts a suite's name means: of the demo world, shipped, added, a prompt set, a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from cai_core.demo_world import load_oracle, load_world
from cai_core.demo_world.suites import build_demo_suites
from cai_core.errors import ImportFormatError, PromptFileError, WorkspaceError
from cai_core.evaluation.suite_file import (
    list_shipped,
    load_shipped,
    load_suite,
    parse_suite_prompt,
)
from cai_core.evaluation.suites import Suite
from cai_core.pipeline.prompt_sets import resolve_prompts
from cai_core.records import Prompt, PromptKind
from cai_core.workspace.suites import SuiteVersion, get_suite_path, read_suites

# All of the demo world's.
DEMO = "demo"
_JOIN = " + "
# Digits of a hash that may stand for it.
_SHORTEST = 6


def list_suites(workspace: Path | None = None) -> tuple[str, ...]:
    """The demo world's, all of them as one, the shipped ones, and those that people added."""
    own = () if workspace is None else tuple(read_suites(workspace))
    return (DEMO, *_load_demo(), *list_shipped(), *own)


def load_own(workspace: Path, name: str) -> Suite | None:
    """A suite that somebody added: its newest version, or that of `name@hash`.

    Raises:
        ImportFormatError: there is no such version.
        WorkspaceError: its file is gone, or is not what was added.
    """
    bare, at, wanted = name.partition("@")
    versions = read_suites(workspace).get(bare)
    if versions is None:
        return None
    if not at:
        return load_suite_version(workspace, versions[-1])
    found = [one for one in reversed(versions) if one.hash.startswith(wanted)]
    if len(wanted) < _SHORTEST or not found:
        known = ", ".join(one.label for one in versions[-5:])
        raise ImportFormatError(f"no version {name!r:.80} of that suite. There is: {known}.")
    return load_suite_version(workspace, found[0])


def load_suite_version(workspace: Path, version: SuiteVersion) -> Suite:
    """The prompts of a version, checked against its hash.

    Raises:
        WorkspaceError: its file is gone, or is not what was added.
    """
    path = get_suite_path(workspace, version.name, version.hash)
    try:
        suite = load_suite(path)
    except ImportFormatError as error:
        raise WorkspaceError(f"{error} Or bring the file back from a backup.") from error
    if suite.hash != version.hash:
        raise WorkspaceError(
            f"{path}: its hash is {suite.hash:.12}, not {version.hash:.12}. Bring the file back "
            "from a backup."
        )
    return replace(
        suite,
        name=version.name,
        version=version.number,
        description=version.description or f"The suite {version.name}.",
        held_out=version.held_out,
    )


def list_held_out(workspace: Path) -> list[Suite]:
    """Every suite that must not be trained on: shipped, the demo world's, people's newest ones.

    Raises:
        WorkspaceError: as `load_suite_version`.
    """
    own = [versions[-1] for versions in read_suites(workspace).values()]
    found = [
        *_load_demo().values(),
        *(_load_shipped(name) for name in list_shipped()),
        *(load_suite_version(workspace, one) for one in own if one.held_out),
    ]
    return [suite for suite in found if suite.held_out]


def find_suite(names: Sequence[str], workspace: Path, folder: Path) -> Suite:
    """One suite of that name, or several as one.

    Args:
        names: `demo`, `demo-harmful`, …, a shipped suite, one that somebody added (also
            `name@hash`), a .jsonl file, or a prompt set whose prompts all have a kind.
        folder: where relative paths begin.

    Raises:
        CaiError: there is none of that name, it cannot be read, or two have a prompt's id.
    """
    found = [suite for name in names for suite in _find(name, workspace, folder)]
    if not found:
        raise ImportFormatError(
            f"no suite is named. There is: {', '.join(list_suites(workspace))}."
        )
    if len(found) == 1:
        return found[0]
    prompts = tuple(prompt for suite in found for prompt in suite.prompts)
    ids = {prompt.id for prompt in prompts}
    if len(ids) < len(prompts):
        raise ImportFormatError(
            f"{_JOIN.join(names)}: some ids of prompts are in two of them. Ask them one by one."
        )
    return Suite(
        name=_JOIN.join(suite.name for suite in found),
        version=max(suite.version for suite in found),
        description=f"{len(found)} suites as one.",
        prompts=prompts,
        held_out=any(suite.held_out for suite in found),
    )


def is_of_demo_world(suite: Suite) -> bool:
    """Whether the oracle knows what every prompt asks for."""
    oracle = load_oracle()
    return all(oracle.read_prompt(prompt.turns[-1]) is not None for prompt in suite.prompts)


def _find(name: str, workspace: Path, folder: Path) -> Sequence[Suite]:
    demo = _load_demo()
    if name == DEMO:
        return tuple(demo.values())
    if name in demo:
        return (demo[name],)
    if name in list_shipped():
        return (_load_shipped(name),)
    if (own := load_own(workspace, name)) is not None:
        return (own,)
    path = folder / Path(name).expanduser()
    if path.suffix == ".jsonl" and path.is_file():
        suite = load_suite(path)
        # A file without a first line has no description, and as a suite it is to have one.
        return (replace(suite, description=suite.description or f"The file {path.name}."),)
    try:
        prompts = resolve_prompts(workspace, name, folder=folder)
    except PromptFileError as error:
        raise ImportFormatError(
            f"no suite {name!r:.80}. There is: {', '.join(list_suites(workspace))}; or give a "
            f"prompt set or a file. ({error})"
        ) from error
    return (_build_suite(prompts.label, prompts.prompts),)


def _build_suite(label: str, prompts: Sequence[Prompt]) -> Suite:
    unknown = [one.prompt_id for one in prompts if one.kind is PromptKind.UNKNOWN]
    if unknown:
        raise ImportFormatError(
            f"{label}: {len(unknown)} prompts have no kind ({unknown[0]!r:.80} first), so nobody "
            "knows what a good answer is. Give each `kind`: red-team, helpful or borderline."
        )
    return Suite(
        name=label,
        version=1,
        description=f"The prompt set {label}.",
        prompts=tuple(
            parse_suite_prompt(
                {
                    "id": one.prompt_id,
                    "kind": one.kind.value,
                    "messages": [turn.as_dict() for turn in one.conversation],
                    "tags": list(one.tags),
                }
            )
            for one in prompts
        ),
    )


@cache
def _load_shipped(name: str) -> Suite:
    return load_shipped(name)


@cache
def _load_demo() -> dict[str, Suite]:
    return {suite.name: suite for suite in build_demo_suites(load_world())}
