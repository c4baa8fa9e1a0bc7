"""Soft preference labels in a loss: how probable it is that the chosen response is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import logsigmoid

PROB = "prob"


def compute_soft_loss(margins: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
    """Cross-entropy between labels and σ(margin), nats a pair: −[p·log σ(Δ) + (1−p)·log σ(−Δ)].

    Of RLAIF (arXiv 2309.00267, section 2.2). At p = 1 it is −log σ(Δ), Bradley and Terry's.

    Args:
        margins: [n], reward of the chosen response less that of the rejected one.
        probs: [n], in [0, 1].

    Returns:
        The mean, a scalar.
    """
    probs = probs.to(margins.dtype)
    return -(probs * logsigmoid(margins) + (1 - probs) * logsigmoid(-margins)).mean()


def compute_soft_extra(margins: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
    """What soft labels add to −log σ(Δ): (1−p)·Δ, since log σ(−Δ) = log σ(Δ) − Δ.

    Args:
        margins, probs: as of `compute_soft_loss`.

    Returns:
        The mean, a scalar; 0 at p = 1.
    """
    return ((1 - probs.to(margins.dtype)) * margins).mean()


def add_probs(batch: dict[str, Any], examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The collated batch with the examples' probabilities [n] in it."""
    probs = torch.tensor([example[PROB] for example in examples], dtype=torch.float32)
    return {**batch, PROB: probs}
