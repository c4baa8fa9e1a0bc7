"""Reading a server's counters: vLLM's names in Prometheus's text format. Pure."""

from __future__ import annotations

import re

_SAMPLE = re.compile(r"^vllm:(\w+)(?:\{[^}]*\})? ([-+.\deE]+|NaN)\s*$", re.MULTILINE)


def sum_metrics(text: str) -> dict[str, float]:
    """vLLM's gauges and counters by name without `vllm:`, summed over labels (engines, models)."""
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums
