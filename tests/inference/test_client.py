"""The client against a scripted server: faults that a real one cannot be told to make."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cai_core.errors import (
    ContextLengthError,
    RequestRejectedError,
    ServerUnavailableError,
    UnknownModelError,
)
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint, Engine
from cai_core.records import Message, SamplingParams

CARD = {"id": "m", "owned_by": "somebody"}
ANSWER = {
    "choices": [{"text": "hello", "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
Reply = tuple[int, dict[str, str], bytes] | None


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return status, headers or {}, json.dumps(body).encode()


def refusal(message: str, status: int, param: str | None = None) -> Reply:
    error = {"message": message, "type": "BadRequestError", "param": param, "code": status}
    return reply({"error": error}, status)


def events(*chunks: dict[str, Any], done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": reason}]}


class ScriptedServer:
    """Answers generation requests from a script; None hangs up without a word.

    A stream's bytes are sent and the connection closed without the end of the body, as a
    killed server leaves it. A request that the script does not foresee fails the test.
    """

    def __init__(self, script: list[Reply], card: dict[str, Any]) -> None:
        self.script = script
        self.card = card
        self.version = reply({"version": "1.2"})
        self.asked: list[dict[str, Any]] = []
        self.unforeseen: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not await self._answer(head, reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        path = head.split()[1].decode()
        if path == "/v1/models":
            return await self._send(writer, reply({"data": [self.card]}))
        if path == "/version":
            return await self._send(writer, self.version)
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        self.asked.append(json.loads(await reader.readexactly(length)))
        if not self.script:
            self.unforeseen.append(path)
            return await self._send(writer, refusal("not in the script", 418))
        return await self._send(writer, self.script.pop(0))

    async def _send(self, writer: asyncio.StreamWriter, told: Reply) -> bool:
        if told is None:
            return False
        status, headers, body = told
        streamed = body.startswith(b"data:")
        told_length = {} if streamed else {"content-length": str(len(body))}
        lines = [f"HTTP/1.1 {status} X"]
        lines += [f"{name}: {value}" for name, value in {**headers, **told_length}.items()]
        if streamed:
            lines.append("transfer-encoding: chunked")
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
            if b"[DONE]" in body:
                body += b"0\r\n\r\n"
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await writer.drain()
        return not streamed


@asynccontextmanager
async def scripted(
    *script: Reply, card: dict[str, Any] = CARD, model: str = "m"
) -> AsyncIterator[tuple[ModelClient, ScriptedServer]]:
    scripted_server = ScriptedServer(list(script), card)
    server = await asyncio.start_server(scripted_server.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}", model_id=model)
    async with ModelClient(endpoint, first_wait=0.01, read_seconds=0.5) as client:
        yield client, scripted_server
    server.close()
    assert not scripted_server.script, "a reply was never fetched"
    assert not scripted_server.unforeseen, "more was asked than the script foresees"


async def generate(client: Engine, **fields: Any) -> Any:
    return await client.generate("hi", SamplingParams(max_tokens=5), seed=1, **fields)


def test_an_answer_is_read() -> None:
    async def check() -> None:
        async with scripted(reply(ANSWER)) as (client, server):
            made = await generate(client, stop=["END"])
            assert (made.text, made.finish_reason) == ("hello", "stop")
            assert (made.prompt_tokens, made.completion_tokens) == (3, 2)
            assert server.asked == [
                {
                    "model": "m",
                    "prompt": "hi",
                    "temperature": 1.0,
                    "top_p": 1.0,
                    "max_tokens": 5,
                    "seed": 1,
                    "stop": ["END"],
                }
            ]

    asyncio.run(check())


@pytest.mark.parametrize(
    "fault",
    [
        None,
        refusal("busy", 503),
        reply({"error": "slow down"}, 429, {"Retry-After": "0"}),
        reply({"choices": [{"text": "he", "finish_reason": "error"}]}),
        reply({"choices": [{"text": "he", "finish_reason": "abort"}]}),
    ],
)
def test_passing_faults_are_retried(fault: Reply) -> None:
    async def check() -> None:
        async with scripted(fault, fault, reply(ANSWER)) as (client, server):
            assert (await generate(client)).text == "hello"
            assert server.asked[0] == server.asked[2]

    asyncio.run(check())


def test_retry_after_is_obeyed() -> None:
    async def check() -> None:
        slow = reply({}, 429, {"Retry-After": "0.3"})
        async with scripted(slow, reply(ANSWER)) as (client, _):
            started = asyncio.get_running_loop().time()
            await generate(client)
            assert asyncio.get_running_loop().time() - started >= 0.3

    asyncio.run(check())


def test_retries_end() -> None:
    async def check() -> None:
        async with scripted(*[refusal("broken", 500)] * 5) as (client, _):
            with pytest.raises(ServerUnavailableError, match="broken"):
                await generate(client)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (refusal("This model's maximum context length is 9 tokens.", 400), ContextLengthError),
        (
            refusal("max_tokens=900 cannot be greater than max_model_len=512.", 400),
            ContextLengthError,
        ),
        (refusal("temperature must be smaller", 400, "temperature"), RequestRejectedError),
        (refusal("The model `m` does not exist.", 404), UnknownModelError),
        (reply({"error": "Unauthorized"}, 401), RequestRejectedError),
    ],
)
def test_refusals_are_final(fault: Reply, kind: type[Exception]) -> None:
    async def check() -> None:
        async with scripted(fault) as (client, server):
            with pytest.raises(kind) as caught:
                await generate(client)
            assert type(caught.value) is kind
            assert len(server.asked) == 1
            if "temperature" in str(caught.value):
                assert caught.value.param == "temperature"

    asyncio.run(check())


def test_a_stream_is_told_as_it_comes() -> None:
    async def check() -> None:
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        body = events(chunk("hel"), chunk("lo", "stop"), usage)
        async with scripted((200, {}, body)) as (client, server):
            told: list[str] = []
            made = await generate(client, on_text=told.append)
            assert told == ["hel", "lo"]
            assert (made.text, made.completion_tokens) == ("hello", 2)
            assert server.asked[0]["stream_options"] == {"include_usage": True}

    asyncio.run(check())


def test_a_stream_that_breaks_before_any_text_starts_again() -> None:
    async def check() -> None:
        broken = events(chunk(""), done=False)
        whole = events(chunk("hello", "stop"))
        async with scripted((200, {}, broken), (200, {}, whole)) as (client, _):
            told: list[str] = []
            assert (await generate(client, on_text=told.append)).text == "hello"
            assert told == ["hello"]

    asyncio.run(check())


def test_a_stream_that_breaks_after_text_is_an_error() -> None:
    async def check() -> None:
        async with scripted((200, {}, events(chunk("hel"), done=False))) as (client, _):
            told: list[str] = []
            with pytest.raises(ServerUnavailableError):
                await generate(client, on_text=told.append)
            assert told == ["hel"]

    asyncio.run(check())


def test_vllm_is_told_to_leave_the_distribution_alone() -> None:
    async def check() -> None:
        card = {"id": "m", "owned_by": "vllm", "max_model_len": 99}
        async with scripted(reply(ANSWER), card=card) as (client, server):
            await generate(client)
            assert server.asked[0]["top_k"] == -1
            info = await client.info()
            assert (info.engine, info.engine_version) == ("vllm", "1.2")
            assert (info.context_length, info.repeatability) == (99, "statistical")

    asyncio.run(check())


def test_a_model_that_is_not_served() -> None:
    async def check() -> None:
        async with scripted(model="other") as (client, _):
            with pytest.raises(UnknownModelError, match="Served: 'm'"):
                await generate(client)

    asyncio.run(check())


def test_nobody_there() -> None:
    async def check() -> None:
        endpoint = Endpoint(base_url="http://127.0.0.1:9", model_id="m")
        async with ModelClient(endpoint, retries=1, first_wait=0.01) as client:
            with pytest.raises(ServerUnavailableError, match="cannot be reached"):
                await client.info()

    asyncio.run(check())


def test_a_conversation_goes_to_chat() -> None:
    async def check() -> None:
        said = {"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]}
        async with scripted(reply(said)) as (client, server):
            params = SamplingParams(max_tokens=5)
            made = await client.generate((Message("user", "hello"),), params, seed=2)
            assert (made.text, made.finish_reason) == ("hi", "length")
            assert server.asked[0]["messages"] == [{"role": "user", "content": "hello"}]

    asyncio.run(check())


def test_a_server_without_a_version_can_be_used() -> None:
    """Gateways answer what they do not know with a page, or send on to one."""

    async def check(page: Reply) -> None:
        async with scripted(reply(ANSWER)) as (client, server):
            server.version = page
            assert (await generate(client)).text == "hello"
            assert (await client.info()).engine_version == "unknown"

    for page in (
        (200, {"content-type": "text/html"}, b"<html>"),
        (302, {"location": "/login"}, b""),
        refusal("no such route", 404),
    ):
        asyncio.run(check(page))
