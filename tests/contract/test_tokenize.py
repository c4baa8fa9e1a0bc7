"""`/tokenize`, and turns that are gone on with."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from tests.contract.calls import CHAT, chat, complete, refused, tokenize

OPEN_TURN = [*CHAT, {"role": "assistant", "content": "Mix flour, "}]
GO_ON = {"add_generation_prompt": False, "continue_final_message": True}


def test_texts_and_conversations_are_counted(http: httpx.Client, endpoint: Endpoint) -> None:
    assert len(tokenize(http, endpoint, prompt="How do I bake bread?")) > 3
    answer = chat(http, endpoint, max_tokens=1)
    assert answer["usage"]["prompt_tokens"] == len(tokenize(http, endpoint, messages=CHAT))


def test_the_model_need_not_be_named(http: httpx.Client, endpoint: Endpoint) -> None:
    told = http.post("/tokenize", json={"prompt": "How"}).json()
    assert told["tokens"] == tokenize(http, endpoint, prompt="How")
    assert told["max_model_len"] == 512
    assert set(told) == {"count", "max_model_len", "tokens", "token_strs"}


def test_nothing_is_no_tokens(http: httpx.Client, endpoint: Endpoint) -> None:
    assert tokenize(http, endpoint, prompt="") == []


def test_the_generation_prompt_is_the_default(http: httpx.Client, endpoint: Endpoint) -> None:
    whole = tokenize(http, endpoint, messages=CHAT)
    bare = tokenize(http, endpoint, messages=CHAT, add_generation_prompt=False)
    assert whole[: len(bare)] == bare
    assert len(whole) == len(bare) + 1  # <|assistant|>


def test_an_open_turn_ends_where_its_text_does(http: httpx.Client, endpoint: Endpoint) -> None:
    begun = tokenize(http, endpoint, messages=CHAT)
    text = tokenize(http, endpoint, prompt="Mix flour, ", add_special_tokens=False)
    assert tokenize(http, endpoint, messages=OPEN_TURN, **GO_ON) == [*begun, *text]


def test_chat_goes_on_with_an_open_turn(http: httpx.Client, endpoint: Endpoint) -> None:
    prompt = tokenize(http, endpoint, messages=OPEN_TURN, **GO_ON)
    fields = {"temperature": 0, "max_tokens": 12}
    expected = complete(http, endpoint, prompt=prompt, **fields)["choices"][0]["text"]
    answer = chat(http, endpoint, messages=OPEN_TURN, **GO_ON, **fields)
    assert answer["choices"][0]["message"]["content"] == expected
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["prompt_tokens"] == len(prompt)


def test_without_a_new_turn_the_last_speaker_speaks_on(
    http: httpx.Client, endpoint: Endpoint
) -> None:
    for fields in (GO_ON, {"add_generation_prompt": False}):
        answer = chat(http, endpoint, max_tokens=2, **fields)
        assert answer["choices"][0]["message"]["role"] == "user"


def test_special_tokens_of_the_tokenizer_are_the_default_for_texts(
    http: httpx.Client, endpoint: Endpoint, reference: tuple[Any, Any]
) -> None:
    _, tokenizer = reference
    for special in (True, False):
        expected = tokenizer("How do I", add_special_tokens=special)["input_ids"]
        asked = {} if special else {"add_special_tokens": False}
        assert tokenize(http, endpoint, prompt="How do I", **asked) == expected
        answer = complete(http, endpoint, max_tokens=1, **asked)
        assert answer["usage"]["prompt_tokens"] == len(expected)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/tokenize", {}),
        ("/tokenize", {"messages": []}),
        ("/tokenize", {"messages": OPEN_TURN, "continue_final_message": True}),
        ("/tokenize", {"messages": OPEN_TURN, **GO_ON, "add_generation_prompt": True}),
        ("/v1/chat/completions", {"messages": OPEN_TURN, "continue_final_message": True}),
        ("/v1/chat/completions", {"messages": []}),
    ],
)
def test_what_cannot_be_rendered_is_refused(
    http: httpx.Client, endpoint: Endpoint, path: str, fields: dict[str, Any]
) -> None:
    refused(http.post(path, json={"model": endpoint.model_id, **fields}))


def test_another_model_is_404(http: httpx.Client) -> None:
    refused(http.post("/tokenize", json={"model": "nobody", "prompt": "a"}), 404)
