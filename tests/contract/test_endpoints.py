"""Every endpoint and field of the dialect, against the bundled server or a real vLLM."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from tests.contract.calls import CHAT, chat, complete, read_stream, refused, tokenize


def test_models_tells_id_and_context(http: httpx.Client, endpoint: Endpoint) -> None:
    cards = http.get("/v1/models").json()["data"]
    card = next(card for card in cards if card["id"] == endpoint.model_id)
    assert card["max_model_len"] == 512
    assert card["object"] == "model"


def test_health_and_version_answer(http: httpx.Client) -> None:
    assert http.get("/health").status_code == 200
    assert http.get("/version").json()["version"]


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
    assert len({text(seed) for seed in (5, 6, 2**40 + 7)}) == 3


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
    fields = {"seed": 3, "max_tokens": 12, "n": 2}
    both = complete(http, endpoint, prompt=prompts, **fields)["choices"]
    alone = [
        choice["text"]
        for prompt in prompts
        for choice in complete(http, endpoint, prompt=prompt, **fields)["choices"]
    ]
    assert [choice["index"] for choice in both] == [0, 1, 2, 3]
    assert [choice["text"] for choice in both] == alone


def test_token_prompts_equal_text_prompts(http: httpx.Client, endpoint: Endpoint) -> None:
    tokens = tokenize(http, endpoint, prompt="How do I")
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
    assert whole["stop_reason"] == stop
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
    refused(http.post(path, json={"model": endpoint.model_id, **fields}), status)


def test_too_long_says_so(http: httpx.Client, endpoint: Endpoint) -> None:
    long = "a " * 600
    for path, fields in (
        ("/v1/completions", {"prompt": long}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": long}]}),
    ):
        error = refused(http.post(path, json={"model": endpoint.model_id, **fields}))
        assert "maximum context length is 512 tokens" in error["message"]
        assert error["param"] == "input_tokens"


@pytest.mark.parametrize("value", ["hot", [1]])
@pytest.mark.parametrize("name", ["seed", "max_tokens", "temperature", "stream_options"])
def test_values_of_another_type_are_refused(
    http: httpx.Client, endpoint: Endpoint, name: str, value: Any
) -> None:
    body = {"model": endpoint.model_id, "prompt": "a", "stream": True, name: value}
    refused(http.post("/v1/completions", json=body))


def test_missing_route_is_404(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").status_code == 404


def test_a_wrong_key_is_401(endpoint: Endpoint) -> None:
    if endpoint.api_key is None:
        pytest.skip("this endpoint asks for no key")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = httpx.get(f"{endpoint.base_url}/v1/models", headers=headers, trust_env=False)
        assert response.status_code == 401
        assert endpoint.api_key not in response.text
