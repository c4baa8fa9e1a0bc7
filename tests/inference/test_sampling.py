"""Choosing tokens."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from cai_core.inference.local_server.sampling import (
    BatchSampler,
    compute_logprobs,
    keep_nucleus,
    make_generator,
)

CPU = torch.device("cpu")


def test_draws_follow_the_distribution() -> None:
    wanted = torch.tensor([0.5, 0.3, 0.15, 0.05])
    count = 20_000
    generator = random.Random(0)
    uniforms = [generator.random() for _ in range(count)]
    sampler = BatchSampler([1.0] * count, [1.0] * count, CPU)
    drawn = Counter(sampler.choose(wanted.log().expand(count, -1), uniforms).tolist())
    for token, probability in enumerate(wanted.tolist()):
        assert drawn[token] / count == pytest.approx(probability, abs=0.015)


def test_temperature_sharpens() -> None:
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # At T = 1 token 0 has mass 0.73, at T = 0.1 nearly 1.
    assert BatchSampler([1.0, 0.1], [1.0, 1.0], CPU).choose(logits, [0.9, 0.9]).tolist() == [1, 0]


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf")]])
    for uniform in (0.0, 0.5, 1 - 2**-53):
        assert BatchSampler([1.0], [1.0], CPU).choose(logits, [uniform]).tolist() == [1]


def test_nucleus_keeps_the_smallest_set() -> None:
    probs = torch.tensor([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.1, 0.5, 0.4]])
    kept = keep_nucleus(probs, torch.tensor([[0.5], [0.6], [1.0]]))
    assert [(row > 0).tolist() for row in kept] == [
        [False, True, False],
        [False, True, True],
        [True, True, True],
    ]


def test_a_row_does_not_depend_on_its_place() -> None:
    logits = torch.randn(8, 50, generator=torch.Generator().manual_seed(0))
    uniforms = [0.07 + 0.1 * row for row in range(8)]
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    sampler = BatchSampler([0.8] * 8, [0.9] * 8, CPU)
    chosen = sampler.choose(logits, uniforms)
    moved = sampler.choose(logits[order], [uniforms[row] for row in order])
    assert moved.tolist() == chosen[order].tolist()


def test_generators_differ_by_seed_and_choice() -> None:
    seeds = [(1, 0), (1, 1), (2, 0), (1 + 2**32, 0), (-1, 0)]
    assert len({make_generator(*seed).random() for seed in seeds}) == len(seeds)
    assert make_generator(5, 2).random() == make_generator(5, 2).random()


def test_logprobs_are_raw_and_ordered() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    (entry,) = compute_logprobs(logits, torch.tensor([2]), [2])
    table = torch.log_softmax(logits[0], -1).tolist()
    assert entry.logprob == pytest.approx(table[2])
    assert [token for token, _ in entry.others] == [1, 2]


def test_rows_are_told_what_each_wants() -> None:
    logits = torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
    wanted = [3, (7, 2, 7), 0, (29,)]
    told = compute_logprobs(logits, torch.tensor([1, 2, 3, 4]), wanted)
    table = torch.log_softmax(logits, -1)
    assert [len(entry.others) for entry in told] == [3, 3, 0, 1]
    assert told[1].others == tuple((token, table[1, token].item()) for token in (7, 2, 7))
    for row, want in enumerate(wanted):
        # Whatever the neighbours want, to the last bit.
        (alone,) = compute_logprobs(logits[row : row + 1], torch.tensor([row + 1]), [want])
        assert told[row] == alone
