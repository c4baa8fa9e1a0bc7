"""Log-probabilities: their shapes, the tokens that a request names, and the numbers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import torch

from cai_core.inference.engine import Endpoint
from tests.contract.calls import CHAT, chat, complete, read_stream, refused, tokenize

# Tokens of the tiny model: a letter, a word, a control token.
NAMED = [70, 300, 3]


def named_fields(*, chat: bool) -> dict[str, Any]:
    ids = {"logprob_token_ids": NAMED, "return_tokens_as_token_ids": True}
    return {"logprobs": True if chat else 0, **ids}


def test_completions_tell_the_chosen_token_then_the_best(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    fields = {"logprobs": 3, "return_tokens_as_token_ids": True, "seed": 2, "ignore_eos": True}
    told = complete(http, endpoint, max_tokens=12, **fields)["choices"][0]["logprobs"]
    assert set(told) == {"text_offset", "token_logprobs", "tokens", "top_logprobs"}
    assert {len(column) for column in told.values()} == {12}
    sizes = set()
    for token, logprob, top in zip(
        told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True
    ):
        assert next(iter(top.items())) == (token, logprob)
        others = list(top.values())[1:]
        assert others == sorted(others, reverse=True)
        # It comes in addition where it is none of the best three.
        assert len(top) == 3 or (len(top) == 4 and logprob <= min(others))
        sizes.add(len(top))
    assert sizes == {3, 4}


def test_text_offsets_are_those_of_the_tokens_shown(http: httpx.Client, endpoint: Endpoint) -> None:
    fields = {"logprobs": 0, "return_tokens_as_token_ids": True, "seed": 2, "max_tokens": 8}
    told = complete(http, endpoint, ignore_eos=True, **fields)["choices"][0]["logprobs"]
    expected = [sum(map(len, told["tokens"][:place])) for place in range(8)]
    assert told["text_offset"] == expected
    body = {"model": endpoint.model_id, "prompt": "How do I", "ignore_eos": True, **fields}
    parts = [
        chunk["choices"][0]["logprobs"] for chunk in read_stream(http, "/v1/completions", body)
    ]
    assert [at for part in parts if part for at in part["text_offset"]] == expected
    assert [token for part in parts if part for token in part["tokens"]] == told["tokens"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_chat_counts_the_chosen_token_among_the_alternatives(
    http: httpx.Client, endpoint: Endpoint, count: int
) -> None:
    fields = {"logprobs": True, "top_logprobs": count, "seed": 2, "ignore_eos": True}
    told = chat(http, endpoint, **fields)["choices"][0]["logprobs"]["content"]
    assert len(told) == 12
    for entry in told:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"}
        assert len(entry["top_logprobs"]) == count
        if count:
            first = entry["top_logprobs"][0]
            assert (first["token"], first["logprob"]) == (entry["token"], entry["logprob"])
        rest = [top["logprob"] for top in entry["top_logprobs"][1:]]
        assert rest == sorted(rest, reverse=True)


def test_without_the_field_there_are_none(http: httpx.Client, endpoint: Endpoint) -> None:
    assert complete(http, endpoint)["choices"][0]["logprobs"] is None
    assert chat(http, endpoint, logprobs=False)["choices"][0]["logprobs"] is None


def test_completions_tell_named_tokens_at_every_position(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    answer = complete(
        http, endpoint, max_tokens=4, n=2, seed=1, ignore_eos=True, **named_fields(chat=False)
    )
    for choice in answer["choices"]:
        tops = choice["logprobs"]["top_logprobs"]
        assert len(tops) == 4
        for token, top in zip(choice["logprobs"]["tokens"], tops, strict=True):
            wanted = [token, *(f"token_id:{named}" for named in NAMED)]
            assert list(top) == list(dict.fromkeys(wanted))


def test_chat_tells_named_tokens_whatever_top_logprobs_says(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    plain = {"logprobs": True, "logprob_token_ids": NAMED, "seed": 1, "max_tokens": 3}
    for extra in ({}, {"top_logprobs": 1}, {"return_tokens_as_token_ids": True}):
        told = chat(http, endpoint, ignore_eos=True, **plain, **extra)["choices"][0]["logprobs"]
        for entry in told["content"]:
            names = [top["token"] for top in entry["top_logprobs"]]
            assert names[0] == entry["token"]
            assert len(names) == 1 + len(NAMED)
            if "return_tokens_as_token_ids" in extra:
                assert names[1:] == [f"token_id:{named}" for named in NAMED]
                shown = entry["top_logprobs"][1]
                assert bytes(shown["bytes"]).decode() == shown["token"]
            else:
                assert names[2] == " bak"
                assert names[3] == "<|system|>"


def test_an_empty_list_names_nothing(http: httpx.Client, endpoint: Endpoint) -> None:
    fields = {"temperature": 0, "max_tokens": 3, "logprobs": 2}
    with_list = complete(http, endpoint, logprob_token_ids=[], **fields)["choices"][0]
    assert with_list["logprobs"] == complete(http, endpoint, **fields)["choices"][0]["logprobs"]


@pytest.mark.parametrize(
    "fields",
    [
        {"logprob_token_ids": [7]},
        {"logprob_token_ids": [99_999], "logprobs": 1},
        {"logprob_token_ids": [-1], "logprobs": 1},
        {"logprob_token_ids": [7] * 129, "logprobs": 1},
    ],
)
def test_named_tokens_that_cannot_be_told_are_refused(
    http: httpx.Client, endpoint: Endpoint, fields: dict[str, Any]
) -> None:
    body = {"model": endpoint.model_id, "prompt": "a", **fields}
    assert refused(http.post("/v1/completions", json=body))["param"] == "logprob_token_ids"


def test_chat_needs_logprobs_for_named_tokens(http: httpx.Client, endpoint: Endpoint) -> None:
    body = {"model": endpoint.model_id, "messages": CHAT, "logprob_token_ids": [7]}
    error = refused(http.post("/v1/chat/completions", json=body))
    assert error["param"] == "logprob_token_ids"
    assert "must be set to true" in error["message"]


def test_alternatives_and_named_tokens_equal_log_softmax(
    http: httpx.Client, endpoint: Endpoint, reference: tuple[Any, Any]
) -> None:
    """Raw log-probabilities, whatever the temperature; named ones far from the best too."""
    model, tokenizer = reference
    body = {"temperature": 0.7, "seed": 3, "ignore_eos": True, "max_tokens": 20}
    ids = {"logprobs": True, "return_tokens_as_token_ids": True}
    best = chat(http, endpoint, top_logprobs=5, **ids, **body)["choices"][0]["logprobs"]["content"]
    named = chat(http, endpoint, logprob_token_ids=NAMED, **ids, **body)["choices"][0]["logprobs"]
    prompt = tokenize(http, endpoint, messages=CHAT)
    rendered = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert prompt == tokenizer(rendered, add_special_tokens=False)["input_ids"]
    for one, other in zip(best, named["content"], strict=True):
        with torch.no_grad():
            table = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], dim=-1)
        chosen = int(one["token"].removeprefix("token_id:"))
        ranked = table.argsort(descending=True).tolist()[:5]
        expected = list(dict.fromkeys([chosen, *ranked]))[:5]
        assert [top["token"] for top in one["top_logprobs"]] == [f"token_id:{t}" for t in expected]
        for top in (*one["top_logprobs"], *other["top_logprobs"]):
            told = table[int(top["token"].removeprefix("token_id:"))]
            assert top["logprob"] == pytest.approx(float(told), abs=1e-4)
        prompt.append(chosen)
