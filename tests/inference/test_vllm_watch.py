"""Reading vLLM's counters; the text is that of vLLM 0.32."""

from __future__ import annotations

from cai_core.inference.vllm_watch import parse_metrics

TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 2.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 2.0
vllm:prompt_tokens_created{engine="0",model_name="tiny"} 1.7955967604496412e+09
vllm:generation_tokens_total{engine="0",model_name="tiny"} 1e+06
vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 4.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"} 1.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="tiny"} 1.0
vllm:request_success_created{engine="0",finished_reason="stop",model_name="tiny"} 1.7e+09
process_cpu_seconds_total 9.38
"""


def test_counters_are_read_and_added_up() -> None:
    metrics = parse_metrics(TEXT)
    assert (metrics.busy, metrics.finished) == (3, 6)
    assert metrics.progress == (2.0, 1e6, 0.25, 2.0)
    second = TEXT + TEXT.replace('engine="0"', 'engine="1"')
    assert (parse_metrics(second).busy, parse_metrics(second).finished) == (6, 12)


def test_a_token_more_is_progress_and_a_canary_that_gave_up_is_none() -> None:
    def progress(old: str, new: str) -> bool:
        assert old in TEXT
        return parse_metrics(TEXT.replace(old, new)).progress != parse_metrics(TEXT).progress

    assert progress("1e+06", "1000001.0")
    assert progress('perc{engine="0",model_name="tiny"} 0.25', 'perc{engine="0"} 0.5')
    assert not progress('"abort",model_name="tiny"} 1.0', '"abort",model_name="tiny"} 2.0')
    assert not progress("9.38", "10.1")


def test_nothing_known_is_nothing_going_on() -> None:
    assert parse_metrics("").busy == parse_metrics("").finished == 0
