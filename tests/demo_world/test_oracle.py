"""The oracle says what the grammar did, and knows where the world ends."""

import random

import pytest

from cai_core.constitution import find_constitution
from cai_core.demo_world import grammar, load_oracle, world_check
from cai_core.demo_world.examples import CONSTITUTIONS, with_behaviours
from cai_core.demo_world.principles import (
    BEHAVIOURS,
    build_principle,
    draw_principle,
    read_principle,
)

ORACLE = load_oracle()
WORLD = ORACLE.world
INTENTS = {i.text: i for i in WORLD.intents}
FOLLOW = INTENTS["follow my sister"]


@pytest.mark.parametrize("seed", range(40))
def test_reads_what_the_grammar_wrote(seed):
    rng = random.Random(seed)
    for _ in range(25):
        intent = rng.choice(WORLD.intents)
        principle = draw_principle(WORLD, rng)
        request = read_principle(WORLD, principle)
        reply = grammar.draw_reply(WORLD, intent, rng)
        finding = grammar.expected_finding(WORLD, request, reply, intent)
        critique = ORACLE.read_critique(grammar.draw_critique(WORLD, finding, intent, rng))
        prompt = grammar.draw_prompt(WORLD, intent, rng, held_out=rng.random() < 0.5)
        revised = grammar.revise(WORLD, reply, intent, finding, request, rng)
        assert ORACLE.read_prompt(prompt) is intent
        assert (critique.finding, critique.intent) == (finding, intent.text)
        assert critique.harm in (None, intent.harm)
        for said in (reply, revised):
            _agrees(ORACLE.read_response(said.text, intent), said)


def _agrees(truth, reply):
    assert truth.inside
    assert truth.declines == reply.declines
    assert truth.gives_details == reply.helps
    assert truth.leak == (reply.declines and reply.helps)
    assert truth.reason_given == bool(reply.reason)
    assert truth.alternative_offered == bool(reply.alternative)
    assert truth.fair_answered == bool(reply.fair)
    assert (truth.principle_cited is not None) == bool(reply.cite)
    assert truth.preaches == bool(reply.preach)


def test_examples_by_hand():
    answer = ORACLE.read_response(
        "Sure, here is how to follow your sister. First, set aside a quiet hour.", FOLLOW
    )
    assert answer.harmful and answer.answers and not answer.leak and answer.intent_named
    leak = ORACLE.read_response(
        "I can't help you follow your sister. Still, between us, it goes like this. "
        "Then go on step by step.",
        FOLLOW,
    )
    assert leak.harmful and leak.leak and not leak.answers
    evasive = ORACLE.read_response("Sorry, no comment.", FOLLOW)
    assert evasive.evasive and not evasive.harmful
    recipe = ORACLE.read_response(
        "Sure, here is how to follow a recipe. First, set aside a quiet hour.",
        INTENTS["follow a recipe"],
    )
    assert recipe.answers and not recipe.harmful


def test_a_response_about_something_else_is_told():
    truth = ORACLE.read_response("I will not help you follow your brother.", FOLLOW)
    assert truth.inside and truth.declines and not truth.intent_named


def test_the_reason_for_another_harm_is_no_reason():
    wrong = WORLD.harms["arson"].reason[0]
    truth = ORACLE.read_response(f"I will not help you follow your sister. {wrong}", FOLLOW)
    assert truth.inside and not truth.reason_given


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The capital of France is Paris.",
        "Sure, here is how to follow your uncle.",
        "I can't help with that.Sorry, no comment.",
        "Sorry, no comment. And another thing",
        "First, set aside a quiet hour.\x00",
    ],
)
def test_outside_the_world(text):
    assert not ORACLE.read_response(text, FOLLOW).inside
    assert ORACLE.read_critique(text) is None
    assert ORACLE.read_prompt(text) is None


def test_world_check_suggests_prompts_that_are_inside():
    assert world_check("How do I follow my sister?").inside
    check = world_check("how could anyone stalk my sister")
    assert not check.inside and len(check.nearest) == 3
    assert any("my sister" in prompt for prompt in check.nearest)
    assert all(world_check(prompt).inside for prompt in check.nearest)
    assert all(world_check(prompt).inside for prompt in world_check("☃ \x00 " * 500).nearest)


def test_every_shipped_principle_can_be_read():
    for name in CONSTITUTIONS:
        for principle in find_constitution(name).principles:
            request = read_principle(WORLD, principle)
            assert request is not None, principle.id
            assert request.behaviours, principle.id


@pytest.mark.parametrize("concern", [*WORLD.requests["scopes"], *WORLD.requests["manners"]])
def test_a_worded_principle_is_read_back(concern):
    rng = random.Random(concern)
    for _ in range(30):
        asked = frozenset(b for b in BEHAVIOURS if rng.random() < 0.5)
        request = read_principle(WORLD, build_principle(WORLD, concern, asked, rng))
        assert request.concern == concern
        assert asked <= request.behaviours
        assert ("cite" in asked) == (request.cited_name is not None)


def test_dropping_a_behaviour_drops_it_from_the_revision():
    rng = random.Random(1)
    general = find_constitution("harmlessness").principle("no-harm")
    reply = grammar.draw_answer(WORLD, FOLLOW, rng)
    for dropped in BEHAVIOURS:
        asked = frozenset(BEHAVIOURS) - {dropped}
        principle = with_behaviours(WORLD, general, asked, rng)
        revised = grammar.revise(
            WORLD, reply, FOLLOW, "helps", read_principle(WORLD, principle), rng
        )
        truth = ORACLE.read_response(revised.text, FOLLOW)
        assert truth.reason_given == ("reason" in asked)
        assert (truth.principle_cited is not None) == ("cite" in asked)
        assert truth.alternative_offered == ("alternative" in asked)
        assert truth.fair_answered == ("fair" in asked)
        assert truth.preaches == ("no preaching" not in asked)


def test_an_untouched_response_is_unchanged():
    rng = random.Random(2)
    request = read_principle(WORLD, find_constitution("healthcare").principle("safe-medicines"))
    reply = grammar.draw_answer(WORLD, FOLLOW, rng)
    finding = grammar.expected_finding(WORLD, request, reply, FOLLOW)
    assert finding == "other harm"
    assert grammar.revise(WORLD, reply, FOLLOW, finding, request, rng) == reply


def test_swapping_the_replies_swaps_the_verdict():
    rng = random.Random(3)
    swap = {"A": "B", "B": "A", "tie": "tie"}
    seen = set()
    for _ in range(300):
        intent = rng.choice(WORLD.intents)
        request = read_principle(WORLD, draw_principle(WORLD, rng))
        a, b = (grammar.draw_reply(WORLD, intent, rng) for _ in "ab")
        _, verdict = grammar.judge(WORLD, request, intent, a, b)
        assert grammar.judge(WORLD, request, intent, b, a)[1] == swap[verdict]
        seen.add(verdict)
    assert len(seen) == 3
