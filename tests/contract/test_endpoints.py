"""Every endpoint and field of the dialect, against the bundled server or a real vLLM."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cai_core.inference.engine import Endpoint

CHAT = [{"role": "user", "content": "How do I bake bread?"}]


def complete(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> dict[str, Any]:
    body = {"model": endpoint.model_id, "prompt": "How do I", **fields}
    response = http.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def chat(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> dict[str, Any]:
    body = {"model": endpoint.model_id, "messages": CHAT, "max_tokens": 12, **fields}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def read_stream(http: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a stream; it must end in [DONE]."""
    with http.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        payloads = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert payloads[-1] == "[DONE]"
    return [json.loads(payload) for payload in payloads[:-1]]


def test_models_tells_id_and_context(http: httpx.Client, endpoint: Endpoint) -> None:
    cards = http.get("/v1/models").json()["data"]
    card = next(card for card in cards if card["id"] == endpoint.model_id)
    assert card["max_model_len"] == 512
    assert card["object"] == "model"


def test_health_and_version_answer(http: httpx.Client) -> None:
    assert http.get("/health").status_code == 200
    assert http.get("/version").json()["version"]


def test_tokenize_counts(http: httpx.Client, endpoint: Endpoint) -> None:
    body = {"model": endpoint.model_id, "prompt": "How do I bake bread?"}
    told = http.post("/tokenize", json=body).json()
    assert told["count"] == len(told["tokens"]) > 0


def test_completion_shape_and_usage(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, max_tokens=7, temperature=0, ignore_eos=True)
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 7
    assert usage["total_tokens"] == usage["prompt_tokens"] + 7


def test_completions_default_to_16_tokens(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, temperature=0, ignore_eos=True)
    assert answer["usage"]["completion_tokens"] == 16


