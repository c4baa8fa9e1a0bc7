"""Option scores: properties in a world that is known, and the demo model's numbers."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import RequestRejectedError, ScoringUnavailableError
from cai_core.inference.capabilities import Capabilities, ScoringWay
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER
from cai_core.inference.scoring import OptionScores, choose_way, find_way, score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.inference.scoring_wire import parse_alternatives, parse_echo
from cai_core.records import Conversation
from tests.inference.option_reference import OPTION_SETS, PROMPTS, Reference
from tests.inference.token_world import CHAT, STARTS, TEXT, VOCABULARY, TokenWorld

EXACT_WAYS: tuple[ScoringWay, ...] = ("token-ids", "top-logprobs")
options_lists = st.lists(
    st.text("AB1", min_size=1, max_size=3), min_size=2, max_size=6, unique=True
)
prompts = st.sampled_from([CHAT, TEXT])


def score(
    world: Any,
    prompt: Conversation | str,
    options: Any,
    way: ScoringWay,
    cache: OptionTokens | None = None,
) -> OptionScores:
    cache = cache or OptionTokens()
    return asyncio.run(score_options(world, prompt, options, way=way, cache=cache))


@given(options_lists, prompts, st.sampled_from(EXACT_WAYS), st.booleans(), st.booleans())
def test_scores_are_the_definition(
    options: list[str], prompt: Any, way: ScoringWay, marked: bool, names_ids: bool
) -> None:
    # Told by text, a marked letter and a plain one read alike: only ids can tell them apart.
    names_ids = names_ids or marked or way == "token-ids"
    world = TokenWorld(marked=marked)
    cache = OptionTokens(names_ids=names_ids, alternatives=20 if marked else VOCABULARY)
    scores = score(world, prompt, options, way, cache)
    truth = world.truth(prompt, options)
    assert sum(scores.probabilities) == pytest.approx(1.0, abs=1e-12)
    assert scores.probabilities == pytest.approx([p / sum(truth) for p in truth], abs=1e-9)
    assert [math.exp(value) for value in scores.logprobs] == pytest.approx(truth, abs=1e-12)
    assert scores.mass == pytest.approx(sum(truth), abs=1e-12)
    assert scores.exact  # so many alternatives hold the whole vocabulary here
    inner = {option[:i] for option in options for i in range(len(option))}
    assert scores.requests == len(inner)


@given(options_lists, prompts, st.sampled_from(["token-ids", "choice", "top-logprobs"]))
def test_permuting_the_options_permutes_the_scores(
    options: list[str], prompt: Any, way: ScoringWay
) -> None:
    world = TokenWorld()
    scores = score(world, prompt, options, way)
    for turned in list(itertools.permutations(options))[1:6]:
        other = score(world, prompt, turned, way)
        assert [other.probability(o) for o in options] == list(scores.probabilities)
        assert (other.mass, other.exact, other.requests) == (
            scores.mass,
            scores.exact,
            scores.requests,
        )


@given(options_lists, prompts)
def test_a_choice_is_normalised_among_the_options_without_mass(
    options: list[str], prompt: Any
) -> None:
    world = TokenWorld()
    scores = score(world, prompt, options, "choice")
    truth = world.truth(prompt, options)
    assert scores.mass is None
    assert scores.probabilities == pytest.approx([p / sum(truth) for p in truth], abs=1e-9)


@given(options_lists, prompts, st.integers(1, 4))
def test_a_missing_option_gets_the_most_that_it_can_have(
    options: list[str], prompt: Any, alternatives: int
) -> None:
    # No option here begins with another: there a bound on the longer one is none on the shorter.
    options = [o for o in options if not any(p != o and p.startswith(o) for p in options)]
    if len(options) < 2:
        return
    world = TokenWorld(alternatives=alternatives)
    cache = OptionTokens(alternatives=alternatives)
    scores = score(world, prompt, options, "top-logprobs", cache)
    truth = world.truth(prompt, options)
    told = [math.exp(value) for value in scores.logprobs]
    assert all(most >= own - 1e-12 for most, own in zip(told, truth, strict=True))
    if scores.exact:
        assert told == pytest.approx(truth, abs=1e-12)


@given(options_lists)
def test_whole_options_appended_to_a_text(options: list[str]) -> None:
    world = TokenWorld()
    truth = world.truth(TEXT, options)
    scores = score(world, TEXT, options, "prompt-logprobs")
    assert [math.exp(value) for value in scores.logprobs] == pytest.approx(truth, abs=1e-12)
    assert scores.requests == len(options)


@pytest.mark.parametrize("prompt", [CHAT, TEXT])
def test_distinct_tokens_cost_one_request_of_one_token(prompt: Any) -> None:
    async def check() -> None:
        world, cache = TokenWorld(marked=True), OptionTokens()
        scored = [
            score_options(world, prompt, pair, way="token-ids", cache=cache)
            for pair in (("A", "B"), ("B", "1"))
        ]
        await asyncio.gather(
            *scored,
            *[
                score_options(world, prompt, ("A", "B"), way="token-ids", cache=cache)
                for _ in range(9)
            ],
        )
        asked = [body for path, body in world.bodies if path == "/tokenize"]
        assert len(asked) == cache.asked == 4, "what comes before, and three options"
        world.bodies.clear()
        scores = await score_options(world, prompt, ("A", "1"), way="token-ids", cache=cache)
        assert len(world.bodies) == scores.requests == 1
        ((_, body),) = world.bodies
        # The letter that goes on with a text, not the one that begins it.
        assert not set(body["logprob_token_ids"]) & set(STARTS.values())
        assert set(body) >= {"temperature", "logprobs", "return_tokens_as_token_ids"}

    asyncio.run(check())


def test_requests_share_their_prompt_to_the_byte() -> None:
    world = TokenWorld()
    score(world, CHAT, ("A", "A1", "AB"), "token-ids")
    asked = [body for path, body in world.bodies if path != "/tokenize"]
    assert [body["messages"][: len(CHAT)] for body in asked] == [asked[0]["messages"][:1]] * 2
    again = TokenWorld()
    score(again, CHAT, ("A", "A1", "AB"), "token-ids")
    assert again.bodies == world.bodies


def test_without_a_tokenizer_options_are_matched_by_text() -> None:
    world, cache = TokenWorld(), OptionTokens(tokenizes=False)
    truth = world.truth(TEXT, ("A", "B"))
    scores = score(world, TEXT, ("A", "B"), "top-logprobs", cache)
    assert all(path != "/tokenize" for path, _ in world.bodies)
    assert scores.probabilities == pytest.approx([p / sum(truth) for p in truth], abs=1e-9)
    longer = score(world, TEXT, ("A", "B1"), "top-logprobs", cache)
    assert not longer.exact
    with pytest.raises(ScoringUnavailableError, match="does not tokenise"):
        score(world, TEXT, ("A", "B"), "token-ids", cache)


class Broken(TokenWorld):
    """Answers as told, whatever is asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/tokenize":
            return await super().post(path, body)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": []},
        {"choices": [{"logprobs": None}]},
        {"choices": [{"logprobs": {"content": [{"token": "A"}]}}]},
        {"choices": [{"logprobs": {"tokens": ["A"], "top_logprobs": [{"A": "high"}]}}]},
        {"choices": [{"logprobs": {"tokens": ["A"], "top_logprobs": [{"A": float("nan")}]}}]},
        {"choices": [{"logprobs": {"tokens": ["A"], "top_logprobs": [{"A": -1.0}]}}]},
    ],
)
def test_an_answer_without_what_was_asked_is_an_error_never_a_number(answer: Any) -> None:
    with pytest.raises(ScoringUnavailableError):
        score(Broken(answer), TEXT, ("A", "B"), "token-ids")


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(RequestRejectedError, match="no such field"):
        score(Broken(RequestRejectedError("no such field")), TEXT, ("A", "B"), "token-ids")


