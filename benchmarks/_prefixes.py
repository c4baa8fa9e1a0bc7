"""How much of what could come from a prefix cache did: vLLM's own counters against a count here."""

from __future__ import annotations

import re
from collections.abc import Sequence

import httpx

from benchmarks._loops import Request
from cai_core.inference.engine import Endpoint


def read_hits(endpoint: Endpoint) -> float:
    """Prompt tokens that vLLM's cache has given so far."""
    return _sum("prefix_cache_hits_total", _metrics(endpoint))


def read_block_size(endpoint: Endpoint) -> int:
    """Tokens of a cache block: a prefix is shared in whole blocks only."""
    found = re.search(r'vllm:cache_config_info\{[^}]*block_size="(\d+)"', _metrics(endpoint))
    if found is None:
        raise RuntimeError("vLLM does not tell its block size")
    return int(found[1])


def count_shareable(endpoint: Endpoint, requests: Sequence[Request], block: int) -> int:
    """Prompt tokens in whole blocks that an earlier request's prompt began with, too.

    At least the last token of a prompt is always computed, so a block that ends a prompt is none.
    """
    seen: set[tuple[int, ...]] = set()
    shareable = 0
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    with httpx.Client(base_url=endpoint.base_url, headers=headers, trust_env=False) as http:
        for request in requests:
            asked = {key: request.body[key] for key in ("model", "messages")}
            answer = http.post("/tokenize", json=asked, timeout=60)
            tokens = answer.raise_for_status().json()["tokens"]
            ends = range(block, len(tokens), block)
            prefixes = [tuple(tokens[:end]) for end in ends]
            shareable += block * sum(prefix in seen for prefix in prefixes)
            seen.update(prefixes)
    return shareable


def _metrics(endpoint: Endpoint) -> str:
    return httpx.get(f"{endpoint.base_url}/metrics", trust_env=False, timeout=30).text


def _sum(name: str, text: str) -> float:
    pattern = rf"^vllm:{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)\s*$"
    return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))
