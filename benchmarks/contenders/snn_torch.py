"""The networks with snnTorch's neurons between torch's layers.

Its neurons take one time-step at a time. The layers between have no memory and see all T·N samples at once, which is
faster than a loop around the whole network, and the only way to the same statistics in batch norm.

Its LIF neuron charges ``beta · V + X`` where the paper's charges ``(1 - 1/tau) V + X/tau``. Potentials are kept tau
times as large: ``beta = 1 - 1/tau``, threshold ``tau · v_threshold``, ``alpha / tau`` in the surrogate. Spikes and
gradients are then the same, with the same weights. The PLIF neurons of 7B-Net get a learnable beta: one learnable
scalar and its gradient, as in PLIF, but the gain of the input stays as it is, for snnTorch has no such parameter. At
the start, where all is compared, that is the same function.
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
    """One of its neurons in a loop over time, from rest: ``[T, N, *]`` to spikes ``[T, N, *]``.

    Attributes:
        neuron: An IF neuron without ``tau``, else a LIF neuron.
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

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102 -- the class says it
        v = self.neuron.reset_mem()
        recorded = []
        for x in x_TN:
            spikes, v = self.neuron(x, v)
            recorded.append(spikes)
        spikes_TN = torch.stack(recorded)
        # its spikes are float32 whatever comes in; only the comparison in float64 has to convert them
        return spikes_TN.double() if x_TN.dtype == torch.float64 else spikes_TN


class Folded(nn.Sequential):
    """Layers without memory on all steps at once: ``[T, N, *]`` to ``[T, N, *]``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = x_TN.flatten(0, 1)
        for layer in self:
            y = layer(y)
        return y.reshape(*x_TN.shape[:2], *y.shape[1:])


class SEWBlock(nn.Module):
    """Figure 1(c) of Fang et al. 2021, with ADD; a projection where the size changes."""

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
    """Spikes of a layer, or the mean of the logits over time; the potentials begin at rest in each forward."""
    module = _network(workload)
    if workload.layer:
        return Model(module, module)

    def forward(x: Tensor) -> Tensor:
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
