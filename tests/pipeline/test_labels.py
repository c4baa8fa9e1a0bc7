"""Labels: mirrored by swapping, never a tie for want of an answer."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.inference.capabilities import ScoringWay
from cai_core.inference.scoring import OptionScores, compute_softmax
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.pipeline.labels import Comparison, build_label, label_comparison, parse_prob
from cai_core.prompts import chat
from cai_core.records import Message, ModelInfo, Principle, Verdict

PRINCIPLE = Principle(
    id="kind",
    text="Be kind.",
    critique_request="Is it kind?",
    revision_request="Make it kind.",
    comparison_request="Which response is kinder?",
)
COMPARISON = Comparison(
    conversation=(Message("user", "How are you?"),),
    response_a="Fine, and you?",
    response_b="Go away.",
)
IDS = {"A": 5, "B": 6, "Tie": 7}


def scores(*logprobs: float, way: ScoringWay = "token-ids") -> OptionScores:
    return OptionScores(
        options=("A", "B", "Tie")[: len(logprobs)],
        probabilities=compute_softmax(logprobs),
        logprobs=logprobs,
        mass=None if way == "choice" else min(1.0, math.fsum(map(math.exp, logprobs))),
        way=way,
        exact=True,
        requests=1,
    )


logs = st.floats(-60, 0, allow_nan=False)
triples = st.builds(scores, logs, logs, logs)
pairs = st.builds(scores, logs, logs)
orders = st.one_of(st.tuples(triples, triples), st.tuples(pairs, pairs))


@given(orders, st.floats(0, 0.5), st.floats(0, 1))
def test_swapping_a_comparison_mirrors_its_label_to_the_last_bit(
    both: tuple[OptionScores, OptionScores], margin: float, least: float
) -> None:
    settings = {"tie_margin": margin, "least_mass": least}
    label = build_label("p", both, **settings)
    mirrored = build_label("p", both[::-1], **settings)
    assert mirrored.prob_a == 1.0 - label.prob_a
    assert label.prob_a == 1.0 - mirrored.prob_a
    other = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
    assert mirrored.verdict == other.get(label.verdict, label.verdict)
    assert mirrored.position_bias == label.position_bias
    assert mirrored.mass == label.mass


@given(orders)
def test_the_label_is_the_mean_of_both_orders(both: tuple[OptionScores, OptionScores]) -> None:
    label = build_label("p", both)
    assert 0.0 <= label.prob_a <= 1.0
    mean = (label.prob_a_shown_first + label.prob_a_shown_second) / 2
    assert label.prob_a == pytest.approx(mean, abs=1e-15)
    bias = label.prob_a_shown_first - label.prob_a_shown_second
    assert label.position_bias == pytest.approx(bias, abs=1e-15)
    assert (label.first_order, label.second_order) == both


def test_a_model_that_always_prefers_the_first_is_a_tie_with_a_bias() -> None:
    first = scores(math.log(0.9), math.log(0.1))
    label = build_label("p", (first, first))
    assert label.verdict is Verdict.TIE
    assert label.prob_a == pytest.approx(0.5)
    assert label.position_bias == pytest.approx(0.8)


def test_a_tie_counts_half() -> None:
    tie = scores(math.log(0.03), math.log(0.01), math.log(0.9))
    label = build_label("p", (tie, tie))
    assert label.verdict is Verdict.TIE
    assert label.prob_a_shown_first == pytest.approx((0.03 + 0.45) / 0.94)
    # Without the word for ties the same answers would have said A by three to one.
    bare = scores(math.log(0.03), math.log(0.01))
    assert build_label("p", (bare, bare), least_mass=0).prob_a_shown_first == pytest.approx(0.75)


@pytest.mark.parametrize("weak", [0, 1])
def test_an_order_without_an_answer_is_unparsed_and_kept_never_a_tie(weak: int) -> None:
    told = [scores(math.log(0.6), math.log(0.4)), scores(math.log(0.006), math.log(0.004))]
    label = build_label("p", (told[weak], told[1 - weak]))
    assert label.verdict is Verdict.UNPARSED
    assert label.mass == pytest.approx(0.01)
    assert label.prob_a == pytest.approx(0.5)
    assert label.first_order.logprobs == told[weak].logprobs
    assert build_label("p", (told[0], told[1]), least_mass=0.005).verdict is Verdict.TIE


def test_a_way_without_mass_cannot_be_unparsed() -> None:
    masked = scores(-9.0, -5.0, way="choice")
    label = build_label("p", (masked, scores(-5.0, -9.0, way="choice")), least_mass=1.0)
    assert label.mass is None
    assert label.verdict is Verdict.B


@pytest.mark.parametrize(
    ("prob_a", "margin", "verdict"),
    [
        (0.7, 0.1, Verdict.A),
        (0.3, 0.1, Verdict.B),
        (0.55, 0.1, Verdict.TIE),
        (0.45, 0.1, Verdict.TIE),
        (0.75, 0.25, Verdict.A),
        (0.25, 0.25, Verdict.B),
        (0.5, 0.0, Verdict.TIE),
        (0.51, 0.0, Verdict.A),
    ],
)
def test_the_margin_decides(prob_a: float, margin: float, verdict: Verdict) -> None:
    assert parse_prob(prob_a, margin) is verdict


class Judge:
    """Prefers kindness, and whatever it reads first. Implements `capabilities.Asker`."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.running = self.most_running = 0

    async def info(self) -> ModelInfo:
        return ModelInfo(model_id="judge", engine="scripted", engine_version="1")

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        raise AssertionError(f"unexpected {path}")

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/tokenize":
            answer = body["messages"][1:]
            return {"tokens": [1, *([IDS[answer[0]["content"]]] if answer else [])]}
        self.bodies.append(body)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        kind_first = "Response A:\nFine" in body["messages"][0]["content"]
        values = {5: 0.8, 6: 0.1, 7: 0.05} if kind_first else {5: 0.3, 6: 0.5, 7: 0.1}
        listed = [
            {"token": f"token_id:{token}", "logprob": math.log(values[token])}
            for token in body["logprob_token_ids"]
        ]
        first = {**listed[0], "top_logprobs": listed}
        return {"choices": [{"logprobs": {"content": [first]}}]}


