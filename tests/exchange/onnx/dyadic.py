"""Networks whose arithmetic is exact: every weight is a small integer times a power of two.

With no sum rounded, the order of sums does not matter, and float32 gives what float64 gives, to the bit: spikes are the
same or the network is another one.
"""

from __future__ import annotations

from dataclasses import replace
from math import log2

import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.snn.attention import TokenProduct
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.layers import Scale
from sewdsl.snn.neuron import Neuron as Layer


def dyadic(network: Network) -> SpikingNetwork:
    """A float32 module in evaluation mode, of weights with few bits; learned time constants are 2."""
    plain = network.settings.model_copy(update={"init": "default", "zero_init": False})
    with torch.device("meta"):  # no time for weights that nobody wants
        model = sewdsl.compile(replace(network, settings=plain), optimize=0).eval()
    model.to_empty(device="cpu")
    random = torch.Generator().manual_seed(1)
    more = 0 if all(isinstance(node.op, IF) for node in network if isinstance(node.op, Neuron)) else 1  # some leaks

    def whole(values: Tensor, low: int, high: int) -> Tensor:
        return values.random_(low, high + 1, generator=random)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Conv1d | nn.ConvTranspose2d | nn.Linear):
                fan_in = module.weight[0].numel()
                whole(module.weight, -3, 3).mul_(2.0 ** -round(log2(fan_in) / 2))
                if module.bias is not None:
                    whole(module.bias, -1, 5).div_(4)
            elif isinstance(module, BatchNorm):
                # Zero in float32; PyTorch before 2.13 rejects zero itself.
                module.eps, module.scale = 1e-300, 2.0 ** round(log2(module.scale))
                whole(module.weight, more - 1, more + 1).exp2_()
                whole(module.bias, -3, 5).div_(8)
                whole(module.running_mean, -2, 2).div_(8)
                whole(module.running_var, -1, 1).mul_(2).exp2_()
            elif isinstance(module, Scale) and module.weight is not None:
                module.weight.fill_(0.5)
            elif isinstance(module, TokenProduct) and module.scale == "rate":
                # A rate near 0.2 whose factor is a power of two.
                module.rate.fill_(4.0 ** round(log2(0.2 * module.terms) / 2) / module.terms)
            elif isinstance(module, Layer):
                for scalar in module.learned.values():
                    scalar.zero_()
    return model


def noise(network: Network, T: int, N: int = 2) -> Inputs:
    """Random inputs of eighths, ``[T, N, *]``, or ``[N, *]`` where one is static."""
    generator = torch.Generator().manual_seed(2)
    x = {
        name: torch.randint(-8, 17, [N, *shape] if encode == "direct" else [T, N, *shape], generator=generator) / 8
        for name, shape, encode, _ in network.settings.sources
    }
    return x if network.settings.inputs else x[""]
