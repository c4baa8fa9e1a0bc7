"""The bundled server beside transformers' own generate, on one model, in turns.

    python benchmarks/local_server.py [--model demo] [--rounds 5] [--tokens 96]

Prints one JSON line: median tokens a second at each concurrency, and the ratio of the two. The
sides alternate within each round, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import fetch_model

CONCURRENCY = (1, 16, 64)
PROMPT = "How do I bake bread? Please tell me step by step, and say what to avoid."


async def measure_server(endpoint: Endpoint, concurrency: int, tokens: int) -> float:
    """Tokens a second of `concurrency` requests at once."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    body = {"model": endpoint.model_id, "prompt": PROMPT, "max_tokens": tokens}
    body |= {"temperature": 1.0, "ignore_eos": True}
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(
        base_url=endpoint.base_url, headers=headers, timeout=600, trust_env=False, limits=limits
    ) as http:
        started = time.perf_counter()
        requests = [
            http.post("/v1/completions", json={**body, "seed": seed}) for seed in range(concurrency)
        ]
        answers = await asyncio.gather(*requests)
        seconds = time.perf_counter() - started
    made = sum(answer.raise_for_status().json()["usage"]["completion_tokens"] for answer in answers)
    return made / seconds


class Generate:
    """transformers.generate in a process of its own, answering one line a question."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, batch: int, tokens: int) -> float:
        """Tokens a second of one batch."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{batch} {tokens}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def work(folder: Path) -> None:
    """The worker: read `batch tokens`, generate, print tokens a second."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cai_core.inference.local_server.main import choose_threads

    torch.set_num_threads(choose_threads())
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(folder)(PROMPT, return_tensors="pt")["input_ids"]
    for line in sys.stdin:
        batch, tokens = map(int, line.split())
        started = time.perf_counter()
        model.generate(
            ids.repeat(batch, 1),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=True,
            pad_token_id=0,
        )
        print(batch * tokens / (time.perf_counter() - started), flush=True)


def run(model: str, rounds: int, tokens: int) -> dict[str, Any]:
    """Medians of `rounds` alternated measurements after one that is thrown away."""
    with tempfile.TemporaryDirectory() as workspace:
        endpoint = ensure_server(model, Path(workspace))
        generate = Generate(fetch_model(model))
        try:
            result: dict[str, Any] = {"benchmark": "local_server", "model": model}
            for concurrency in CONCURRENCY:
                pairs = [
                    (
                        asyncio.run(measure_server(endpoint, concurrency, tokens)),
                        generate.measure(concurrency, tokens),
                    )
                    for _ in range(rounds + 1)
                ][1:]
                server, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
                result[f"c{concurrency}"] = {
                    "server_tok_s": round(server),
                    "generate_tok_s": round(plain),
                    "ratio": round(statistics.median(a / b for a, b in pairs), 2),
                }
        finally:
            generate.close()
            stop_server(model, Path(workspace))
    return result


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker)
    else:
        print(json.dumps(run(args.model, args.rounds, args.tokens)))


if __name__ == "__main__":
    main()