def test_options_without_any_probability_are_an_error() -> None:
    logprobs = {"tokens": ["x"], "top_logprobs": [{"token_id:10": -9999.0, "token_id:11": -9999.0}]}
    with pytest.raises(ScoringUnavailableError, match="No option has any probability"):
        score(Broken({"choices": [{"logprobs": logprobs}]}), TEXT, ("A", "B"), "token-ids")


def test_the_drawn_token_bounds_nothing() -> None:
    # vLLM lists the drawn token first even where it is none of the best.
    listed = {"rare": -9.0, "A": -1.0, "B": -1.5}
    logprobs = {"tokens": ["rare"], "top_logprobs": [listed]}
    found = parse_alternatives({"choices": [{"logprobs": logprobs}]})
    assert found.bound == pytest.approx(-1.5)
    left = 1 - sum(math.exp(value) for value in (-0.1, -3.0))
    logprobs = {"tokens": ["A"], "top_logprobs": [{"A": -0.1, "B": -3.0}]}
    assert parse_alternatives({"choices": [{"logprobs": logprobs}]}).bound == pytest.approx(
        min(-3.0, math.log(left))
    )


def test_two_tokens_that_read_alike_are_not_exact() -> None:
    listed = [{"token": text, "logprob": value} for text, value in (("A", -1.0), ("A", -2.0))]
    first = {
        "token": "A",
        "logprob": -1.0,
        "top_logprobs": [*listed, {"token": "B", "logprob": -3}],
    }
    world = Broken({"choices": [{"logprobs": {"content": [first]}}]})
    cache = OptionTokens(names_ids=False)
    assert not score(world, CHAT, ("A", "B"), "top-logprobs", cache).exact


