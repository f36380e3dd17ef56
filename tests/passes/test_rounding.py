"""Effects of the last digits of a sum, as docs/rounding.md describes them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.write import python, spikingjelly
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.network import Network
from sewdsl.passes import plan

SEEDS = range(16)
WAYS = ("level 1", "level 0", "level 2", "python", "spikingjelly")
"""The default first, which the others are compared with."""


class Step(NamedTuple):
    """Results of a forward and a backward pass: the output, and the gradients of all weights."""

    y: Tensor
    gradients: Tensor


@pytest.fixture(autouse=True, params=[1, 1 << 20], ids=["large", "small"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", request.param)


def steps(network: Network, weights: dict[str, Tensor], x: Tensor) -> dict[str, Step]:
    """Return the results at each level and in both kinds of exported files, in float64."""
    found = {}
    for way in WAYS:
        model: nn.Module
        if way.startswith("level"):
            model = sewdsl.compile(network, optimize=int(way[-1]))
        else:
            model = module_from_source({"python": python, "spikingjelly": spikingjelly}[way].source(network))
        model.double().load_state_dict(weights)
        y = model.train()(x)
        y.square().sum().backward()
        gradients = [weight.grad.flatten() for _, weight in sorted(model.named_parameters()) if weight.grad is not None]
        found[way] = Step(y.detach(), torch.cat(gradients))
    return found


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-9, atol=1e-11)


def equal_maxima(seed: int, lifted: float = 0.0) -> dict[str, Step]:
    """Two places of a map that see the same numbers in another order, under one window of a max pooling.

    Both columns of the image are equal, and so are both outer columns of the kernel.
    """
    random = torch.Generator().manual_seed(seed)
    network = sewdsl.load("c4k3b0-MPk2-FC3", input="8x2x2", steps=1)
    weights = sewdsl.compile(network, seed=seed).double().state_dict()
    weights["conv1.weight"] = torch.randn(4, 8, 3, 3, dtype=torch.float64, generator=random)
    weights["conv1.weight"][..., 2] = weights["conv1.weight"][..., 0] + lifted
    column = torch.randn(1, 2, 8, 2, 1, dtype=torch.float64, generator=random)
    return steps(network, weights, column.expand(1, 2, 8, 2, 2).contiguous())


def equal_values(seed: int, noise: float = 0.0) -> dict[str, Step]:
    """A batch norm over plain images that are all alike: what it normalises is equal everywhere."""
    random = torch.Generator().manual_seed(seed)
    network = sewdsl.load("c4k1-BN-ReLU-GAP-FC3", input="2x3x3", steps=3, set={"encode": "direct", "neuron": "ReLU"})
    weights = sewdsl.compile(network, seed=seed).double().state_dict()
    x = torch.rand(1, 2, 1, 1, dtype=torch.float64, generator=random).expand(5, 2, 3, 3)
    return steps(network, weights, x + noise * torch.rand(5, 2, 3, 3, dtype=torch.float64, generator=random))


def test_a_maximum_among_equals_sends_its_gradient_elsewhere() -> None:
    """Their sums round differently, in another order at each level; the output does not show it."""
    elsewhere = set()
    for seed in SEEDS:
        (_, first), *others = equal_maxima(seed).items()
        for way, other in others:
            assert close(other.y, first.y)
            if not torch.allclose(other.gradients, first.gradients, rtol=0.01, atol=0.01):
                elsewhere.add(way)
    assert {"level 0", "python", "spikingjelly"} <= elsewhere


def test_maxima_that_are_not_equal_do_not() -> None:
    for seed in SEEDS[:5]:
        (_, first), *others = equal_maxima(seed, lifted=1e-3).items()
        assert all(close(other.y, first.y) and close(other.gradients, first.gradients) for _, other in others)


def test_a_batch_norm_over_equal_values_lets_a_relu_pass_a_gradient_or_not() -> None:
    """Batch norm divides the rounding errors of equal values, whose signs are arbitrary."""
    elsewhere = set()
    for seed in SEEDS:
        (_, first), *others = equal_values(seed).items()
        for way, other in others:
            torch.testing.assert_close(other.y, first.y, rtol=1e-9, atol=1e-9)
            if not torch.allclose(other.gradients, first.gradients, rtol=0.01, atol=0.01):
                elsewhere.add(way)
    assert {"level 0", "python", "spikingjelly"} <= elsewhere


def test_one_over_other_values_does_not() -> None:
    for seed in SEEDS[:5]:
        (_, first), *others = equal_values(seed, noise=0.1).items()
        assert all(close(other.y, first.y) and close(other.gradients, first.gradients) for _, other in others)


def test_of_maxima_that_are_the_same_number_the_first_has_the_gradient() -> None:
    """Spikes and counts are: nothing is rounded, so the window is read in one order everywhere."""
    network = sewdsl.load("c4k3b0-BN-IF(v_threshold=0.3)-SEW Block-MPk3s2p1-c4k3b0-FC3", input="2x8x8", steps=3)
    x = (torch.rand(3, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    (_, first), *others = steps(network, sewdsl.compile(network, seed=1).double().state_dict(), x).items()
    assert first.gradients.count_nonzero() > 100
    assert all(close(other.y, first.y) and close(other.gradients, first.gradients) for _, other in others)
