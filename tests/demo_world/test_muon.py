"""Muon in fp32 against torch's own, which computes in bfloat16."""

import pytest
import torch

from cai_core.demo_world.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(32, 32), (24, 48), (48, 24)])
def test_it_takes_the_steps_of_torchs_muon(shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in "ab")
    optimizers = (
        Muon([ours], lr=0.01, weight_decay=0.05),
        torch.optim.Muon([theirs], lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator)
        for matrix, optimizer in zip((ours, theirs), optimizers, strict=True):
            matrix.grad = gradient.clone()
            optimizer.step()
    moved = (ours - start).abs().mean().item()
    # bfloat16 has eight bits: the two agree to about a hundredth of what they moved.
    assert (ours - theirs).abs().mean().item() < 0.03 * moved


def test_singular_values_come_out_near_one():
    generator = torch.Generator().manual_seed(1)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 16, 40, generator=generator)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_matrices_of_one_shape_do_not_disturb_each_other():
    generator = torch.Generator().manual_seed(2)
    stack = torch.randn(4, 16, 16, generator=generator)
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in stack])
    assert torch.allclose(orthogonalise(stack), alone, atol=1e-5)
