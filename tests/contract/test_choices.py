"""`structured_outputs: {"choice": [...]}`: the answer is exactly one of the texts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from tests.contract.calls import CHAT, chat, complete, read_stream, refused

PREFIXES = ["A", "AB", "yes", "yes, but"]
END = "token_id:2"


def only(*choices: str) -> dict[str, Any]:
    return {"structured_outputs": {"choice": list(choices)}}


def test_answers_are_choices_and_end_by_themselves(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, n=64, seed=1, max_tokens=40, **only(*PREFIXES))
    texts = Counter(choice["text"] for choice in answer["choices"])
    # One that begins another, and the other too: the end token is drawn, not forced.
    assert set(texts) == set(PREFIXES)
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}


def test_chat_answers_with_choices_and_streams_them(http: httpx.Client, endpoint: Endpoint) -> None:
    fields = {"seed": 4, "max_tokens": 40, **only("no way", "yes, but")}
    whole = chat(http, endpoint, **fields)["choices"][0]
    assert whole["message"]["content"] in ("no way", "yes, but")
    assert whole["finish_reason"] == "stop"
    body = {"model": endpoint.model_id, "messages": CHAT, **fields}
    chunks = read_stream(http, "/v1/chat/completions", body)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(d.get("content") or "" for d in deltas) == whole["message"]["content"]


def test_logprobs_are_those_among_the_allowed_tokens(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    free = {"max_tokens": 1, "logprobs": 0, "logprob_token_ids": [38, 94]}  # "A", "y"
    ids = {"return_tokens_as_token_ids": True}
    raw = complete(http, endpoint, **free, **ids)["choices"][0]["logprobs"]["top_logprobs"][0]
    fields = {"temperature": 0, "max_tokens": 9, "logprobs": 4, **ids, **only("A", "yo")}
    told = complete(http, endpoint, **fields)["choices"][0]["logprobs"]["top_logprobs"]
    mass = math.log(math.exp(raw["token_id:38"]) + math.exp(raw["token_id:94"]))
    for token in ("token_id:38", "token_id:94"):
        assert told[0][token] == pytest.approx(raw[token] - mass, abs=1e-4)
    # The rest of the list is filled up with tokens that are forbidden.
    assert sorted(told[0].values())[:-2] == [-9999.0] * (len(told[0]) - 2)
    assert told[-1][END] == pytest.approx(0.0, abs=1e-6)


def test_the_end_is_an_alternative_where_a_choice_goes_on(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    fields = {"logprobs": 2, "return_tokens_as_token_ids": True, "max_tokens": 5, "temperature": 0}
    told = complete(http, endpoint, **fields, **only("A", "AB"))["choices"][0]["logprobs"]
    second = told["top_logprobs"][1]
    assert set(second) == {END, "token_id:39"}
    assert sum(math.exp(value) for value in second.values()) == pytest.approx(1.0, abs=1e-5)


def test_greedy_takes_the_likelier_token(http: httpx.Client, endpoint: Endpoint) -> None:
    ids = {"return_tokens_as_token_ids": True, "logprobs": 0}
    named = complete(http, endpoint, max_tokens=1, logprob_token_ids=[38, 39, 40], **ids)
    top = named["choices"][0]["logprobs"]["top_logprobs"][0]
    best = max("ABC", key=lambda letter: top[f"token_id:{38 + 'ABC'.index(letter)}"])
    answer = complete(http, endpoint, temperature=0, **only("A", "B", "C"))
    assert answer["choices"][0]["text"] == best


def test_characters_of_several_tokens(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, max_tokens=40, **only('naïve 🙂\n"quoted" \\ \t'))
    assert answer["choices"][0]["text"] == 'naïve 🙂\n"quoted" \\ \t'


def test_nothing_is_a_choice_too(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, max_tokens=4, **only(""))
    assert answer["choices"][0]["text"] == ""
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 1


def test_max_tokens_still_cuts(http: httpx.Client, endpoint: Endpoint) -> None:
    answer = complete(http, endpoint, max_tokens=2, **only("a long way to go"))["choices"][0]
    assert answer["finish_reason"] == "length"
    assert "a long way to go".startswith(answer["text"])


@pytest.mark.parametrize(
    "asked",
    [
        {"choice": ["A"], "regex": "a"},
        {"choice": ["A"], "json": {"type": "object"}},
        {"choice": ["A"], "grammar": 'root ::= "a"'},
        {"choice": []},
        {"choice": "A"},
        {"choice": [1]},
        {},
    ],
)
def test_what_is_no_list_of_choices_is_refused(
    http: httpx.Client, endpoint: Endpoint, asked: dict[str, Any]
) -> None:
    body = {"model": endpoint.model_id, "prompt": "a", "structured_outputs": asked}
    refused(http.post("/v1/completions", json=body))
