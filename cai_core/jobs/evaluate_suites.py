"""Which prompts a suite's name means: the demo world's, a shipped one, a prompt set, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from cai_core.demo_world import load_oracle, load_world
from cai_core.demo_world.suites import build_demo_suites
from cai_core.errors import ImportFormatError, PromptFileError
from cai_core.evaluation.suite_file import (
    list_shipped,
    load_shipped,
    load_suite,
    parse_suite_prompt,
)
from cai_core.evaluation.suites import Suite
from cai_core.pipeline.prompt_sets import resolve_prompts
from cai_core.records import Prompt, PromptKind

# All of the demo world's.
DEMO = "demo"
_JOIN = " + "


def list_suites() -> tuple[str, ...]:
    """Names that need no workspace: the demo world's, all of them as one, and the shipped ones."""
    return (DEMO, *_load_demo(), *list_shipped())


def find_suite(names: Sequence[str], workspace: Path, folder: Path) -> Suite:
    """One suite of that name, or several as one.

    Args:
        names: `demo`, `demo-harmful`, …, a shipped suite, a .jsonl file, or a prompt set whose
            prompts all have a kind.
        folder: where relative paths begin.

    Raises:
        CaiError: there is none of that name, it cannot be read, or two have a prompt's id.
    """
    found = [suite for name in names for suite in _find(name, workspace, folder)]
    if not found:
        raise ImportFormatError(f"no suite is named. There is: {', '.join(list_suites())}.")
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
        return (load_shipped(name),)
    path = folder / Path(name).expanduser()
    if path.suffix == ".jsonl" and path.is_file():
        suite = load_suite(path)
        # A file without a first line has no description, and as a suite it is to have one.
        return (replace(suite, description=suite.description or f"The file {path.name}."),)
    try:
        prompts = resolve_prompts(workspace, name, folder=folder)
    except PromptFileError as error:
        raise ImportFormatError(
            f"no suite {name!r:.80}. There is: {', '.join(list_suites())}; or give a prompt set or "
            f"a file. ({error})"
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
def _load_demo() -> dict[str, Suite]:
    return {suite.name: suite for suite in build_demo_suites(load_world())}
