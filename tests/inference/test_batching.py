"""The engine itself, on architectures that differ from the server's contract tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from cai_core.errors import ModelError
from cai_core.inference.local_server.batching import BatchingEngine
from cai_core.inference.local_server.loading import (
    LoadedModel,
    check_architecture,
    compute_context_length,
    load_model,
)
from cai_core.inference.local_server.sequences import Delta, Sampling, Sequence
from cai_core.inference.local_server.text_stream import Detokenizer
from tests.inference import tiny_models


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    save = getattr(tiny_models, f"save_{request.param}")
    return load_model(save(tmp_path_factory.mktemp("models") / request.param))


class Runner:
    """An engine, and who waits for its answers."""

    def __init__(self, model: LoadedModel, max_rows: int = 64) -> None:
        self.model = model
        self.engine = BatchingEngine(model, lambda told: [s(d) for s, d in told], max_rows=max_rows)
        self.engine.start()

    def run(self, prompts: list[list[int]], samplings: list[Sampling]) -> list[Delta]:
        answers: dict[int, Delta] = {}
        done = threading.Event()

        def sink(delta: Delta) -> None:
            answers[delta.choice] = delta
            if len(answers) == len(prompts):
                done.set()

        self.engine.submit(
            Sequence(prompt, sampling, sink, Detokenizer(self.model.decode, prompt), choice=index)
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        )
        assert done.wait(60), f"{len(answers)} of {len(prompts)} answers came"
        return [answers[index] for index in range(len(prompts))]


@pytest.fixture
def runner(loaded: LoadedModel) -> Iterator[Runner]:
    made = Runner(loaded)
    yield made
    made.engine.stop()


def build_prompts(count: int) -> list[list[int]]:
    return [[6 + (7 * i + j) % 250 for j in range(3 + 5 * (i % 9))] for i in range(count)]


def test_greedy_equals_generate(runner: Runner) -> None:
    prompts = build_prompts(5)
    told = runner.run(prompts, [Sampling(max_tokens=20, temperature=0.0)] * 5)
    for prompt, delta in zip(prompts, told, strict=True):
        made = runner.model.model.generate(
            torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=0
        )[0, len(prompt) :].tolist()
        stream = Detokenizer(runner.model.decode, prompt)
        expected = "".join(map(stream.push, made)) + stream.flush()
        assert delta.text == expected
        assert delta.tokens == len(made)


def test_a_full_batch_changes_nothing(runner: Runner) -> None:
    prompts = build_prompts(12)
    samplings = [Sampling(max_tokens=5 + 4 * (i % 6), seed=i, logprobs=2) for i in range(12)]
    together = runner.run(prompts, samplings)
    for index in (0, 5, 11):
        (alone,) = runner.run([prompts[index]], [samplings[index]])
        assert replace(together[index], choice=0) == alone


def test_more_than_fit_wait_their_turn(loaded: LoadedModel) -> None:
    runner = Runner(loaded, max_rows=2)
    samplings = [Sampling(max_tokens=4, seed=i, ignore_eos=True) for i in range(7)]
    assert [delta.tokens for delta in runner.run(build_prompts(7), samplings)] == [4] * 7
    runner.engine.stop()


def test_a_failed_step_tells_its_askers_and_the_engine_goes_on(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(loaded)
    sampling = [Sampling(max_tokens=4, ignore_eos=True)]
    # Token ids past the vocabulary cannot be looked up; the routes refuse them beforehand.
    (failed,) = runner.run([[10**6]], sampling)
    assert failed.finish_reason == "error"
    (fine,) = runner.run([[7, 8]], sampling)
    assert fine.finish_reason == "length"
    runner.engine.stop()


def test_other_layers_are_refused_and_windows_bound_the_context() -> None:
    config = LlamaConfig(max_position_embeddings=4096)
    config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelError, match="linear_attention"):
        check_architecture(config, Path("model"))
    config.layer_types = ["sliding_attention", "full_attention"]
    config.sliding_window = 512
    assert compute_context_length(config) == 512
