"""Kinds that know time and SpikingJelly's own, weights converted, in float64; of TCJA, the paper's equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.weights import to_node_paths
from sewdsl.exchange.weights.schemes import Scheme
from sewdsl.exchange.weights.sequence_reader import ATTENTION, LayerKeys, standard_keys
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sewdsl.lower import SpikingNetwork

T, N, C = 6, 3, 4
SHAPE = (C, 5, 7)
MASKS = {"_lambda_", "mask0", "mask1"}
"""What SpikingJelly's masked neuron keeps next to its weights: its mask, and how far it is drawn."""


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """SpikingJelly's modules draw their weights when they are made; of these, each has a gradient."""
    torch.manual_seed(5)


def ours(body: str, *, size: str = "4x5x7") -> SpikingNetwork:
    """The module of a network's only layer."""
    return sewdsl.compile(body, input=size, steps=T, seed=0).double()


def sequence(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(T, N, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class OwnModules(Scheme):
    """Layers as modules of SpikingJelly name their weights; attention as parts of ``MultiDimensionalAttention``."""

    name = "modules"

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        for node in network:
            yield standard_keys(network, node, ATTENTION.get(type(node.op), ""))


def by_our_keys(theirs: nn.Module, mine: SpikingNetwork, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a module of SpikingJelly, by the keys of our network of one layer, or of attention in three."""
    before = ATTENTION.get(type(mine.network.nodes[1].op), "")
    parts = isinstance(theirs, layer.MultiDimensionalAttention)
    named = {key if parts else f"{before}.{key}": x for key, x in found.items() if key not in MASKS}
    return to_node_paths(named, mine.network, OwnModules())[0]


def carry(theirs: nn.Module, mine: SpikingNetwork) -> None:
    """Scale the weights so that they matter, and convert them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    mine.load_state_dict(by_our_keys(theirs, mine, theirs.state_dict()))


def compare(theirs: nn.Module, mine: SpikingNetwork, x: Tensor, *, exact: bool = False) -> Tensor:
    """Outputs and gradients of the input and of all parameters; what both give."""
    found = []
    for model, options in ((theirs, {}), (mine, {"return_sequence": True})):
        shown = x.clone().requires_grad_()
        y = model(shown, **options)
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
        (y * weights).sum().backward()
        found.append((y.detach(), shown.grad))
    (expected, gradient), (y, own) = found
    if exact:
        assert torch.equal(y, expected)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(own, gradient, rtol=1e-9, atol=1e-12)
    gradients = {key: x.grad for key, x in theirs.named_parameters() if x.grad is not None}
    expected_gradients = by_our_keys(theirs, mine, theirs.state_dict() | gradients)
    for key, parameter in mine.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected_gradients[key], rtol=1e-9, atol=1e-12)
        assert parameter.grad.abs().max() > 0
    assert isinstance(y, Tensor)
    return y


@pytest.mark.parametrize("spikes", [False, True])
@pytest.mark.parametrize("body", ["TA(r=2)-ReLU", "CA(r=2)-ReLU", "SA(k=3)-ReLU", "SA(k=7)-ReLU"])
def test_attention(body: str, *, spikes: bool) -> None:
    kind, size = body[:2], int(body[5])
    used = {"use_temporal": kind == "TA", "use_channel": kind == "CA", "use_spatial": kind == "SA"}
    kernel = size if kind == "SA" else 3
    theirs = layer.MultiDimensionalAttention(T, C, 2, 2, kernel, **used).double()
    mine = ours(body)
    carry(theirs, mine)
    x = sequence(*SHAPE)
    compare(theirs, mine, (x > 0).double() if spikes else x)  # of equal maxima both take the same one


def test_all_three_in_order() -> None:
    theirs = layer.MultiDimensionalAttention(T, C, 3, 2, 3).double()
    mine = ours("TA(r=3)-CA(r=2)-SA(k=3)-ReLU")
    carry(theirs, mine)
    compare(theirs, mine, sequence(*SHAPE))


def test_temporal_attention_on_vectors() -> None:
    theirs = layer.TemporalWiseAttention(T, 2, 2).double()
    mine = ours("TA(r=2)", size="9")
    carry(theirs, mine)
    compare(theirs, mine, sequence(9))


@pytest.mark.parametrize(
    ("body", "make"),
    [
        ("PSN", lambda: neuron.PSN(T, surrogate.ATan())),
        ("PSN(surrogate=Sigmoid(alpha=4.0))", lambda: neuron.PSN(T, surrogate.Sigmoid())),
        *((f"MaskedPSN(order={k})", lambda k=k: neuron.MaskedPSN(k, T, 1.0, step_mode="m")) for k in (1, 3, T, T + 2)),
        *((f"SlidingPSN(order={k})", lambda k=k: neuron.SlidingPSN(k, step_mode="m")) for k in (1, 3, T, T + 2)),
    ],
)
@pytest.mark.parametrize(("size", "shape"), [("4x5x7", SHAPE), ("9", (9,))])
def test_parallel_neurons(body: str, make: object, size: str, shape: tuple[int, ...]) -> None:
    """Every spike is the same."""
    assert callable(make)
    theirs, mine = make().double(), ours(body, size=size)
    if "Sliding" in body:
        for one, other in zip(theirs.parameters(), mine.parameters(), strict=True):
            assert torch.equal(one, other)  # both start alike
    carry(theirs, mine)
    if "Masked" in body:  # a mask that SpikingJelly applies to gradients as well
        assert torch.equal(theirs.masked_weight(), theirs.weight * theirs.mask0)
    spikes = compare(theirs, mine, 2 * sequence(*shape) + 0.5, exact=True)
    assert 0.05 < spikes.mean() < 0.95


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("size", "shape"), [("4x5x7", SHAPE), ("9", (9,))])
def test_tebn(size: str, shape: tuple[int, ...], *, training: bool) -> None:
    family = layer.TemporalEffectiveBatchNorm1d if len(shape) == 1 else layer.TemporalEffectiveBatchNorm2d
    theirs, mine = family(T, shape[0]).double(), ours("TEBN", size=size)
    norm = next(mine.children())
    carry(theirs, mine)
    x = 3 * sequence(*shape) + 1
    for _ in range(3):
        theirs(x)
        mine(x)
    torch.testing.assert_close(norm.running_var, theirs.running_var)
    compare(theirs.train(training), mine.train(training), x)


def equations(
    x: NDArray[np.float64], temporal: NDArray[np.float64], channel: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Zhu et al., sums written out: ``x`` [T, N, C, H, W], kernels [T, T, kernel_t], [C, C, kernel_c]."""
    z = x.mean((3, 4))
    along_channels, along_time = np.zeros_like(z), np.zeros_like(z)
    before_t, before_c = ((kernel.shape[2] - 1) // 2 for kernel in (temporal, channel))
    for n in range(x.shape[1]):
        for t in range(T):
            for c in range(C):
                for tap in range(temporal.shape[2]):
                    place = c + tap - before_t
                    if 0 <= place < C:
                        along_channels[t, n, c] += temporal[t, :, tap] @ z[:, n, place]
                for tap in range(channel.shape[2]):
                    place = t + tap - before_c
                    if 0 <= place < T:
                        along_time[t, n, c] += channel[c, :, tap] @ z[place, n]
    factors = 1 / (1 + np.exp(-along_channels * along_time))
    scaled: NDArray[np.float64] = x * factors[..., None, None]
    return scaled


@pytest.mark.parametrize("kernels", [(4, 4), (3, 2), (1, 5)])
def test_joint_attention_is_its_equations(kernels: tuple[int, int]) -> None:
    mine = ours("TCJA(kernel_t={}, kernel_c={})".format(*kernels))
    temporal, channel = (parameter.detach().numpy() for parameter in mine.parameters())
    x = sequence(*SHAPE)
    y = mine(x, return_sequence=True)
    np.testing.assert_allclose(y.detach().numpy(), equations(x.numpy(), temporal, channel), rtol=1e-12)


def test_joint_attention_has_the_right_gradients() -> None:
    mine = ours("TCJA(kernel_t=2, kernel_c=3)", size="4x2x2")
    x = sequence(4, 2, 2)[:, :1].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mine(x, return_sequence=True), (x,))
