"""An instant model server, so that a client's own cost shows.

It does the least that can be asked over HTTP.

Run as `python -m benchmarks._stub PORT_FILE`; it answers each chat or completion at once with the
same text. A process of its own: the client's CPU seconds must not hold the server's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

TEXT = "This is an answer of a stub, about as long as a short critique would be. Not touched."
_USAGE = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}


def _response(body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        + str(len(content)).encode()
        + b"\r\n\r\n"
        + content
    )


def _completion(choice: dict[str, object]) -> bytes:
    choices = [{"index": 0, "finish_reason": "stop", "logprobs": None, **choice}]
    return _response(
        {"id": "x", "created": 0, "model": "stub", "choices": choices, "usage": _USAGE}
    )


_REPLIES = {
    b"/v1/chat/completions": _completion({"message": {"role": "assistant", "content": TEXT}}),
    b"/v1/completions": _completion({"text": TEXT}),
    b"/v1/models": _response({"data": [{"id": "stub", "owned_by": "stub"}]}),
}
_MISSING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"


class Stub(asyncio.Protocol):
    """Answers as soon as a request is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            path = self._held.split(b" ", 2)[1]
            self._held = self._held[end + 4 + length :]
            self._transport.write(_REPLIES.get(path, _MISSING))


async def _serve(port_file: Path) -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
