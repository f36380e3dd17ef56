"""SpikingResformer after its paper, in plain PyTorch with SpikingJelly's neurons: every spike and every gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.neuron import Neuron

T, N = 2, 2


def each(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer of images to all time-steps."""
    y: Tensor = layer(x.flatten(0, 1))
    return y.reshape(*x.shape[:2], *y.shape[1:])


class Stage(nn.Sequential):
    """Layers of images and neurons over time."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x) if isinstance(layer, neuron.LIFNode | DSSA | GWFFN | Stage) else each(layer, x)
        return x


def lif() -> nn.Module:
    node: nn.Module = neuron.LIFNode(tau=2.0, detach_reset=True, step_mode="m", surrogate_function=surrogate.ATan())
    return node


def unit(c: int, out: int, k: int = 1, **options: Any) -> list[nn.Module]:
    return [lif(), nn.Conv2d(c, out, k, bias=False, **options), nn.BatchNorm2d(out)]


class GWFFN(nn.Module):
    """Group-wise feed-forward network: two 1x1 convolutions around a residual 3x3 convolution in groups of 64."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.up, self.conv = Stage(*unit(c, 4 * c)), Stage(*unit(4 * c, 4 * c, 3, padding=1, groups=4 * c // 64))
        self.down = Stage(*unit(4 * c, c))

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        z: Tensor = x + self.down(y + self.conv(y))
        return z


class DSSA(nn.Module):
    """Dual spike self-attention with one convolution for keys and values, head by head."""

    def __init__(self, c: int, heads: int, p: int) -> None:
        super().__init__()
        self.heads, self.d = heads, c // heads
        self.spike, self.both = lif(), Stage(nn.Conv2d(c, 2 * c, p, p, bias=False), nn.BatchNorm2d(2 * c))
        self.fire, self.out = lif(), Stage(*unit(c, c))
        self.rates: list[Tensor | None] = [None, None]

    def scale(self, which: int, x: Tensor, terms: int) -> Tensor:
        """Return 1 / sqrt(mean number of spikes in a sum) of each head."""
        if self.training:
            rate, before = x.detach().mean((0, 1, 3, 4)), self.rates[which]
            self.rates[which] = rate if before is None else 0.999 * before + 0.001 * rate
        mean = self.rates[which]
        assert mean is not None
        return (mean * terms).rsqrt()[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        s = self.spike(x)
        keys, values = self.both(s).reshape(T, N, self.heads, 2 * self.d, -1).split(self.d, 3)
        q = s.reshape(T, N, self.heads, self.d, -1)
        a = self.fire(torch.einsum("tnhdm,tnhdl->tnhml", keys, q) * self.scale(0, q, self.d))
        y = torch.einsum("tnhdm,tnhml->tnhdl", values, a) * self.scale(1, a, keys.shape[4])
        z: Tensor = x + self.out(y.reshape(x.shape))
        return z


class SpikingResformer(nn.Module):
    """SpikingResformer-Ti."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)]
        stages = [Stage(*stem, DSSA(64, 1, 4), GWFFN(64))]
        for c, out, heads, p, depth in ((64, 192, 3, 2, 2), (192, 384, 6, 1, 3)):
            blocks = [block for _ in range(depth) for block in (DSSA(out, heads, p), GWFFN(out))]
            stages.append(Stage(*unit(c, out, 3, stride=2, padding=1), *blocks))
        self.stages, self.head = Stage(*stages), nn.Linear(384, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.stages(x).mean((3, 4)))
        return y


def in_our_order(reference: nn.Module, read: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Yield a tensor for each parameter of ours, which has two convolutions for keys and values.

    Args:
        reference: The reference.
        read: Returns the tensor of a parameter of the reference.
    """
    attention = [module for module in reference.modules() if isinstance(module, DSSA)]
    both = {id(parameter) for module in attention for parameter in module.both.parameters()}
    for module in reference.modules():
        if isinstance(module, DSSA):
            parts = [read(p).reshape(module.heads, 2, module.d, *p.shape[1:]) for p in module.both.parameters()]
            yield from (part[:, which].flatten(0, 1) for which in (0, 1) for part in parts)
        yield from (read(p) for p in module.parameters(recurse=False) if id(p) not in both)


def observe(model: nn.Module, family: type[nn.Module], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the output of each time-step, and the spikes of every neuron."""
    spikes: list[Tensor] = []
    modules = [module for module in model.modules() if isinstance(module, family)]
    hooks = [m.register_forward_hook(lambda _m, _x, y: spikes.append(y.detach().flatten(2))) for m in modules]
    y = model(x, return_sequence=True) if isinstance(model, SpikingNetwork) else model(x)
    for hook in hooks:
        hook.remove()
    return y, spikes


def test_every_spike_and_gradient_is_the_same() -> None:
    """Two batches in training update the running rates. All results are in float64."""
    torch.manual_seed(0)
    reference = SpikingResformer(classes=10).double()
    ours = sewdsl.compile(
        "spikingresformer-ti", input=(3, 32, 32), steps=T, set={"encode": "none", "classes": 10}, seed=0
    ).double()
    for module in (*ours.modules(), *reference.modules()):
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.normal_(module.bias, 0.3, 0.3)
            module.momentum = 0.9
    with torch.no_grad():
        pairs = zip(ours.parameters(), in_our_order(reference, Tensor.detach), strict=True)
        for parameter, value in pairs:
            parameter.copy_(value)
    for training in (True, True, False):
        x = torch.randn(T, N, 3, 32, 32, dtype=torch.float64)
        found = []
        for model, family in ((ours, Neuron), (reference, neuron.LIFNode)):
            model.train(training)
            model.zero_grad()
            y, spikes = observe(model, family, x)
            (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()  # type: ignore[no-untyped-call]
            found.append((y.detach(), spikes))
        functional.reset_net(reference)
        (y, spikes), (expected, reference_spikes) = found
        assert len(spikes) == len(reference_spikes)
        equal = [torch.equal(one, other) for one, other in zip(spikes, reference_spikes, strict=True)]
        assert all(equal), (training, equal.index(False))
        assert sum(bool(spike.any()) for spike in spikes) > 0.9 * len(spikes)  # silence would agree with anything
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
        gradients = in_our_order(reference, lambda p: torch.zeros_like(p) if p.grad is None else p.grad)
        for (name, parameter), gradient in zip(ours.named_parameters(), gradients, strict=True):
            assert parameter.grad is not None, name
            assert (parameter.grad - gradient).norm() <= 1e-9 * max(float(gradient.norm()), 1e-3), name
    rates = [rate for m in reference.modules() if isinstance(m, DSSA) for rate in m.rates]
    buffers = [rate for name, rate in ours.named_buffers() if name.endswith("rate")]
    for rate, expected_rate in zip(buffers, rates, strict=True):
        torch.testing.assert_close(rate, expected_rate)


def test_the_number_of_parameters() -> None:
    """The paper prints 11.14 M, which is the number without norms."""
    with torch.device("meta"):
        reference = SpikingResformer(classes=1000)
    network = sewdsl.load("spikingresformer-ti")
    assert sum(p.numel() for p in reference.parameters()) == network.total_parameters == 11_180_992
    norms = sum(p.numel() for m in reference.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    assert network.total_parameters - norms == 11_141_312
