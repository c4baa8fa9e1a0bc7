"""Requests that many contract tests make."""

from __future__ import annotations

import json
from typing import Any

import httpx

from cai_core.inference.engine import Endpoint

CHAT = [{"role": "user", "content": "How do I bake bread?"}]


def complete(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> dict[str, Any]:
    body = {"model": endpoint.model_id, "prompt": "How do I", **fields}
    response = http.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def chat(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> dict[str, Any]:
    body = {"model": endpoint.model_id, "messages": CHAT, "max_tokens": 12, **fields}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def tokenize(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> list[int]:
    response = http.post("/tokenize", json={"model": endpoint.model_id, **fields})
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["count"] == len(told["tokens"])
    return told["tokens"]


def read_stream(http: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a stream; it must end in [DONE]."""
    with http.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        payloads = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert payloads[-1] == "[DONE]"
    return [json.loads(payload) for payload in payloads[:-1]]


def refused(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The error of a refusal, its shape checked."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == status
    assert error["message"]
    return error
