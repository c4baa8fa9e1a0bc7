"""The oracle's preferences agree with the grammar's judge; labels are held against them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cai_core.constitution import find_constitution
from cai_core.constitution.model import with_hash
from cai_core.demo_world import grammar
from cai_core.demo_world.oracle import load_oracle
from cai_core.demo_world.preference_truth import judge_labels, read_preference
from cai_core.demo_world.principles import draw_principle, read_concern, read_principle
from cai_core.records import Constitution, Principle, Verdict

ORACLE = load_oracle()
WORLD = ORACLE.world
NAMES = ("harmlessness", "helpful-honest-harmless", "healthcare")


def test_it_agrees_with_the_grammar_on_drawn_comparisons() -> None:
    rng = random.Random(5)
    seen: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
    for _ in range(3000):
        intent = rng.choice(WORLD.intents)
        principle = draw_principle(WORLD, rng)
        replies = [grammar.draw_reply(WORLD, intent, rng) for _ in "AB"]
        request = read_principle(WORLD, principle)
        assert request is not None
        _, expected = grammar.judge(WORLD, request, intent, *replies)
        prompt = grammar.draw_prompt(WORLD, intent, rng, held_out=bool(rng.getrandbits(1)))
        texts = [reply.text for reply in replies]
        assert read_preference(ORACLE, principle, prompt, *texts) is expected, (intent, texts)
        mirrored = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}.get(expected, expected)
        assert read_preference(ORACLE, principle, prompt, *texts[::-1]) is mirrored
        seen[expected] += 1
    assert min(seen[verdict] for verdict in (Verdict.A, Verdict.B, Verdict.TIE)) > 300


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_principle_compares_by_what_it_critiques(name: str) -> None:
    for principle in find_constitution(name).principles:
        concern = read_concern(WORLD, principle.comparison_request)
        assert concern == read_concern(WORLD, principle.critique_request) is not None


def test_what_is_outside_the_world_has_no_truth() -> None:
    principle = find_constitution("harmlessness").principles[0]
    intent = next(intent for intent in WORLD.intents if intent.harmful)
    prompt = f"How do I {intent.text}?"
    helps = grammar.draw_answer(WORLD, intent, random.Random(1)).text
    refuses = f"I will not help you {intent.yours}."
    assert read_preference(ORACLE, principle, prompt, helps, refuses) is Verdict.B
    assert read_preference(ORACLE, principle, "What is love?", helps, refuses) is None
    assert read_preference(ORACLE, principle, prompt, helps, "Blue is a colour.") is None
    strange = Principle(id="x", text="", critique_request="", revision_request="")
    assert read_preference(ORACLE, strange, prompt, helps, refuses) is None


def make_labels() -> tuple[list[dict[str, Any]], Constitution]:
    """Eight comparisons of a helping and a refusing answer, A and B true in turn; four ties."""
    constitution = find_constitution("harmlessness")
    rng = random.Random(2)
    intents = [intent for intent in WORLD.intents if intent.harmful]
    labels = []
    for number, intent in enumerate(rng.sample(intents, 12)):
        helps = grammar.draw_answer(WORLD, intent, rng).text
        refuses = f"I will not help you {intent.yours}."
        tie = number >= 8
        pair = (refuses, refuses if tie else helps)
        a, b = pair if number % 2 == 0 else pair[::-1]
        labels.append(
            {
                "conversation": [{"role": "user", "content": f"How do I {intent.text}?"}],
                "response_a": a,
                "response_b": b,
                "principle_ids": ["no-harm"],
                "verdict": "tie" if tie else "A" if number % 2 == 0 else "B",
                "prob_a": 0.5 if tie else 0.9 if number % 2 == 0 else 0.1,
                "prob_a_first": 0.9,
                "prob_a_second": 0.8 if number % 2 == 0 else 0.0,
            }
        )
    return labels, constitution


def test_labels_against_the_truth() -> None:
    labels, constitution = make_labels()
    truth = judge_labels(ORACLE, labels, constitution)
    assert truth.verdicts is not None and truth.verdicts.rate == 1 and truth.verdicts.n == 12
    assert truth.ties is not None and truth.ties.n == 4
    assert truth.both_orders is not None and (truth.both_orders.rate, truth.both_orders.n) == (1, 8)
    # The first order always prefers A, and is right where A is.
    assert truth.first_order is not None and truth.first_order.rate == 0.5
    assert truth.second_order is not None and truth.second_order.rate == 1
    assert set(truth.by_principle) == {"no-harm"}
    labels[0]["verdict"], labels[0]["prob_a"] = "unparsed", None
    labels[9]["verdict"] = "B"
    labels[1]["conversation"] = [{"role": "user", "content": "What is love?"}]
    worse = judge_labels(ORACLE, labels, constitution)
    assert worse.verdicts is not None and worse.verdicts.rate == pytest.approx(9 / 11)
    assert (worse.outside, worse.unparsed) == (1, 1)
    assert worse.both_orders is not None and worse.both_orders.n == 6
    assert judge_labels(ORACLE, [], constitution).verdicts is None


def test_several_principles_have_the_truth_of_their_mean() -> None:
    labels, constitution = make_labels()
    # One that all these comparisons are ties under changes no side.
    for label in labels:
        label["principle_ids"] = ["no-harm", "not-preachy"]
    truth = judge_labels(ORACLE, labels, with_hash(constitution))
    assert truth.verdicts is not None and truth.verdicts.rate == 1
    assert not truth.by_principle
