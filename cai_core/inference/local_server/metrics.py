"""`/metrics`: what the engine knows of itself, under vLLM's names."""

from __future__ import annotations

MEDIA_TYPE = "text/plain; version=0.0.4"


def render_metrics(model_id: str, load: tuple[int, int], tokens: tuple[int, int]) -> str:
    """Prometheus text (exposition format 0.0.4).

    Args:
        load: sequences that run, and that wait.
        tokens: prompt tokens read, and tokens generated, since the start.
    """
    escaped = model_id.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    labels = f'{{engine="0",model_name="{escaped}"}}'
    lines: list[str] = []
    for (name, kind, told), value in zip(_METRICS, (*load, *tokens), strict=True):
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", f"{name}{labels} {value:.1f}"]
    return "\n".join(lines) + "\n"


_METRICS = (
    (
        "vllm:num_requests_running",
        "gauge",
        "Number of requests in model execution batches.",
    ),
    ("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed."),
    ("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed."),
    ("vllm:generation_tokens_total", "counter", "Number of generation tokens processed."),
)
