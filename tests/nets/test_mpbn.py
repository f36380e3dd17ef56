"""The block ``MPBN`` beside a loop over time-steps in PyTorch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import sewdsl


def fire(u: Tensor) -> Tensor:
    """Return 1 for u >= 0, with the gradient of the ATan surrogate of alpha 2."""
    smooth = torch.atan(math.pi * u) / math.pi
    return (u >= 0).to(u) + smooth - smooth.detach()


def fire_with_norm(x: Tensor, norm: nn.BatchNorm2d, decay: float, threshold: float) -> Tensor:
    """Return the spikes of all time-steps, [T, N, C, H, W]."""
    v, spikes = torch.zeros_like(x[0]), []
    for current in x:
        h = norm(decay * v + current)
        spike = fire(h - threshold)
        v = h * (1 - spike)
        spikes.append(spike)
    return torch.stack(spikes)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("call", "decay", "threshold"), [("MPBN", 0.25, 1.0), ("MPBN (decay=0.5, threshold=0.5)", 0.5, 0.5)]
)
def test_potentials_are_normalised_before_the_threshold(
    call: str, decay: float, threshold: float, *, training: bool
) -> None:
    text = f'sewdsl 1\ninput 2x5x5\nsteps 4\nbody c4k3-{call}\nallow norm-in-loop "as in the paper"\n'
    model = sewdsl.compile(text, seed=3).double().train(training)
    norm = nn.BatchNorm2d(4).double().train(training)
    x = torch.randn(4, 3, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = (3 * x).requires_grad_()
    weight = model.get_parameter("conv1.weight")
    bias = model.get_parameter("conv1.bias")
    currents = torch.stack([nn.functional.conv2d(each, weight, bias, padding=1) for each in x])
    expected = fire_with_norm(currents, norm, decay, threshold)
    spikes = model(x, return_sequence=True)
    assert 0.05 < expected.mean() < 0.95
    torch.testing.assert_close(spikes, expected)
    factor = torch.randn(spikes.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    one, two = (torch.autograd.grad((each * factor).sum(), (x, weight)) for each in (spikes, expected))
    torch.testing.assert_close(one, two)
