"""Maps are stored channels-last from the first convolution on, with the same results."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import optimized

BODIES = {
    "SEW": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-LIF-Spiking Block (c8s2)-APk2-DP0.5-c5k1-tdBN-IF-GAP",
    "grouped": "c6k3g2-BN-LIF-c8k3x1-Flatten-FC5",
}


def build(body: str, optimize: int) -> SpikingNetwork:
    return sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, neuron="PLIF").double()


def frames() -> Tensor:
    return torch.rand(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_same_outputs_and_gradients(body: str) -> None:
    results = []
    for level in (0, 1):
        model = build(body, level)
        torch.manual_seed(3)
        logits = model(frames())
        cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        results.append((logits, {name: weight.grad for name, weight in model.named_parameters()}, model.state_dict()))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_map_is_stored_so(body: str) -> None:
    """Also behind neurons, joins, pools and norms: a layer that turned its maps over would cost more than it saves."""
    model = build(body, 1)
    turned: list[str] = []

    def look(name: str, y_TN: Tensor) -> None:
        if y_TN.ndim == 5 and y_TN.shape[-1] * y_TN.shape[-2] > 1:
            y = y_TN.flatten(0, 1)
            if not y.is_contiguous(memory_format=torch.channels_last):
                turned.append(name)

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, y, name=name: look(name, y))
    model(frames())
    assert turned == []


def test_one_channel_is_no_exception() -> None:
    model = sewdsl.compile("mnist5k", seed=0)
    seen: list[Tensor] = []
    model.get_submodule("bn1").register_forward_hook(lambda _, __, y: seen.append(y))
    model(torch.rand(2, 1, 28, 28))
    assert seen[0].flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_nothing_without_convolutions() -> None:
    network = sewdsl.load("FC8-LIF-FC5", input="2x8x8", steps=4)
    assert not optimized(network).channels_last