def test_both_orders_are_asked_at_once_with_the_templates_prompts() -> None:
    judge = Judge()
    label = asyncio.run(
        label_comparison(judge, COMPARISON, PRINCIPLE, way="token-ids", cache=OptionTokens())
    )
    assert judge.most_running == 2
    assert label.requests == len(judge.bodies) == 2
    for body, responses in zip(
        judge.bodies, [("Fine, and you?", "Go away."), ("Go away.", "Fine, and you?")], strict=True
    ):
        prompt = chat.build_comparison(
            COMPARISON.conversation, *responses, PRINCIPLE, reasoned=False
        )
        assert body["messages"] == [message.as_dict() for message in prompt]
    assert not any("seed" in body for body in judge.bodies)  # nothing is drawn
    assert (label.verdict, label.principle_id, label.way) == (Verdict.A, "kind", "token-ids")
    assert label.prob_a_shown_first == pytest.approx(0.825 / 0.95)
    assert label.prob_a_shown_second == pytest.approx(0.55 / 0.9)
    assert label.mass == pytest.approx(0.9)
    assert label.exact


def test_a_swapped_comparison_is_asked_and_mirrored() -> None:
    async def check() -> None:
        cache, judge = OptionTokens(), Judge()
        label, mirrored = [
            await label_comparison(judge, one, PRINCIPLE, way="token-ids", cache=cache)
            for one in (COMPARISON, COMPARISON.swapped())
        ]
        assert mirrored.prob_a == 1.0 - label.prob_a
        assert (label.verdict, mirrored.verdict) == (Verdict.A, Verdict.B)

    asyncio.run(check())


def test_options_are_two_words_and_perhaps_a_tie() -> None:
    async def check(options: tuple[str, ...]) -> None:
        await label_comparison(
            Judge(), COMPARISON, PRINCIPLE, way="token-ids", cache=OptionTokens(), options=options
        )

    asyncio.run(check(("A", "B")))
    with pytest.raises(ValueError, match="two words"):
        asyncio.run(check(("A", "B", "Tie", "C")))
