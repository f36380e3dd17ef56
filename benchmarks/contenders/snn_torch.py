"""Networks of snnTorch's neurons between PyTorch layers.

Its neurons take one time-step at a time. Stateless layers process all T·N samples together, which is faster than a loop
around the network, and the only way to equal statistics in batch norm.

Its LIF neuron charges ``beta · V + X``, that of the paper ``(1 - 1/tau) V + X/tau``. So potentials are scaled by tau:
``beta = 1 - 1/tau``, threshold ``tau · v_threshold``, ``alpha / tau`` in the surrogate. With equal weights, spikes and
gradients are equal. The PLIF neurons of 7B-Net get a learnable beta: a learnable scalar with a gradient, as in PLIF.
The gain of the input stays constant, since snnTorch has no such parameter. With the initial weights, which are
compared, the functions are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.contenders.model import Model
from benchmarks.workload import CHANNELS, Workload

LAYERS = {"18": (2, 2, 2, 2)}


class OverTime(nn.Module):
    """Neuron in a loop over time, from rest: ``[T, N, *]`` to spikes ``[T, N, *]``.

    Attributes:
        neuron: IF neuron without ``tau``, else LIF neuron.
    """

    def __init__(self, tau: float | None = None, *, learnable: bool = False) -> None:
        super().__init__()
        scale = 1.0 if tau is None else tau
        self.neuron = snntorch.Leaky(
            beta=1.0 if tau is None else 1 - 1 / tau,
            threshold=scale,
            spike_grad=surrogate.atan(alpha=2.0 / scale),
            learn_beta=learnable,
            reset_mechanism="zero",
        )

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102 -- see the class
        v = self.neuron.reset_mem()
        recorded = []
        for x in x_TN:
            spikes, v = self.neuron(x, v)
            recorded.append(spikes)
        spikes_TN = torch.stack(recorded)
        # Its spikes are always float32. Only the comparison in float64 has to convert them.
        return spikes_TN.double() if x_TN.dtype == torch.float64 else spikes_TN


class Folded(nn.Sequential):
    """Stateless layers on all time-steps together: ``[T, N, *]`` to ``[T, N, *]``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = x_TN.flatten(0, 1)
        for layer in self:
            y = layer(y)
        return y.reshape(*x_TN.shape[:2], *y.shape[1:])


class SEWBlock(nn.Module):
    """SEW block with ADD, and a projection if shapes differ (Fang et al. 2021, Fig. 1c)."""

    def __init__(self, before: int, after: int, stride: int, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_convolution(before, after, make, stride=stride), *_convolution(after, after, make)
        )
        same = before == after and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(*_convolution(before, after, make, kernel=1, stride=stride))
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        branch: Tensor = self.branch(x)
        identity: Tensor = self.shortcut(x)
        return branch + identity


def build(workload: Workload) -> Model:
    """Return a network: spikes of a layer, or mean logits over time.

    Membrane potentials start at rest in each forward pass.
    """
    module = _network(workload)
    if workload.layer:
        return Model(module, module)

    def forward(x: Tensor) -> Tensor:
        # Without a copy, as SpikingJelly's examples do.
        sequence = x.unsqueeze(0).expand(workload.steps, -1, -1, -1, -1) if workload.static else x
        logits: Tensor = module(sequence)
        return logits.mean(0)

    return Model(module, forward)


def _network(workload: Workload) -> nn.Module:
    if workload.layer:
        return OverTime(2.0)
    if workload.network.startswith("sew-resnet-"):
        return _resnet(LAYERS[workload.network.removeprefix("sew-resnet-")], workload.classes)
    make = partial(OverTime, 2.0, learnable=True)
    parts = _convolution(workload.shape[0], CHANNELS, make)
    for _ in range(7):
        parts += [SEWBlock(CHANNELS, CHANNELS, 1, make), Folded(nn.MaxPool2d(2, 2))]
    return nn.Sequential(*parts, Folded(nn.Flatten(), nn.Linear(CHANNELS, workload.classes)))


def _resnet(layers: tuple[int, ...], classes: int) -> nn.Module:
    make = OverTime
    parts = [*_convolution(3, 64, make, kernel=7, stride=2), Folded(nn.MaxPool2d(3, 2, 1))]
    width = 64
    for index, blocks in enumerate(layers):
        for block in range(blocks):
            stride = 2 if index and not block else 1
            parts.append(SEWBlock(width, 64 * 2**index, stride, make))
            width = 64 * 2**index
    return nn.Sequential(*parts, Folded(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)))


def _convolution(
    before: int, after: int, make: Callable[[], nn.Module], *, kernel: int = 3, stride: int = 1
) -> list[nn.Module]:
    layers = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)
    return [Folded(*layers), make()]
