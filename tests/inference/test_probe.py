"""Probing servers that ignore, refuse, hang and lie. What real ones can is in tests/contract."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from cai_core.errors import (
    ContextLengthError,
    RequestRejectedError,
    ScoringUnavailableError,
    ServerUnavailableError,
)
from cai_core.inference import probe as probing
from cai_core.inference.capabilities import Asker, Capabilities
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.probe import FALLBACKS, probe
from cai_core.inference.scoring import choose_way
from cai_core.records import ModelInfo

STORY = "Hello there! Once upon a time a quick brown fox jumped over a dog."
Reply = dict[str, Any] | Exception
Answering = Callable[[str, dict[str, Any]], Reply]


class Scripted:
    """Implements `capabilities.Asker` by a function; counts what runs at once."""

    def __init__(self, answering: Answering, context: int | None = 4096) -> None:
        self.answering, self.context = answering, context
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.running = self.most_running = 0

    async def info(self) -> ModelInfo:
        return ModelInfo(
            model_id="m", engine="other", engine_version="2", context_length=self.context
        )

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        raise AssertionError(f"unexpected {path}")

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, body))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0.001)
            reply = self.answering(path, body)
            if isinstance(reply, Exception):
                raise reply
            return reply
        finally:
            self.running -= 1


def run(asker: Asker) -> Capabilities:
    found = asyncio.run(probe(asker))
    assert set(found.by_name) == set(FALLBACKS)
    assert all(len(capability.evidence) < 500 for capability in found.capabilities)
    return found


def supports(found: Capabilities) -> dict[str, str]:
    return {capability.name: capability.support for capability in found.capabilities}


def chat_answer(text: str = STORY, tokens: int = 7, **message: Any) -> dict[str, Any]:
    choice = {"message": {"content": text, **message}, "finish_reason": "stop", "logprobs": None}
    return {"choices": [choice], "usage": {"prompt_tokens": tokens}}


def missing(path: str) -> RequestRejectedError:
    return RequestRejectedError(f"no route {path}", status=404)


def ignoring(path: str, body: dict[str, Any]) -> Reply:
    """A server that takes every field and heeds none; every prompt is its first ten tokens."""
    return chat_answer(tokens=10) if path == "/v1/chat/completions" else missing(path)


def test_a_server_that_ignores_everything_can_nothing() -> None:
    found = run(Scripted(ignoring))
    support = supports(found)
    can = [name for name, told in support.items() if told == "yes"]
    assert can == ["chat", "context_length"]
    for name in ("stop", "n", "choice", "regex", "json", "response_format", "logprobs"):
        assert support[name] == "no", found.by_name[name]
    for name in (
        "logprob_token_ids",
        "token_ids_in_logprobs",
        "system_role",
        "refuses_unknown_fields",
    ):
        assert support[name] == "no", found.by_name[name]
    for name in ("completions", "tokenize", "lora", "echo", "prompt_logprobs", "token_prompts"):
        assert support[name] == "no", found.by_name[name]
    # One text for every seed tells nothing, and this asker cannot stream.
    assert {support[name] for name in ("seed", "streaming", "reasoning")} == {"unknown"}
    assert found.scoring_way is None
    with pytest.raises(ScoringUnavailableError, match="labels from generated text"):
        choose_way(found)


def test_asks_run_together_but_not_all_at_once() -> None:
    asker = Scripted(ignoring)
    run(asker)
    # The ask for a seed sends four requests, that for a system turn two; two more run beside.
    assert 2 < asker.most_running <= 4 + 2 + 2
    assert len(asker.asked) < 60


def hosted(path: str, body: dict[str, Any]) -> Reply:
    """A hosted API: chat only, five alternatives, every field checked."""
    if path != "/v1/chat/completions":
        return missing(path)
    known = {"model", "messages", "max_tokens", "temperature", "seed", "stop", "n"}
    known |= {"logprobs", "top_logprobs", "response_format"}
    for field in set(body) - known:
        return RequestRejectedError(f"unknown field {field}", status=400, param=field)
    if body.get("top_logprobs", 0) > 5:
        return RequestRejectedError("at most 5", status=400, param="top_logprobs")
    text = STORY.partition(body.get("stop", ["\0"])[0])[0]
    answer = chat_answer(text, tokens=len(json.dumps(body["messages"])))
    if body.get("logprobs"):
        top = [{"token": t, "logprob": -float(i)} for i, t in enumerate("abcde")]
        first = {**top[0], "top_logprobs": top[: body["top_logprobs"]]}
        answer["choices"][0]["logprobs"] = {"content": [first]}
    if "response_format" in body:
        answer["choices"][0]["message"]["content"] = '{"greeting": "hello"}'
    answer["choices"] *= body.get("n", 1)
    return answer


def test_a_hosted_api_scores_by_its_alternatives() -> None:
    found = run(Scripted(hosted, context=None))
    assert found.scoring_way == "top-logprobs"
    assert found.by_name["logprobs"].limit == 5
    for name in ("chat", "stop", "n", "logprobs", "response_format", "system_role"):
        assert found.has(name), found.by_name[name]
    assert found.has("refuses_unknown_fields")
    for name in ("completions", "choice", "tokenize", "continue_final_message"):
        assert found.by_name[name].support == "no"
    assert "unknown field structured_outputs" in found.by_name["choice"].evidence


def test_a_model_without_a_chat_template_is_asked_for_texts() -> None:
    def answering(path: str, body: dict[str, Any]) -> Reply:
        if path != "/v1/completions":
            return RequestRejectedError("no chat template", status=400)
        return {"choices": [{"text": STORY, "finish_reason": "stop"}]}

    asker = Scripted(answering)
    found = run(asker)
    assert (found.by_name["chat"].support, found.by_name["completions"].support) == ("no", "yes")
    asked = [body for path, body in asker.asked if "structured_outputs" in body]
    assert all("prompt" in body for body in asked)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": None},
        {"choices": [1]},
        {"choices": [{}]},
        {"choices": [{"message": {"content": 17}, "text": ["x"]}], "usage": 3, "tokens": "abc"},
        {"choices": [{"message": "hi", "logprobs": []}], "usage": {"prompt_tokens": "many"}},
        {"choices": [{"message": {}, "text": "x" * 3_000_000, "logprobs": {"content": [[]]}}]},
        {"choices": [{"message": {"content": "hi"}, "logprobs": {"content": [{"token": 1}]}}]},
        ServerUnavailableError("it answered with a page"),
        RequestRejectedError("I refuse" * 10_000, status=418),
    ],
)
def test_nonsense_is_survived_and_never_taken_for_a_capability(reply: Reply) -> None:
    found = run(Scripted(lambda path, body: reply))
    can = {name for name, told in supports(found).items() if told == "yes"}
    assert can <= {"chat", "completions", "context_length"}
    assert found.scoring_way is None


@pytest.mark.parametrize(
    ("error", "length"),
    [
        ("This model's maximum context length is 8192 tokens. However, you sent 40002.", 8192),
        ("the request exceeds the available context size (4096 tokens), try more", 4096),
        ("too long", None),
    ],
)
def test_the_context_is_read_from_a_refusal(error: str, length: int | None) -> None:
    def answering(path: str, body: dict[str, Any]) -> Reply:
        if len(json.dumps(body)) > 100_000:
            return RequestRejectedError(error, status=400)
        return ignoring(path, body)

    found = run(Scripted(answering, context=None))
    assert found.context_length == length
    assert found.by_name["context_length"].support == ("yes" if length else "unknown")


def test_a_prompt_that_is_cut_in_silence_is_noticed() -> None:
    found = run(Scripted(ignoring, context=None))
    assert found.context_length is None
    assert found.by_name["context_length"].support == "no"
    assert "cuts prompts in silence" in found.by_name["context_length"].evidence


def test_a_context_that_is_too_short_to_ask_is_no_refusal() -> None:
    def answering(path: str, body: dict[str, Any]) -> Reply:
        if body.get("structured_outputs"):
            return ContextLengthError("the context length is 8", status=400)
        return ignoring(path, body)

    assert run(Scripted(answering)).by_name["choice"].support == "unknown"


@pytest.mark.parametrize(
    ("message", "support"),
    [
        ({"text": "42", "reasoning": "17 + 25"}, "yes"),
        ({"text": "42", "reasoning_content": "17 + 25"}, "yes"),
        ({"text": "<think>17 + 25</think>42"}, "no"),
        ({"text": "42"}, "unknown"),
    ],
)
def test_where_thoughts_are(message: dict[str, str], support: str) -> None:
    found = run(Scripted(lambda path, body: chat_answer(**message)))
    assert found.by_name["reasoning"].support == support


@pytest.mark.parametrize(
    ("error", "support"),
    [
        (missing("x"), "no"),
        (RequestRejectedError("No adapter found for /cai-probe-absent", status=404), "yes"),
        (ServerUnavailableError("HTTP 500: LoRA is not enabled (cai-probe-absent)"), "no"),
        (RequestRejectedError("Unauthorized", status=401), "unknown"),
    ],
)
def test_loading_adapters_is_told_by_the_error(error: Exception, support: str) -> None:
    def answering(path: str, body: dict[str, Any]) -> Reply:
        return error if path == "/v1/load_lora_adapter" else ignoring(path, body)

    assert run(Scripted(answering)).by_name["lora"].support == support


async def silent_server(hangs: Callable[[bytes], bool]) -> tuple[asyncio.Server, Endpoint]:
    """A real one over TCP that never answers the requests that `hangs` picks."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [
                int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-length:" in line
            ]
            body = await reader.readexactly(length[0]) if length else b""
            if hangs(head.split()[1] + body):
                await reader.read()  # until the client hangs up
                return
            told: dict[str, Any] = (
                {"data": [{"id": "m"}]} if b"/v1/models" in head else chat_answer()
            )
            payload = json.dumps(told).encode()
            reply = (
                f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(payload)}\r\n\r\n"
            )
            writer.write(reply.encode() + payload)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, Endpoint(base_url=f"http://127.0.0.1:{port}", model_id="m")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "FIRST_SECONDS", 0.5)
    monkeypatch.setattr(probing, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(probing, "TOTAL_SECONDS", 3.0)


async def probe_silent(hangs: Callable[[bytes], bool]) -> tuple[Capabilities, float]:
    server, endpoint = await silent_server(hangs)
    started = time.monotonic()
    async with server, ModelClient(endpoint, first_wait=0.01) as client:
        found = await probe(client)
    return found, time.monotonic() - started


def test_one_ask_that_hangs_costs_the_others_nothing(impatient: None) -> None:
    found, _ = asyncio.run(probe_silent(lambda request: b"structured_outputs" in request))
    for name in ("choice", "regex", "json"):
        assert found.by_name[name].support == "unknown"
        assert "No answer within" in found.by_name[name].evidence
    assert found.by_name["response_format"].support == "no"
    assert found.has("chat")


def test_a_server_that_hangs_is_given_up(impatient: None) -> None:
    found, seconds = asyncio.run(probe_silent(lambda request: b"{" in request))
    assert set(supports(found).values()) == {"unknown"}
    assert seconds < 3.0


def test_a_server_that_hangs_later_is_asked_no_longer_than_the_limit(impatient: None) -> None:
    found, seconds = asyncio.run(
        probe_silent(lambda request: b"{" in request and b'"Hello"' not in request)
    )
    assert found.has("chat")
    assert found.by_name["choice"].support == "unknown"
    assert seconds < 5.0


def test_nobody_there_is_an_error() -> None:
    async def ask() -> None:
        endpoint = Endpoint(base_url="http://127.0.0.1:9", model_id="m")
        async with ModelClient(endpoint, first_wait=0.01) as client:
            await probe(client)

    with pytest.raises(ServerUnavailableError):
        asyncio.run(ask())
