"""`/classify` on a reward model: the bundled server's, or a real vLLM's; see conftest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cai_core.errors import ContextLengthError, ModelError, RequestRejectedError
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import EnginePool
from cai_core.records import Conversation, Message, SamplingParams
from tests.contract.calls import refused

TEXTS = [
    "Mix flour and water.",
    "No.",
    "Wait for the bread to rise, then bake it. " * 6,
    "\u00e9\u4e16",
]
CONVERSATIONS: list[Conversation] = [
    (Message("user", "How do I bake bread?"), Message("assistant", text)) for text in TEXTS
]


@pytest.fixture
def http(rating_http: httpx.Client) -> httpx.Client:
    return rating_http


@pytest.fixture(scope="module")
def expected(reward_folder: Path) -> list[float]:
    """By transformers itself, one text at a time, in the form that a reward model is trained on."""
    tokenizer = AutoTokenizer.from_pretrained(reward_folder)
    model = AutoModelForSequenceClassification.from_pretrained(reward_folder).eval()
    rewards = []
    for turns in CONVERSATIONS:
        text = tokenizer.apply_chat_template([t.as_dict() for t in turns], tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        assert ids[0, -1] == tokenizer.eos_token_id
        with torch.no_grad():
            rewards.append(model(ids).logits.item())
    return rewards


def classify(http: httpx.Client, rater: Endpoint, **fields: Any) -> dict[str, Any]:
    response = http.post("/classify", json={"model": rater.model_id, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def as_messages(turns: Conversation) -> list[dict[str, str]]:
    return [turn.as_dict() for turn in turns]


def score(rater: Endpoint, turns: list[Conversation], **own: Any) -> list[float]:
    async def ask() -> list[float]:
        async with ModelClient(rater) as client:
            return await client.score(turns, **own)

    return asyncio.run(ask())


def test_the_client_gets_raw_rewards(rater: Endpoint, expected: list[float]) -> None:
    assert max(expected) - min(expected) > 0.1
    assert score(rater, CONVERSATIONS) == pytest.approx(expected, abs=1e-4)


def test_a_pool_gets_them_in_order(rater: Endpoint, expected: list[float]) -> None:
    async def ask() -> list[float]:
        async with EnginePool([rater], concurrency=8) as pool:
            return await pool.score(CONVERSATIONS * 10)

    assert asyncio.run(ask()) == pytest.approx(expected * 10, abs=1e-4)


def test_alone_and_among_neighbours_is_the_same(rater: Endpoint) -> None:
    alone = [score(rater, [turns])[0] for turns in CONVERSATIONS]
    crowd = score(rater, CONVERSATIONS * 12)
    for place, reward in enumerate(crowd):
        assert reward == pytest.approx(alone[place % len(alone)], abs=1e-5)


def test_an_answer_that_was_cut_has_no_end(rater: Endpoint, expected: list[float]) -> None:
    cut = score(rater, CONVERSATIONS, finished=False)
    assert all(abs(a - b) > 1e-3 for a, b in zip(cut, expected, strict=True))


def test_the_body_is_vllms(http: httpx.Client, rater: Endpoint, expected: list[float]) -> None:
    told = classify(http, rater, messages=as_messages(CONVERSATIONS[0]), use_activation=False)
    assert told["object"] == "list" and told["model"] == rater.model_id
    assert told["id"].startswith("classify-")
    (rated,) = told["data"]
    assert set(rated) == {"index", "label", "probs", "num_classes"}
    assert (rated["index"], rated["num_classes"]) == (0, 1)
    assert rated["label"] in ("LABEL_0", None)
    assert rated["probs"] == pytest.approx([expected[0]], abs=1e-4)
    usage = told["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 5
    assert usage["completion_tokens"] == 0


def test_a_sigmoid_is_the_default(
    http: httpx.Client, rater: Endpoint, expected: list[float]
) -> None:
    for fields in ({}, {"use_activation": True}):
        told = classify(http, rater, messages=as_messages(CONVERSATIONS[1]), **fields)
        probability = torch.tensor(expected[1]).sigmoid().item()
        assert told["data"][0]["probs"] == pytest.approx([probability], abs=1e-4)


def test_texts_and_tokens_are_rated_as_they_are(http: httpx.Client, rater: Endpoint) -> None:
    tokens = http.post("/tokenize", json={"prompt": TEXTS[0]}).json()["tokens"]
    rewards = []
    for given in (TEXTS[0], [TEXTS[0]], tokens, [tokens, tokens[:3]]):
        told = classify(http, rater, input=given, use_activation=False)
        assert [rated["index"] for rated in told["data"]] == list(range(len(told["data"])))
        rewards.append(told["data"][0]["probs"][0])
    assert len(told["data"]) == 2
    assert rewards == pytest.approx([rewards[0]] * 4, abs=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": []},
        {"input": 5},
        {"input": "a", "add_special_tokens": "perhaps"},
        {
            "messages": as_messages(CONVERSATIONS[0]),
            "add_generation_prompt": True,
            "continue_final_message": True,
        },
    ],
)
def test_what_cannot_be_rated_is_refused(
    http: httpx.Client, rater: Endpoint, fields: dict[str, Any]
) -> None:
    refused(http.post("/classify", json={"model": rater.model_id, **fields}))


def test_another_model_is_404(http: httpx.Client) -> None:
    refused(http.post("/classify", json={"model": "nobody", "input": "a"}), 404)


def test_too_long_is_told_as_such(rater: Endpoint) -> None:
    long = (Message("user", "How?"), Message("assistant", "bread \u00e9 " * 400))
    with pytest.raises(ContextLengthError):
        score(rater, [long])


def test_a_reward_model_writes_nothing(rater: Endpoint, rating_kind: str) -> None:
    async def ask() -> None:
        async with ModelClient(rater) as client:
            await client.generate(CONVERSATIONS[0][:1], SamplingParams(max_tokens=4), seed=1)

    told = "Not Found" if rating_kind == "vllm" else "is a reward model"
    with pytest.raises(RequestRejectedError, match=told):
        asyncio.run(ask())


def test_a_chat_model_rates_nothing(endpoint: Endpoint, kind: str) -> None:
    told = "Not Found" if kind == "vllm" else "writes texts and does not rate"
    with pytest.raises(ModelError, match=told):
        score(endpoint, CONVERSATIONS[:1])


def test_the_metrics_count_what_was_read(http: httpx.Client, rater: Endpoint) -> None:
    def count() -> float:
        lines = http.get("/metrics").text.splitlines()
        (line,) = [one for one in lines if one.startswith("vllm:prompt_tokens_total{")]
        return float(line.split()[-1])

    before = count()
    told = classify(http, rater, messages=as_messages(CONVERSATIONS[0]))
    assert count() - before == told["usage"]["prompt_tokens"]
