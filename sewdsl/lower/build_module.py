"""Builds the module of every node, then sets initial values: torch's, a scheme's, or residual blocks as identities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import nn

from sewdsl.analysis.residual_blocks import branch_end, is_residual
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, KnowsSteps, Neuron, ParallelNeuron
from sewdsl.ir.signal import Signal
from sewdsl.lower.spiking_network import SpikingNetwork
from sewdsl.passes import Program
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.layers import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear
from sewdsl.snn.runtime import Runtime

MAX_CURRENT = 2.0**64
"""No current is tried beyond it."""
MAX_STEPS = 64
"""How many time-steps a current is tried for."""


@cache
def neutral_current(activation: Activation | None, neutral: int) -> float:
    """The input that makes an activation give ``neutral`` at every time-step, from rest.

    Args:
        activation: What ends the branch; None: nothing does, so the input itself is the branch.
        neutral: 0 (never fire) or 1 (always fire).

    Returns:
        A number that float32 holds: 0 where that does it; for firing, the least that fires in float32 and float64
        alike. That is v_threshold for the IF neuron (Sec. 3.3), up to the last digit.

    Raises:
        ValueError: no current does it.
    """
    if activation is None:
        return float(neutral)
    for current in _candidates(activation, neutral):
        if all(_gives(activation, current, neutral, dtype) for dtype in (torch.float32, torch.float64)):
            return current
    message = f"no constant current makes {activation} give {neutral} at every time-step"
    raise ValueError(message)


def _candidates(activation: Activation, neutral: int) -> Iterator[float]:
    if isinstance(activation, ParallelNeuron):
        if not (neutral and activation.fixed_steps):  # whose weights, which are random, decide whether it fires
            least = np.float32(activation.v_threshold)
            yield from (neutral * float(x) for x in (least, np.nextafter(least, np.float32(np.inf))))
        return
    yield float(neutral) if not isinstance(activation, Neuron) else 0.0
    if not isinstance(activation, Neuron):
        return
    if neutral == 0:  # a neuron that fires by itself has to be held down
        yield from (-activation.v_threshold * 2.0**k for k in range(-8, 24))
    else:
        least = np.float32(_least_firing(activation))
        yield float(least)
        step = np.spacing(np.abs(least))
        yield from (float(least + step * np.float32(2.0**k)) for k in range(22))


def _least_firing(neuron: Neuron) -> float:
    """The least current that fires a resting neuron, found by halving the interval: any dynamics will do."""
    learned = {name: torch.tensor(value, dtype=torch.float64) for name, value in neuron.learnable().items()}
    rest = torch.tensor(neuron.rest, dtype=torch.float64)

    def fires(current: float) -> bool:
        h = neuron.charge(rest, torch.tensor(current, dtype=torch.float64), **learned)
        return bool(h >= neuron.v_threshold)

    silent, firing = 0.0, neuron.v_threshold
    while not fires(firing) and firing < MAX_CURRENT:
        silent, firing = firing, 2 * firing
    while silent < (middle := (silent + firing) / 2) < firing:
        silent, firing = (silent, middle) if fires(middle) else (middle, firing)
    return firing


def _gives(activation: Activation, current: float, neutral: int, dtype: torch.dtype) -> bool:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        module = activation.build(Runtime, Signal((1,))).to(device="cpu", dtype=dtype)
        steps = activation.T if isinstance(activation, KnowsSteps) else MAX_STEPS
        return bool((module(torch.full((steps, 1, 1), current, dtype=dtype)) == neutral).all())


def initialise(network: Network, model: nn.Module) -> None:
    """Sets the initial values of a freshly built model as the network's settings say.

    Raises:
        ValueError: ``zero_init`` is on, and a join has a branch that no batch norm can make neutral.
    """
    if network.settings.init == "kaiming":
        for module in model.modules():
            if isinstance(module, Conv2d | Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    std = network.settings.init_std
    if std is not None:
        for module in model.modules():
            if isinstance(module, Conv2d | Conv1d | ConvTranspose2d | ConvTranspose1d | Linear):
                nn.init.normal_(module.weight, std=std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    if network.settings.zero_init:
        for index, node in enumerate(network.nodes):
            if isinstance(node.op, Join) and is_residual(network, index):
                _make_identity(network, model, node, node.op)


def _make_identity(network: Network, model: nn.Module, node: Node, join: Join) -> None:
    """Sets the batch norm that ends the branch so that g(A, S) = S (Sec. 3.3).

    Weight 0 takes the input out of it; the bias is what makes A neutral: 0 for ADD and IAND, and for AND a current
    that makes the neuron fire at every time-step.
    """
    end = branch_end(network, node)
    norm = model.get_submodule(end.norm.name) if end.norm else None
    if not isinstance(norm, BatchNorm):
        message = (
            f"{node.name}: zero-initialisation needs a branch that ends in BN, or in BN and a neuron, but it ends in "
            f"{end.why}"
        )
        raise ValueError(message)  # noqa: TRY004 -- the network is wrong, not the caller's types
    try:
        bias = neutral_current(end.activation, join.neutral_branch)
    except ValueError as error:
        message = f"{node.name}: {error}"
        raise ValueError(message) from None
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, bias)


def lower(spec: Network | Program, *, seed: int | None = None) -> SpikingNetwork:
    """The torch module of a network, with the initial values that its settings ask for.

    Args:
        spec: What to build: a network, node by node, or a program that computes one.
        seed: Of the initial weights, leaving torch's generator untouched; None: drawn from that generator.

    Raises:
        ValueError: zero-initialisation is asked for, and a join has a branch that cannot be made neutral.
    """
    program = spec if isinstance(spec, Program) else Program.of(spec)
    network = program.network
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        modules = {node.name: node.op.build(Runtime, *network.inputs(node)) for node in network.nodes[1:]}
        model = SpikingNetwork(program, modules)
        initialise(network, model)
    if program.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return model
