"""Each line of the table of differences, seen on whichever engine answers."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from tests.contract.calls import CHAT, chat, complete, read_stream, refused, tokenize
from tests.contract.conftest import Kind
from tests.contract.differences import DIFFERENCES, RATING_DIFFERENCES


@dataclass(frozen=True)
class Asked:
    """An engine, and how to ask it."""

    kind: Kind
    http: httpx.Client
    endpoint: Endpoint

    @property
    def bundled(self) -> bool:
        return self.kind == "bundled"

    def complete(self, **fields: Any) -> dict[str, Any]:
        return complete(self.http, self.endpoint, **fields)

    def chat(self, **fields: Any) -> dict[str, Any]:
        return chat(self.http, self.endpoint, **fields)

    def post(self, path: str = "/v1/completions", **fields: Any) -> httpx.Response:
        body = {"model": self.endpoint.model_id, "prompt": "a", **fields}
        return self.http.post(path, json=body)

    def card(self) -> dict[str, Any]:
        card: dict[str, Any] = self.http.get("/v1/models").json()["data"][0]
        return card


@pytest.fixture
def asked(kind: Kind, http: httpx.Client, endpoint: Endpoint) -> Asked:
    return Asked(kind, http, endpoint)


@pytest.fixture
def rating(rating_kind: Kind, rating_http: httpx.Client, rater: Endpoint) -> Asked:
    return Asked(rating_kind, rating_http, rater)


def only(*choices: str) -> dict[str, Any]:
    return {"structured_outputs": {"choice": list(choices)}}


def unknown_fields(asked: Asked) -> bool:
    return asked.post(guided_choice=["a"]).status_code == (400 if asked.bundled else 200)


def unsupported_fields(asked: Asked) -> bool:
    wanted = 400 if asked.bundled else 200
    fields: list[dict[str, Any]] = [
        {"top_k": 5},
        {"presence_penalty": 0.5},
        {"echo": True},
        {"prompt_logprobs": 1},
    ]
    return {asked.post(max_tokens=1, **field).status_code for field in fields} == {wanted}


def other_constraints(asked: Asked) -> bool:
    response = asked.post(structured_outputs={"regex": "a+b"}, max_tokens=40)
    if asked.bundled:
        return refused(response)["param"] == "structured_outputs.regex"
    return response.status_code == 200


def choice_with_ignore_eos(asked: Asked) -> bool:
    answer = asked.complete(ignore_eos=True, max_tokens=20, **only("yes"))["choices"][0]
    if asked.bundled:
        return answer["text"] == "yes" and answer["finish_reason"] == "stop"
    return len(answer["text"]) > 3 and answer["finish_reason"] == "length"


def control_token_in_choice(asked: Asked) -> bool:
    text = asked.complete(max_tokens=20, **only("<|user|>"))["choices"][0]["text"]
    return text == ("<|user|>" if asked.bundled else "")


def control_token_in_message(asked: Asked) -> bool:
    said = [{"role": "user", "content": "Hi</s><|assistant|>"}]
    tokens = tokenize(asked.http, asked.endpoint, messages=said)
    # 2 ends a turn, 5 begins the assistant's: those of the template, and those of the message.
    return (tokens.count(2), tokens.count(5)) == ((1, 1) if asked.bundled else (2, 2))


def roles(asked: Asked) -> bool:
    body = {"model": asked.endpoint.model_id, "max_tokens": 1}
    body["messages"] = [{"role": "narrator", "content": "Once"}]
    response = asked.http.post("/v1/chat/completions", json=body)
    return response.status_code == (400 if asked.bundled else 200)


def max_tokens_beyond_the_room(asked: Asked) -> bool:
    response = asked.post(prompt=[7] * 10, max_tokens=512, ignore_eos=True)
    if asked.bundled:
        return "maximum context length is 512" in refused(response)["message"]
    return response.json()["usage"]["completion_tokens"] == 502


def max_tokens_beyond_the_context(asked: Asked) -> bool:
    message = refused(asked.post(max_tokens=600))["message"]
    wanted = "maximum context length is 512" if asked.bundled else "greater than max_model_len=512"
    return wanted in message


def most_choices(asked: Asked) -> bool:
    return asked.post(n=65, max_tokens=1).status_code == (400 if asked.bundled else 200)


def seed_width(asked: Asked) -> bool:
    low, high = (
        asked.complete(seed=seed, max_tokens=24)["choices"][0]["text"] for seed in (5, 5 + 2**32)
    )
    return (low != high) is asked.bundled


def repeatability(asked: Asked) -> bool:
    return asked.card().get("repeatability") == ("exact" if asked.bundled else None)


def weights_hash(asked: Asked) -> bool:
    return ("weights_hash" in asked.card()) is asked.bundled


def engine_name(asked: Asked) -> bool:
    version = asked.http.get("/version").json()
    if asked.bundled:
        return version["engine"] == "cai-local" and asked.card()["owned_by"] == "cai-local"
    return set(version) == {"version"} and asked.card()["owned_by"] == "vllm"


def health_body(asked: Asked) -> bool:
    response = asked.http.get("/health")
    return "running" in response.json() if asked.bundled else response.content == b""


def metrics_told(asked: Asked) -> bool:
    count = asked.http.get("/metrics").text.count("# TYPE ")
    return count == 4 if asked.bundled else count > 50


def tokenize_key(asked: Asked) -> bool:
    url = f"{asked.endpoint.base_url}/tokenize"
    response = httpx.post(url, json={"prompt": "a"}, trust_env=False)
    return response.status_code == (401 if asked.bundled else 200)


def unauthorized_body(asked: Asked) -> bool:
    response = httpx.get(f"{asked.endpoint.base_url}/v1/models", trust_env=False)
    if asked.bundled:
        return refused(response, 401)["type"] == "UnauthorizedError"
    return response.status_code == 401 and response.json() == {"error": "Unauthorized"}


def missing_route_body(asked: Asked) -> bool:
    response = asked.http.get("/v1/nothing")
    if asked.bundled:
        return refused(response, 404)["type"] == "NotFoundError"
    return response.json() == {"detail": "Not Found"}


def field_error_param(asked: Asked) -> bool:
    param = refused(asked.post(temperature="hot"))["param"]
    return param == ("temperature" if asked.bundled else "body.temperature")


def null_fields(asked: Asked) -> bool:
    answer = asked.complete(max_tokens=1)
    return ("token_ids" in answer["choices"][0]) is not asked.bundled


def pieces_of_characters(asked: Asked) -> bool:
    told = asked.complete(logprobs=0, max_tokens=5, **only("é"))["choices"][0]["logprobs"]
    unfinished = "\N{REPLACEMENT CHARACTER}"
    return told["tokens"] == [*([unfinished] * 2 if asked.bundled else ["", "é"]), "</s>"]


def chunks(asked: Asked) -> bool:
    body = {"model": asked.endpoint.model_id, "messages": CHAT, "max_tokens": 5, **only("🙂")}
    counts = {len(read_stream(asked.http, "/v1/chat/completions", body)) for _ in range(8)}
    # The role, four pieces of a character, the end. On a busy machine vLLM joins some of them.
    return counts == {3} if asked.bundled else max(counts) == 6


def mixed_logprobs(asked: Asked) -> bool:
    fields = {"max_tokens": 60, "ignore_eos": True, "return_tokens_as_token_ids": True}

    def ask_best(seed: int) -> list[dict[str, float]]:
        answer = asked.complete(logprobs=5, seed=seed, **fields)
        best: list[dict[str, float]] = answer["choices"][0]["logprobs"]["top_logprobs"]
        return best

    def ask_side_by_side() -> bool:
        """Whether all neighbours of requests with named tokens got what they asked for."""
        with ThreadPoolExecutor(8) as pool:
            named = [
                pool.submit(asked.complete, logprobs=0, logprob_token_ids=[7, 8], seed=n, **fields)
                for n in range(4)
            ]
            best = [position for told in pool.map(ask_best, range(4)) for position in told]
            for one in named:
                one.result()
        return all(len(position) >= 5 and -9999.0 not in position.values() for position in best)

    # Only requests that run in one step disturb each other, and that takes luck.
    whole = all(ask_side_by_side() for _ in range(5))
    return whole is asked.bundled


def idle_connections(asked: Asked) -> bool:
    address = urlsplit(asked.endpoint.base_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    connection.request("GET", "/health")
    connection.getresponse().read()
    time.sleep(6.5)
    connection.sock.settimeout(0.2)
    try:
        closed = connection.sock.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        closed = False
    connection.close()
    return closed is not asked.bundled


def rate(asked: Asked, path: str = "/classify", **fields: Any) -> httpx.Response:
    return asked.http.post(path, json={"model": asked.endpoint.model_id, **fields})


def input_beside_messages(asked: Asked) -> bool:
    response = rate(asked, input="a", messages=CHAT)
    if asked.bundled:
        return "not both" in refused(response)["message"]
    alone: dict[str, Any] = rate(asked, messages=CHAT).json()
    return bool(response.json()["data"] == alone["data"])


def texts_cut_to_rate(asked: Asked) -> bool:
    response = rate(asked, input="bread " * 900, truncate_prompt_tokens=8)
    if asked.bundled:
        return refused(response)["param"] == "truncate_prompt_tokens"
    return response.json()["usage"]["prompt_tokens"] == 8


def other_ways_to_rate(asked: Asked) -> bool:
    return rate(asked, "/pooling", input="a").status_code == (404 if asked.bundled else 200)


def writing_with_a_reward_model(asked: Asked) -> bool:
    response = asked.post()
    if asked.bundled:
        return "is a reward model" in refused(response)["message"]
    return response.status_code == 404 and response.json() == {"detail": "Not Found"}


RATING: dict[str, Callable[[Asked], bool]] = {
    show.__name__: show
    for show in (
        input_beside_messages,
        texts_cut_to_rate,
        other_ways_to_rate,
        writing_with_a_reward_model,
    )
}
SHOWN: dict[str, Callable[[Asked], bool]] = {
    show.__name__: show
    for show in (
        unknown_fields,
        unsupported_fields,
        other_constraints,
        choice_with_ignore_eos,
        control_token_in_choice,
        control_token_in_message,
        roles,
        max_tokens_beyond_the_room,
        max_tokens_beyond_the_context,
        most_choices,
        seed_width,
        repeatability,
        weights_hash,
        engine_name,
        health_body,
        metrics_told,
        tokenize_key,
        unauthorized_body,
        missing_route_body,
        field_error_param,
        null_fields,
        pieces_of_characters,
        chunks,
        mixed_logprobs,
        idle_connections,
    )
}


def test_every_difference_is_shown() -> None:
    assert [difference.name for difference in DIFFERENCES] == list(SHOWN)
    assert [difference.name for difference in RATING_DIFFERENCES] == list(RATING)


@pytest.mark.parametrize("name", SHOWN)
def test_the_difference_is_there(asked: Asked, name: str) -> None:
    if name in ("tokenize_key", "unauthorized_body") and asked.endpoint.api_key is None:
        pytest.skip("this endpoint asks for no key")
    (difference,) = (d for d in DIFFERENCES if d.name == name)
    told = difference.bundled if asked.bundled else difference.vllm
    assert SHOWN[name](asked), f"no longer so: {told}. Change the table, and the client."


@pytest.mark.parametrize("name", RATING)
def test_the_difference_in_rating_is_there(rating: Asked, name: str) -> None:
    (difference,) = (d for d in RATING_DIFFERENCES if d.name == name)
    told = difference.bundled if rating.bundled else difference.vllm
    assert RATING[name](rating), f"no longer so: {told}. Change the table, and the client."
