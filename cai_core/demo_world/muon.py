"""Muon in fp32: the optimizer of the demo model's weight matrices.

`torch.optim.Muon` orthogonalises in bfloat16. On a processor without bfloat16 instructions that
took 2.2 s of a training step of 4.1 s; in fp32, matrices of one shape at a time, it takes 0.1 s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Quintic Newton–Schulz coefficients, momentum and number of steps of
# https://kellerjordan.github.io/posts/muon/, as torch.optim.Muon has them.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.95
NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon` with Nesterov momentum and `match_rms_adamw`, computed in fp32."""

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for matrices in by_shape.values():
                self._update(matrices, group)

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        directions = orthogonalise(torch.stack([self._momentum(m) for m in matrices]))
        # Updates as large as AdamW's usually are: arXiv 2502.16982, section 2.2.
        rate = group["lr"] * 0.2 * max(matrices[0].shape) ** 0.5
        for matrix, direction in zip(matrices, directions, strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(direction, alpha=-rate)

    def _momentum(self, matrix: Tensor) -> Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        average = state.setdefault("momentum_buffer", torch.zeros_like(matrix))
        average.lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(average, MOMENTUM)


def orthogonalise(stack: Tensor) -> Tensor:
    """Matrices [n, rows, columns] with their singular values moved to about 1 (0.7 to 1.2)."""
    a, b, c = COEFFICIENTS
    tall = stack.shape[1] > stack.shape[2]
    x: Tensor = stack.mT if tall else stack
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
