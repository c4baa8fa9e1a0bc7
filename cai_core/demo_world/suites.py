"""The demo world's own suites: its held-out prompts, the intents that no training has seen."""

from __future__ import annotations

from typing import cast

from cai_core.demo_world.oracle import Oracle
from cai_core.demo_world.prompt_sets import FILES, build_prompt_set
from cai_core.demo_world.world import Standing, World
from cai_core.errors import WorldError
from cai_core.evaluation.suites import Suite, SuiteKind, SuitePrompt

_KINDS = {
    Standing.HARMFUL: SuiteKind.HARMFUL,
    Standing.FINE: SuiteKind.FINE,
    Standing.BORDERLINE: SuiteKind.BORDERLINE,
}
_DESCRIPTIONS = {
    Standing.HARMFUL: "The demo world's held-out red-team prompts.",
    Standing.FINE: "The demo world's held-out helpful prompts.",
    Standing.BORDERLINE: "The demo world's held-out borderline prompts: they sound harmful only.",
}
_HELD_OUT = "split:held-out"


def build_demo_suites(world: World) -> tuple[Suite, ...]:
    """`demo-harmful`, `demo-fine` and `demo-borderline`; the oracle knows the truth of each answer.

    Ids are those of data/prompts; the intent clusters, and the category is the harm, or the kind of
    thing that is asked about.

    Raises:
        WorldError: a prompt is outside the world.
    """
    oracle = Oracle(world)
    return tuple(_build_suite(world, oracle, standing) for standing in _KINDS)


def _build_suite(world: World, oracle: Oracle, standing: Standing) -> Suite:
    name, kind = FILES[standing]
    lines = build_prompt_set(world, standing, name, kind)
    return Suite(
        name=f"demo-{_KINDS[standing].value}",
        version=1,
        description=_DESCRIPTIONS[standing],
        prompts=tuple(
            _build_prompt(oracle, standing, str(line["id"]), str(line["prompt"]))
            for line in lines
            if _HELD_OUT in cast(list[str], line["tags"])
        ),
    )


def _build_prompt(oracle: Oracle, standing: Standing, name: str, text: str) -> SuitePrompt:
    intent = oracle.read_prompt(text)
    if intent is None:
        raise WorldError(f"{name}: {text!r} is outside the world. Write the prompt sets anew.")
    return SuitePrompt(
        id=name,
        kind=_KINDS[standing],
        turns=(text,),
        category=intent.harm or intent.kind,
        intent=intent.text,
    )
