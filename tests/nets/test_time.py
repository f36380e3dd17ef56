"""Networks of kinds that know time: a training step is the same with passes and without, for their own structure."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.lower import SpikingNetwork
from tests.exchange.narrow import narrow
from tests.words import raises

SMALL = {
    "masnn-dvs-gesture": ("2x16x16", 10),
    "att-ms-resnet-18": ("3x32x32", 2),
    "tcja-net": ("2x32x32", 4),
    "tebn-resnet-19": ("3x16x16", 3),
    "psn-resnet-19": ("3x16x16", 3),
}
"""Fewer places, time-steps and channels will do."""
SAMPLES = 2


def step(model: SpikingNetwork, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output and the gradients of a training step."""
    torch.manual_seed(0)  # of dropout
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return y.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", SMALL)
def test_a_training_step_is_the_same_with_passes_and_without(name: str) -> None:
    size, steps = SMALL[name]
    network = narrow(sewdsl.load(name, input=size, steps=steps))
    plain, passed = (sewdsl.compile(network, seed=0, optimize=level).double() for level in (0, 1))
    settings = plain.network.settings
    shape = (SAMPLES, *settings.input) if settings.encode == "direct" else (steps, SAMPLES, *settings.input)
    x = 2 * torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (expected, wanted), (y, found) = step(plain, x), step(passed, x)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    assert found.keys() == wanted.keys()
    assert len(wanted) == len(list(plain.parameters()))
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    assert largest > 0
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-8, atol=1e-9 * largest, msg=key)


@pytest.mark.parametrize(
    ("name", "kind"), [("tcja-net", "TCJA"), ("masnn-dvs-gesture", "TA"), ("psn-resnet-19", "PSN")]
)
def test_what_reads_whole_sequences_does_not_stream(name: str, kind: str) -> None:
    size, steps = SMALL[name]
    model = sewdsl.compile(name, input=size, steps=steps, seed=0).eval()
    with raises(ValueError):
        model.stream()


def test_what_reads_the_past_streams_up_to_rounding() -> None:
    name = "psn-resnet-19"
    size, steps = SMALL[name]
    model = sewdsl.compile(name, input=size, steps=steps, neuron="SlidingPSN(order=2)", seed=0).double()
    x = 3 * torch.rand(steps, SAMPLES, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model(x)
    stream, state = model.eval().stream(), None
    for expected, x_N in zip(model(x, return_sequence=True), x, strict=True):
        y_N, state = stream(x_N, state)
        torch.testing.assert_close(y_N, expected, rtol=1e-12, atol=1e-12)
