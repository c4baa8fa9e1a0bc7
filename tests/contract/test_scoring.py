"""Option probabilities by every way that the server offers, against transformers itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import ScoringUnavailableError
from cai_core.inference.capabilities import Asker, Capabilities, ScoringWay
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.probe import probe
from cai_core.inference.scoring import OptionScores, score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.pipeline.labels import Comparison, label_comparison
from tests.inference.option_reference import OPTION_SETS, PRINCIPLE, PROMPTS, QUESTION, Reference

NEEDS: dict[ScoringWay, tuple[str, ...]] = {
    "token-ids": ("logprob_token_ids", "token_ids_in_logprobs", "tokenize"),
    "choice": ("choice", "logprobs"),
    "top-logprobs": ("logprobs",),
    "prompt-logprobs": ("prompt_logprobs",),
}


def run(endpoint: Endpoint, ask: Callable[[ModelClient], Awaitable[Any]]) -> Any:
    async def with_client() -> Any:
        async with ModelClient(endpoint) as client:
            return await ask(client)

    return asyncio.run(with_client())


@pytest.fixture(scope="module")
def capabilities(endpoint: Endpoint) -> Capabilities:
    return run(endpoint, probe)


@pytest.fixture(scope="module")
def options_of(model_folder: Path) -> Reference:
    return Reference.load(model_folder)


def score(
    endpoint: Endpoint, capabilities: Capabilities, prompt: Any, options: Any, way: ScoringWay
) -> OptionScores:
    if not all(capabilities.has(name) for name in NEEDS[way]):
        pytest.skip(f"{capabilities.engine} does not offer {way}")
    cache = OptionTokens.for_server(capabilities)
    return run(endpoint, lambda c: score_options(c, prompt, options, way=way, cache=cache))


@pytest.mark.parametrize("way", NEEDS)
@pytest.mark.parametrize("options", OPTION_SETS.values(), ids=OPTION_SETS)
@pytest.mark.parametrize("template", PROMPTS)
def test_probabilities_are_those_of_transformers(
    endpoint: Endpoint,
    capabilities: Capabilities,
    options_of: Reference,
    template: str,
    options: tuple[str, ...],
    way: ScoringWay,
) -> None:
    prompt = PROMPTS[template]
    expected, raw = options_of.score(prompt, options)
    if way == "prompt-logprobs" and template == "chat":
        with pytest.raises(ScoringUnavailableError, match="generated text"):
            score(endpoint, capabilities, prompt, options, way)
        return
    scores = score(endpoint, capabilities, prompt, options, way)
    assert sum(scores.probabilities) == pytest.approx(1.0, abs=1e-12)
    if way in ("token-ids", "prompt-logprobs"):
        assert scores.exact
    if scores.exact:
        assert scores.probabilities == pytest.approx(expected, abs=1e-4)
    if scores.exact and way != "choice":
        # Options' own log-probabilities of -90 too: the difference counts, not the ratio.
        assert scores.logprobs == pytest.approx(raw, abs=2e-3)
    if way == "choice":
        assert scores.mass is None
    elif not scores.exact:
        # The most was taken for what was not told; only `1` beside `10` has less of it then.
        assert scores.mass is not None
        told = dict(zip(options, scores.logprobs, strict=True))
        told |= {"1": 0.0} if "10" in options else {}
        assert all(told[o] >= own - 1e-3 for o, own in zip(options, raw, strict=True))


def test_a_choice_of_single_tokens_is_exact_in_one_request(
    endpoint: Endpoint, capabilities: Capabilities
) -> None:
    for way in ("token-ids", "choice"):
        for prompt in PROMPTS.values():
            scores = score(endpoint, capabilities, prompt, ("A", "B"), way)
            assert (scores.exact, scores.requests) == (True, 1)


def test_the_ways_of_each_server(endpoint: Endpoint, capabilities: Capabilities, kind: str) -> None:
    offered = [way for way, needs in NEEDS.items() if all(map(capabilities.has, needs))]
    assert offered[:3] == ["token-ids", "choice", "top-logprobs"]
    assert ("prompt-logprobs" in offered) == (kind == "vllm")
    assert capabilities.scoring_way == "token-ids"


class Counting:
    """Passes everything on and keeps what was posted."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.posted: list[tuple[str, dict[str, Any]]] = []

    async def info(self) -> Any:
        return await self._asker.info()

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        return await self._asker.get(path, optional=optional)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.posted.append((path, body))
        return await self._asker.post(path, body)


def test_options_tokens_are_asked_for_once(endpoint: Endpoint, capabilities: Capabilities) -> None:
    async def check(client: ModelClient) -> None:
        asker, cache = Counting(client), OptionTokens.for_server(capabilities)

        async def ask(number: int) -> OptionScores:
            prompt = f"\n\nHuman: Number {number}?\n\nAssistant: I say that the better one is ("
            return await score_options(asker, prompt, ("A", "B"), way="token-ids", cache=cache)

        await asyncio.gather(*map(ask, range(8)))
        assert cache.asked == sum(path == "/tokenize" for path, _ in asker.posted)
        assert cache.asked <= 3
        before = len(asker.posted)
        await ask(99)
        (path, body), *others = asker.posted[before:]
        assert not others
        assert (path, body["max_tokens"]) == ("/v1/completions", 1)

    run(endpoint, check)


def test_labels_mirror_over_the_wire(endpoint: Endpoint, capabilities: Capabilities) -> None:
    comparison = Comparison(
        conversation=QUESTION, response_a="Mix flour and water.", response_b="Wait."
    )

    async def check(client: ModelClient) -> None:
        cache = OptionTokens.for_server(capabilities)
        asked = [
            label_comparison(client, one, PRINCIPLE, way="token-ids", cache=cache, least_mass=0.0)
            for one in (comparison, comparison.swapped())
        ]
        label, mirrored = await asyncio.gather(*asked)
        # vLLM's numbers differ in the last bits from batch to batch; ours do not.
        tolerance = 0.0 if (await client.info()).repeatability == "exact" else 1e-4
        assert abs(mirrored.prob_a - (1.0 - label.prob_a)) <= tolerance
        assert abs(mirrored.position_bias - label.position_bias) <= tolerance
        # Not the same by chance: the model does prefer one.
        assert label.prob_a != 0.5

    run(endpoint, check)
