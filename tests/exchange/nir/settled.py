"""Modules with weights as if they had been trained, and what their neurons give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.ir.network import Network
from sewdsl.ir.op import Spiking
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.batch_norm import BatchNorm


def settled(network: Network, x: Tensor) -> SpikingNetwork:
    """A float64 module in evaluation mode, with odd weights of norms and running statistics that an input gave.

    Args:
        network: What to build, without its initialisation.
        x: ``[T, N, *]``; at least two values for each channel.
    """
    plain = network.settings.model_copy(update={"init": "default", "zero_init": False})
    model = sewdsl.compile(replace(network, settings=plain), seed=0, optimize=0).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim <= 1:
            parameter.data += 0.3 * torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    return model.eval()


def noise(network: Network, T: int = 2, N: int = 2) -> Tensor:
    """A random input, ``[T, N, *]``."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(T, N, *network.settings.input, generator=generator, dtype=torch.float64)


@contextmanager
def watched(model: SpikingNetwork) -> Iterator[Mapping[str, Tensor]]:
    """Return the outputs of all neurons in a forward pass, ``[T, N, *]``, by the names of their nodes."""
    found: dict[str, Tensor] = {}

    def keep(names: list[str], _: nn.Module, __: Any, spikes: Tensor) -> None:
        found[names[0]] = spikes
        names.append(names.pop(0))  # the next call of a shared module

    calls: dict[nn.Module, list[str]] = {}
    for node in model.network:
        if isinstance(node.op, Spiking):
            calls.setdefault(model.get_submodule(node.name), []).append(node.name)
    hooks = [module.register_forward_hook(partial(keep, names)) for module, names in calls.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def differences(model: SpikingNetwork, x: Tensor, **options: Any) -> tuple[float, list[tuple[int, str]]]:
    """Return the largest difference between module and graph, and the differing neurons by time-step."""
    with torch.no_grad(), watched(model) as spikes:
        y = model(x, return_sequence=True)
        steps = list(NirExecutor(to_graph(model), **options).watch(x))
    outputs = {f"output_{name}": each for name, each in y.items()} if model.network.outputs else {"output": y}
    assert {len(each) for each in outputs.values()} == {len(steps)}
    apart = max(
        (values[name] - each[t]).abs().max().item() for t, values in enumerate(steps) for name, each in outputs.items()
    )
    return apart, [
        (t, name) for t, values in enumerate(steps) for name in spikes if not values[name].equal(spikes[name][t])
    ]
