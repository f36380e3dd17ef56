"""Non-temporal stores of large values: equal to the results in smaller pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ops.equation_neurons import equation_kind
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.equations import Equations
from sewdsl.snn.join import Join, PendingJoin
from sewdsl.snn.kernels.convolution.event_convolution import EventConvolution
from sewdsl.snn.kernels.templates.variant import STREAMED_BYTES
from sewdsl.snn.neuron import Neuron
from tests.snn.kernels.cases import current, make
from tests.snn.kernels.test_joining import JOINS

T, SAMPLES, CHANNELS, SIZE = 2, 2, 8, 512


def sequence(dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Return a sequence of the required size, in channels-last format. A single sample has no such format."""
    width = SIZE * 4 // dtype.itemsize
    x_TN = current(T * SAMPLES, CHANNELS, SIZE, width, dtype=dtype, seed=seed)
    x_TN = x_TN.contiguous(memory_format=torch.channels_last).view(T, SAMPLES, CHANNELS, SIZE, width)
    assert x_TN[:, :1].nbytes < STREAMED_BYTES <= x_TN.nbytes
    return x_TN


def assert_the_same_by_samples(run: Callable[..., Tensor], *given: Tensor) -> None:
    """Check that results and gradients of a batch and of single samples are bit-identical."""

    def outcome(*given: Tensor) -> list[Tensor]:
        given = tuple(x_TN.detach().requires_grad_() for x_TN in given)
        y_TN = run(*given)
        torch.autograd.backward(y_TN, given[0].detach())
        gradients = [x_TN.grad for x_TN in given]
        assert all(gradient is not None for gradient in gradients)
        return [y_TN.detach(), *(gradient for gradient in gradients if gradient is not None)]

    whole = outcome(*given)
    for sample in range(SAMPLES):
        for all_of_it, one in zip(whole, outcome(*(x_TN[:, sample : sample + 1] for x_TN in given)), strict=True):
            assert torch.equal(all_of_it[:, sample : sample + 1], one)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.deep)])
def test_neurons(dtype: torch.dtype) -> None:
    assert_the_same_by_samples(Neuron(make("LIF")), sequence(dtype))


def test_neurons_of_equations() -> None:
    kind = equation_kind(shipped_neurons()["CUBA"])
    assert_the_same_by_samples(Equations(kind.model_validate({}), CHANNELS, T), sequence())


def test_a_batch_norm_neurons_and_a_join() -> None:
    norm, neuron, join = BatchNorm(CHANNELS).eval(), Neuron(make("LIF")), Join(JOINS["AND"])

    def run(x_TN: Tensor, other_TN: Tensor) -> Tensor:
        return neuron.normalised(x_TN, norm, PendingJoin(join, other_TN, True))  # noqa: FBT003 -- whose branch it is

    assert_the_same_by_samples(run, sequence(), sequence(seed=1))


def test_a_convolution_by_events() -> None:
    x = (sequence().flatten(0, 1) > 3).float()
    weight = torch.randn(8, CHANNELS, 3, 3, generator=torch.Generator().manual_seed(2))
    events = EventConvolution.of(ConvWindow((3, 3), (1, 1), (1, 1), (1, 1), 1), x, weight, counts=False)
    assert events is not None
    y, *ones = (events.computed(part, weight, None) for part in (x, x[:SAMPLES], x[SAMPLES:]))
    assert y is not None
    assert torch.equal(y, torch.cat([one for one in ones if one is not None]))
