"""`/metrics`: Prometheus text, for anybody who asks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx

from cai_core.inference.engine import Endpoint
from tests.contract.calls import complete

NAMES = (
    "num_requests_running",
    "num_requests_waiting",
    "prompt_tokens_total",
    "generation_tokens_total",
)


def read_metrics(endpoint: Endpoint) -> dict[str, float]:
    """The four of them, asked without a key."""
    response = httpx.get(f"{endpoint.base_url}/metrics", trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for name in NAMES:
        labels = rf'{{engine="0",model_name="{re.escape(endpoint.model_id)}"}}'
        (value,) = re.findall(rf"^vllm:{name}{labels} (\S+)$", response.text, re.MULTILINE)
        found[name] = float(value)
        kind = "counter" if name.endswith("_total") else "gauge"
        assert f"# TYPE vllm:{name} {kind}" in response.text.splitlines()
        assert f"# HELP vllm:{name} " in response.text
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_tokens_are_counted_for_each_choice(http: httpx.Client, endpoint: Endpoint) -> None:
    before = read_metrics(endpoint)
    usage = complete(http, endpoint, n=3, seed=1, max_tokens=7, ignore_eos=True)["usage"]

    def counted() -> bool:
        now = read_metrics(endpoint)
        read, made = (
            now[name] - before[name] for name in ("prompt_tokens_total", "generation_tokens_total")
        )
        return (read, made) == (3 * usage["prompt_tokens"], usage["completion_tokens"])

    assert wait_until(counted)


def test_running_requests_are_told_and_forgotten(http: httpx.Client, endpoint: Endpoint) -> None:
    def hang_up_later() -> None:
        with suppress(httpx.ReadTimeout):
            body = {"model": endpoint.model_id, "prompt": "How", "n": 40, "max_tokens": 500}
            http.post("/v1/completions", json={**body, "ignore_eos": True}, timeout=2.0)

    asker = threading.Thread(target=hang_up_later)
    asker.start()
    most = 0.0

    def ran() -> bool:
        nonlocal most
        most = max(most, read_metrics(endpoint)["num_requests_running"])
        return most == 40

    assert wait_until(ran), f"at most {most} ran"
    asker.join()

    def idle() -> bool:
        now = read_metrics(endpoint)
        return now["num_requests_running"] + now["num_requests_waiting"] == 0

    assert wait_until(idle)