def test_chat_defaults_to_the_rest_of_the_context(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = chat(http, endpoint, max_tokens=None, temperature=0, ignore_eos=True)
    assert answer["usage"]["total_tokens"] == 512
    assert answer["choices"][0]["finish_reason"] == "length"


def test_chat_shape(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = chat(http, endpoint, seed=1)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["role"] == "assistant"


def test_max_completion_tokens_is_max_tokens(http: httpx.Client, endpoint: Endpoint) -> None:
    fields = {"temperature": 0, "ignore_eos": True}
    answer = chat(http, endpoint, max_tokens=None, max_completion_tokens=5, **fields)
    assert answer["usage"]["completion_tokens"] == 5


def test_seed_repeats_and_another_seed_differs(http: httpx.Client, endpoint: Endpoint) -> None:
    def text(seed: int) -> str:
        return complete(http, endpoint, seed=seed, max_tokens=24)["choices"][0]["text"]

    assert text(5) == text(5)
    # More than 32 bits count: row seeds are 63 bits wide.
    assert len({text(5), text(6), text(5 + 2**32)}) == 3


def test_temperature_and_top_p_change_what_is_drawn(http: httpx.Client, endpoint: Endpoint) -> None:
    greedy = complete(http, endpoint, temperature=0, max_tokens=24)["choices"][0]["text"]
    seeds = range(3)
    hot = {complete(http, endpoint, seed=s, max_tokens=24)["choices"][0]["text"] for s in seeds}
    # A nucleus of next to nothing holds the best token only, whatever the seed.
    narrow = {
        complete(http, endpoint, seed=s, top_p=1e-6, max_tokens=24)["choices"][0]["text"]
        for s in seeds
    }
    assert narrow == {greedy}
    assert len(hot) == 3


def test_n_choices_differ_and_the_first_is_the_single_one(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    many = complete(http, endpoint, n=3, seed=9, max_tokens=16, ignore_eos=True)
    assert [choice["index"] for choice in many["choices"]] == [0, 1, 2]
    texts = [choice["text"] for choice in many["choices"]]
    assert len(set(texts)) == 3
    assert many["usage"]["completion_tokens"] == 48


def test_list_prompts_are_answered_prompt_major(http: httpx.Client, endpoint: Endpoint) -> None:
    prompts = ["How do I", "The quick brown fox"]
    fields = {"seed": 3, "max_tokens": 12, "temperature": 0}
    both = complete(http, endpoint, prompt=prompts, **fields)["choices"]
    alone = [complete(http, endpoint, prompt=p, **fields)["choices"][0]["text"] for p in prompts]
    assert [choice["text"] for choice in both] == alone


def test_token_prompts_equal_text_prompts(http: httpx.Client, endpoint: Endpoint) -> None:
    body = {"model": endpoint.model_id, "prompt": "How do I"}
    tokens = http.post("/tokenize", json=body).json()["tokens"]
    texts = [
        complete(http, endpoint, prompt=prompt, temperature=0)["choices"][0]["text"]
        for prompt in ("How do I", tokens)
    ]
    assert texts[0] == texts[1]


def test_chat_stream_has_role_deltas_finish_usage_and_done(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    body = {"model": endpoint.model_id, "messages": CHAT, "max_tokens": 20, "seed": 4}
    whole = chat(http, endpoint, seed=4, max_tokens=20)
    chunks = read_stream(
        http, "/v1/chat/completions", {**body, "stream_options": {"include_usage": True}}
    )
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    spoken = [chunk["choices"][0] for chunk in chunks[:-1]]
    text = "".join(choice["delta"].get("content") or "" for choice in spoken)
    assert text == whole["choices"][0]["message"]["content"]
    reasons = [choice["finish_reason"] for choice in spoken]
    assert reasons[-1] == whole["choices"][0]["finish_reason"]
    assert not any(reasons[:-1])
    assert len(spoken) > 5, "the text came in one piece, not as it was made"


def test_completion_stream_without_usage_has_none(http: httpx.Client, endpoint: Endpoint) -> None:
    body = {"model": endpoint.model_id, "prompt": "How", "n": 2, "seed": 4, "max_tokens": 10}
    whole = complete(http, endpoint, **body)
    chunks = read_stream(http, "/v1/completions", body)
    assert not any(chunk.get("usage") for chunk in chunks)
    texts = ["", ""]
    for chunk in chunks:
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert texts == [choice["text"] for choice in whole["choices"]]


def test_stop_across_tokens_is_never_shown(http: httpx.Client, endpoint: Endpoint) -> None:
    free = complete(http, endpoint, temperature=0, max_tokens=40, ignore_eos=True)
    text = free["choices"][0]["text"]
    stop = text[7:13]  # six characters: several tokens of this tokenizer
    body = {"model": endpoint.model_id, "prompt": "How do I", "stop": stop, "ignore_eos": True}
    body |= {"temperature": 0, "max_tokens": 40}
    whole = complete(http, endpoint, **body)["choices"][0]
    assert whole["text"] == text[: text.index(stop)]
    assert whole["finish_reason"] == "stop"
    shown = ""
    for chunk in read_stream(http, "/v1/completions", body):
        shown += chunk["choices"][0]["text"]
        assert whole["text"].startswith(shown)
    assert shown == whole["text"]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/v1/completions", {"prompt": "a", "temperature": -1}, 400),
        ("/v1/completions", {"prompt": "a", "top_p": 0}, 400),
        ("/v1/completions", {"prompt": "a", "top_p": 1.5}, 400),
        ("/v1/completions", {"prompt": "a", "max_tokens": 0}, 400),
        ("/v1/completions", {"prompt": "a", "n": 0}, 400),
        ("/v1/completions", {"prompt": "a", "seed": 2**70}, 400),
        ("/v1/completions", {"prompt": "a", "stop": ""}, 400),
        ("/v1/completions", {"prompt": "a", "logprobs": 21}, 400),
        ("/v1/chat/completions", {"messages": CHAT, "top_logprobs": 2}, 400),
        ("/v1/chat/completions", {"messages": "hello"}, 400),
        ("/v1/completions", {"prompt": "a", "max_tokens": 600}, 400),
        ("/v1/completions", {"prompt": "a " * 600}, 400),
        ("/v1/completions", {"prompt": "a", "model": "nobody"}, 404),
    ],
)
def test_refusals_have_the_error_shape(
    http: httpx.Client, endpoint: Endpoint, path: str, fields: dict[str, Any], status: int
) -> None:
    response = http.post(path, json={"model": endpoint.model_id, **fields})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == status
    assert error["message"]


def test_too_long_says_so(http: httpx.Client, endpoint: Endpoint) -> None:
    for fields in ({"max_tokens": 600}, {"prompt": "a " * 600}):
        body = {"model": endpoint.model_id, "prompt": "a", **fields}
        message = http.post("/v1/completions", json=body).json()["error"]["message"]
        assert "maximum context length is 512 tokens" in message


def test_missing_route_is_404(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").status_code == 404


def test_a_wrong_key_is_401(endpoint: Endpoint) -> None:
    if endpoint.api_key is None:
        pytest.skip("this endpoint asks for no key")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = httpx.get(f"{endpoint.base_url}/v1/models", headers=headers, trust_env=False)
        assert response.status_code == 401
        assert endpoint.api_key not in response.text
