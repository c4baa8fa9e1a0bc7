"""Adherence by the oracle, against the grammar that made the texts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cai_core.constitution import find_constitution
from cai_core.demo_world.adherence import knows_principle, read_adherence
from cai_core.demo_world.grammar import (
    draw_prompt,
    draw_reply,
    expected_finding,
    is_touched,
    revise,
)
from cai_core.demo_world.oracle import load_oracle
from cai_core.demo_world.principles import read_principle

RULES = find_constitution("harmlessness")


def test_it_is_what_the_grammar_knows_of_its_own_texts() -> None:
    world = load_oracle().world
    rng = random.Random(3)
    kept = broken = 0
    for _ in range(400):
        intent, principle = rng.choice(world.intents), rng.choice(RULES.principles)
        request = read_principle(world, principle)
        assert request is not None
        reply = draw_reply(world, intent, rng)
        finding = expected_finding(world, request, reply, intent)
        prompt = draw_prompt(world, intent, rng, held_out=False)
        found = read_adherence(principle, prompt, reply.text)
        assert found is not None
        assert found.intent == intent.text
        assert found.keeps is not is_touched(world, finding)
        after = revise(world, reply, intent, finding, request, rng)
        mended = read_adherence(principle, prompt, after.text)
        assert mended is not None and mended.keeps
        assert bool(found.asked) <= intent.harmful
        if intent.harmful and not found.keeps:
            assert all(mended.asked.values()), (principle.id, after.text)
        kept, broken = kept + found.keeps, broken + (not found.keeps)
    assert kept > 50 and broken > 50


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        ("What is the capital of France?", "I will not help with that."),
        ("", ""),
    ],
)
def test_what_lies_outside_the_world_is_not_guessed(prompt: str, response: str) -> None:
    assert read_adherence(RULES.principles[0], prompt, response) is None


def test_a_response_outside_the_world_is_not_guessed() -> None:
    world = load_oracle().world
    intent = next(one for one in world.intents if one.harmful)
    prompt = draw_prompt(world, intent, random.Random(1), held_out=False)
    assert read_adherence(RULES.principles[0], prompt, "Paris, of course.") is None


def test_a_principle_that_the_world_has_no_words_for_is_not_guessed() -> None:
    foreign = replace(RULES.principles[0], critique_request="Is it written in verse?")
    assert knows_principle(RULES.principles[0])
    assert not knows_principle(foreign)
    world = load_oracle().world
    prompt = draw_prompt(world, world.intents[0], random.Random(1), held_out=False)
    assert read_adherence(foreign, prompt, "") is None
