"""Networks of SpikingJelly's layers in multi-step mode, as its documentation recommends.

It selects the computation of neurons itself: PyTorch operations on the CPU, its own kernels on CUDA devices.
"""

from __future__ import annotations

from functools import partial

from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from benchmarks.contenders import spiking_resformer
from benchmarks.contenders.model import Model
from benchmarks.workload import CHANNELS, Workload

NEURON = {
    "v_threshold": 1.0,
    "v_reset": 0.0,
    "detach_reset": True,
    "step_mode": "m",
}


class SEWBlock(nn.Module):
    """SEW block with ADD (Fang et al. 2021, Fig. 1c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 -- see the class
        branch: Tensor = self.branch(x)
        return branch + x


def build(workload: Workload) -> Model:
    """Return a network, with its reset: spikes of a layer, or mean logits over time."""
    module = _network(workload)
    functional.set_step_mode(module, "m")
    reset = partial(functional.reset_net, module)
    if workload.layer:
        return Model(module, module, reset)

    def forward(x: Tensor) -> Tensor:
        # Repeat images as its examples do, without a copy.
        sequence = x.unsqueeze(0).expand(workload.steps, -1, -1, -1, -1) if workload.static else x
        logits: Tensor = module(sequence)
        return logits.mean(0)

    return Model(module, forward, reset)


def _network(workload: Workload) -> nn.Module:
    name = workload.network
    if name == "lif-layer":
        module: nn.Module = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan(alpha=2.0), **NEURON)
        return module
    if name == "spikingresformer-ti":
        return spiking_resformer.build(workload.classes)
    if name.startswith("sew-resnet-"):
        return _resnet(name.removeprefix("sew-resnet-"))
    if name == "7b-net":
        return _chain(7, workload, pooled=True)
    return _chain(int(name.removeprefix("blocks-")), workload, pooled=False)


def _resnet(depth: str) -> nn.Module:
    from spikingjelly.activation_based.model import sew_resnet  # noqa: PLC0415 -- takes seconds to import

    build_resnet = getattr(sew_resnet, f"sew_resnet{depth}")
    spikes = surrogate.ATan(alpha=2.0)
    module: nn.Module = build_resnet(cnf="ADD", spiking_neuron=neuron.IFNode, surrogate_function=spikes, **NEURON)
    return module


def _chain(blocks: int, workload: Workload, *, pooled: bool) -> nn.Module:
    parts: list[nn.Module] = _convolution(workload.shape[0], CHANNELS)
    for _ in range(blocks):
        parts.append(SEWBlock(CHANNELS))
        if pooled:
            parts.append(layer.MaxPool2d(2, 2))
    if not pooled:
        parts.append(layer.AdaptiveAvgPool2d((1, 1)))
    return nn.Sequential(*parts, layer.Flatten(), layer.Linear(CHANNELS, workload.classes))


def _convolution(before: int, after: int) -> list[nn.Module]:
    spikes = surrogate.ATan(alpha=2.0)
    return [
        layer.Conv2d(before, after, 3, padding=1, bias=False),
        layer.BatchNorm2d(after),
        neuron.ParametricLIFNode(init_tau=2.0, surrogate_function=spikes, **NEURON),
    ]