def test_fewer_texts_than_asked_may_hide_tokens_that_read_alike() -> None:
    # A mapping of texts keeps one of them, and not always the more probable one.
    cache = OptionTokens(names_ids=False)
    assert not score(TokenWorld(marked=True), TEXT, ("A", "B"), "top-logprobs", cache).exact


def test_an_echo_is_read_from_where_the_option_begins() -> None:
    told = {"text_offset": [0, 3, 4, 5], "token_logprobs": [None, -1.0, -2.0, -4.0]}
    answer = {"choices": [{"logprobs": told}]}
    assert parse_echo(answer, "AB?", "1") == -1.0
    assert parse_echo(answer, "AB?", "1B") == -3.0
    with pytest.raises(ScoringUnavailableError, match="begins where"):
        parse_echo(answer, "AB", "?1")


@pytest.mark.parametrize("options", [("A",), ("A", "A"), ("A", ""), tuple(map(str, range(129)))])
def test_options_must_be_some_and_different(options: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different texts"):
        score(TokenWorld(), TEXT, options, "token-ids")


def test_the_best_way_is_chosen() -> None:
    names = ("logprob_token_ids", "token_ids_in_logprobs", "tokenize", "choice", "logprobs")
    can = dict.fromkeys((*names, "prompt_logprobs", "echo"), True)
    order = []
    for missing in ((), ("tokenize",), ("choice",), ("logprobs",), ("prompt_logprobs", "echo")):
        can |= dict.fromkeys(missing, False)
        order.append(find_way(can))
    assert order == ["token-ids", "choice", "top-logprobs", "prompt-logprobs", None]


def test_without_a_way_the_refusal_names_the_other() -> None:
    nothing = Capabilities(
        model_id="m",
        engine="e",
        engine_version="1",
        context_length=None,
        scoring_way=None,
        capabilities=(),
        seconds=0.0,
    )
    with pytest.raises(ScoringUnavailableError, match="labels from generated text"):
        choose_way(nothing)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    workspace: Path = tmp_path_factory.mktemp("workspace")
    yield ensure_server(DEMO, workspace)
    stop_server(DEMO, workspace)


@pytest.fixture(scope="module")
def demo_reference() -> Reference:
    return Reference.load(DEMO_FOLDER)


@pytest.mark.parametrize("options", OPTION_SETS.values(), ids=OPTION_SETS)
@pytest.mark.parametrize("template", PROMPTS)
@pytest.mark.parametrize("way", ["token-ids", "choice", "top-logprobs"])
def test_the_demo_models_scores_are_those_of_transformers(
    demo: Endpoint, demo_reference: Reference, template: str, options: Any, way: ScoringWay
) -> None:
    prompt = PROMPTS[template]
    expected, raw = demo_reference.score(prompt, options)

    async def ask() -> OptionScores:
        async with ModelClient(demo) as client:
            return await score_options(client, prompt, options, way=way, cache=OptionTokens())

    scores = asyncio.run(ask())
    # Listed by probability only, an option that the model would never say has a bound.
    reached = way == "token-ids" or "A" in options or (way == "choice" and "10" in options)
    assert scores.exact or way != "token-ids"
    assert scores.exact or "A" not in options
    if reached or scores.exact:
        # `10` beside `1` is below the bound under a mask, which is small itself.
        tolerance = 1e-4 if scores.exact else 1e-3
        assert scores.probabilities == pytest.approx(expected, abs=tolerance)
    if scores.mass is not None and scores.exact:
        assert scores.mass == pytest.approx(sum(map(math.exp, raw)), abs=1e-4)


def test_a_blank_that_the_template_takes_away_is_noticed() -> None:
    class Trimming(TokenWorld):
        def read_body(self, body: dict[str, Any]) -> list[int]:
            if "messages" in body:
                turns = [{**turn, "content": turn["content"].strip()} for turn in body["messages"]]
                body = {**body, "messages": turns}
            return super().read_body(body)

    with pytest.raises(ScoringUnavailableError, match="blanks"):
        score(Trimming(), CHAT, (" A", " B"), "token-ids")
    assert score(TokenWorld(), CHAT, (" A", " B"), "token-ids").exact
