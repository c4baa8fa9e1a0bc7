"""The text of `/metrics`."""

from __future__ import annotations

from cai_core.inference.local_server.metrics import render_metrics


def test_numbers_stand_under_their_names() -> None:
    lines = render_metrics("demo", (1, 2), (30, 4_000_000_000)).splitlines()
    labels = '{engine="0",model_name="demo"}'
    assert [line for line in lines if not line.startswith("#")] == [
        f"vllm:num_requests_running{labels} 1.0",
        f"vllm:num_requests_waiting{labels} 2.0",
        f"vllm:prompt_tokens_total{labels} 30.0",
        f"vllm:generation_tokens_total{labels} 4000000000.0",
    ]
    assert sum(line.startswith("# TYPE ") for line in lines) == 4


def test_names_are_escaped() -> None:
    text = render_metrics('C:\\models\\"one"\n', (0, 0), (0, 0))
    assert 'model_name="C:\\\\models\\\\\\"one\\"\\n"}' in text
    assert len(text.splitlines()) == 12
