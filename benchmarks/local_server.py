"""The bundled server beside transformers' own generate, on one model, in turns.

    python benchmarks/local_server.py [--model demo] [--repeats 9] [--tokens 64]

Prints one JSON line: the median ratio of tokens a second (server ÷ generate) at each concurrency,
and the medians of the two sides. Both answer the same prompts with the same number of tokens; the
server's time is that of whole HTTP requests, generate's that of the call alone. The sides take
turns, and the turn to be first, so that a busy machine slows both. On a machine that is busy with
other things the medians of wall time still wander; the ratio of processor seconds beside them
(generate ÷ the server's whole process) does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import fetch_model
from cai_core.inference.server_record import ServerFiles, load_record

THINGS = ("bread", "a cake", "three loaves of rye bread", "a pie with apples and plums")
ENDS = ("", " Say what to avoid.", " Please tell me step by step, and say what to avoid.")


def build_prompts(count: int) -> list[str]:
    """Prompts that differ from the first word on, so that none is another's beginning."""
    return [
        f"{index}. How do I bake {THINGS[index % len(THINGS)]}?{ENDS[index % len(ENDS)]}"
        for index in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement of one side: tokens a second, and the processor seconds it took."""

    speed: float
    cpu: float


def measure(
    concurrencies: Sequence[int] = (16, 64),
    repeats: int = 9,
    max_tokens: int = 64,
    *,
    model: str = "demo",
) -> dict[str, Any]:
    """Measure both sides `repeats` times each, in turns, after one round that does not count.

    Returns:
        The median ratio server ÷ generate of tokens a second under each concurrency as text
        ("16", "64"). By the same keys: medians of tokens a second under
        `server_tokens_per_second` and `generate_tokens_per_second`, and under `cpu_ratio` the
        median of generate's processor seconds ÷ the server's (above 1: the server needs less).
    """
    told: dict[str, Any] = {"model": model, "repeats": repeats, "max_tokens": max_tokens}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(model, Path(folder))
        generate = Generate(fetch_model(model))
        try:
            for count in concurrencies:
                rounds = range(repeats + 1)
                pairs = [measure_pair(server, generate, count, max_tokens, r) for r in rounds][1:]
                told[str(count)], columns = summarise(pairs)
                for column, value in columns.items():
                    told.setdefault(column, {})[str(count)] = value
        finally:
            generate.close()
            server.close()
    return told


def summarise(pairs: Sequence[tuple[Turn, Turn]]) -> tuple[float, dict[str, float]]:
    """The ratio of speeds, and the other columns: medians over the rounds."""
    columns = {
        "server_tokens_per_second": round(statistics.median(a.speed for a, _ in pairs)),
        "generate_tokens_per_second": round(statistics.median(b.speed for _, b in pairs)),
        "cpu_ratio": round(statistics.median(b.cpu / a.cpu for a, b in pairs), 3),
    }
    return round(statistics.median(a.speed / b.speed for a, b in pairs), 3), columns


def measure_pair(
    server: Server, generate: Generate, count: int, tokens: int, round_number: int
) -> tuple[Turn, Turn]:
    """The server and generate, one right after the other; odd rounds begin with the server."""
    if round_number % 2:
        first = server.measure(count, tokens)
        return first, generate.measure(count, tokens)
    other = generate.measure(count, tokens)
    return server.measure(count, tokens), other


class Server:
    """The bundled server in a process of its own, and connections to it that stay open.

    Bare sockets: httpx takes three milliseconds of processor time a request, a tenth of what
    64 requests cost the server, and would be measured along with it.
    """

    def __init__(self, model: str, workspace: Path) -> None:
        self._model, self._workspace = model, workspace
        self._endpoint = ensure_server(model, workspace)
        record = load_record(ServerFiles.of(workspace, model).record)
        assert record is not None
        self._stat = Path(f"/proc/{record.pid}/stat")
        self._runner = asyncio.Runner()
        self._connections: list[Connection] = []

    def measure(self, concurrency: int, tokens: int) -> Turn:
        """As many requests at once."""
        before = self._cpu_seconds()
        speed = self._runner.run(self._ask(concurrency, tokens))
        return Turn(speed, self._cpu_seconds() - before)

    def close(self) -> None:
        """End the process."""
        for connection in self._connections:
            connection.close()
        self._runner.close()
        stop_server(self._model, self._workspace)

    async def _ask(self, concurrency: int, tokens: int) -> float:
        """Tokens a second."""
        while len(self._connections) < concurrency:
            self._connections.append(await Connection.open(self._endpoint))
        shared = {"temperature": 1.0, "ignore_eos": True, "max_tokens": tokens}
        started = time.perf_counter()
        requests = [
            connection.complete({**shared, "prompt": prompt, "seed": seed})
            for seed, (connection, prompt) in enumerate(
                zip(self._connections, build_prompts(concurrency), strict=False)
            )
        ]
        answers = await asyncio.gather(*requests)
        seconds = time.perf_counter() - started
        return sum(answer["usage"]["completion_tokens"] for answer in answers) / seconds

    def _cpu_seconds(self) -> float:
        """Of all its threads; proc(5) counts from the process's name, which may hold blanks."""
        fields = self._stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Connection:
    """One HTTP/1.1 connection, one request at a time."""

    def __init__(
        self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._endpoint, self._reader, self._writer = endpoint, reader, writer

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Connection:
        """Connect."""
        address = urlsplit(endpoint.base_url)
        return cls(endpoint, *await asyncio.open_connection(address.hostname, address.port))

    async def complete(self, fields: dict[str, Any]) -> Any:
        """The answer of `/v1/completions`."""
        body = json.dumps({"model": self._endpoint.model_id, **fields}).encode()
        head = (
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._endpoint.api_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        headers = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(headers.partition("content-length: ")[2].partition("\r\n")[0])
        answer = await self._reader.readexactly(length)
        assert headers.startswith("http/1.1 200"), answer
        return json.loads(answer)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class Generate:
    """transformers.generate in a process of its own, answering one line a question."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, batch: int, tokens: int) -> Turn:
        """One batch."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{batch} {tokens}\n")
        self._process.stdin.flush()
        speed, cpu = map(float, self._process.stdout.readline().split())
        return Turn(speed, cpu)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def work(folder: Path) -> None:
    """The worker: read `batch tokens`, generate, print tokens a second and processor seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cai_core.inference.local_server.main import choose_threads

    torch.set_num_threads(choose_threads())
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    for line in sys.stdin:
        batch, tokens = map(int, line.split())
        read = tokenizer(build_prompts(batch), return_tensors="pt", padding=True)
        started, cpu = time.perf_counter(), time.process_time()
        model.generate(
            input_ids=read["input_ids"],
            attention_mask=read["attention_mask"],
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=True,
            pad_token_id=tokenizer.pad_token_id,
        )
        seconds = time.perf_counter() - started
        print(batch * tokens / seconds, time.process_time() - cpu, flush=True)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--concurrencies", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker)
        return
    told = measure(args.concurrencies, args.repeats, args.tokens, model=args.model)
    print(json.dumps({"benchmark": "local_server", **told}))


if __name__ == "__main__":
    main()
