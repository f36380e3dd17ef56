"""Construction of the PyTorch module of a network, and initialisation of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import nn

from sewdsl.analysis.residual_blocks import branch_end, is_residual
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, KnowsSteps, Neuron, ParallelNeuron, WeightedLayer
from sewdsl.ir.signal import Signal
from sewdsl.lower.spiking_network import SpikingNetwork
from sewdsl.passes import Program
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.runtime import Runtime

MAX_CURRENT = 2.0**64
"""Largest input current to try."""
MAX_STEPS = 64
"""Number of time-steps for which an input current is verified."""


@cache
def neutral_current(activation: Activation | None, neutral: int) -> float:
    """Return the constant input for which an activation outputs ``neutral`` at every time-step, from rest.

    Args:
        activation: Activation at the end of the branch. None: the branch ends in a batch norm.
        neutral: 0 (never fire) or 1 (always fire).

    Returns:
        A number representable in float32. It is 0 if that suffices. For firing, it is the smallest current that fires
        in both float32 and float64, which is v_threshold for the IF neuron (Sec. 3.3), up to the last digit.

    Raises:
        ValueError: If no constant current has this effect.
    """
    if activation is None:
        return float(neutral)
    for current in _candidates(activation, neutral):
        if all(_has_output(activation, current, neutral, dtype) for dtype in (torch.float32, torch.float64)):
            return current
    raise ValueError(f"no constant current makes {activation} output {neutral} at every time-step")


def _candidates(activation: Activation, neutral: int) -> Iterator[float]:
    """Yield input currents to try, in order of preference."""
    if isinstance(activation, ParallelNeuron):
        # With fixed steps, firing depends on random weights, so no current fires reliably.
        if not (neutral and activation.fixed_steps):
            smallest = np.float32(activation.v_threshold)
            yield from (neutral * float(x) for x in (smallest, np.nextafter(smallest, np.float32(np.inf))))
        return
    yield float(neutral) if not isinstance(activation, Neuron) else 0.0
    if not isinstance(activation, Neuron):
        return
    if neutral == 0:  # a neuron with a positive drift fires without input
        yield from (-activation.v_threshold * 2.0**k for k in range(-8, 24))
    else:
        smallest = np.float32(_least_firing(activation))
        yield float(smallest)
        step = np.spacing(np.abs(smallest))
        # Rounding differs between float32 and float64, so currents slightly above the smallest one are tried too.
        yield from (float(smallest + step * np.float32(2.0**k)) for k in range(22))


def _least_firing(neuron: Neuron) -> float:
    """Return the smallest current that fires a resting neuron, by bisection, for any dynamics."""
    learned = {name: torch.tensor(value, dtype=torch.float64) for name, value in neuron.learnable().items()}
    rest = torch.tensor(neuron.rest, dtype=torch.float64)

    def fires(current: float) -> bool:
        h = neuron.charge(rest, torch.tensor(current, dtype=torch.float64), **learned)
        return bool(h >= neuron.v_threshold)

    silent, firing = 0.0, neuron.v_threshold
    # The threshold fires an IF neuron. Other neurons may need a larger current.
    while not fires(firing) and firing < MAX_CURRENT:
        silent, firing = firing, 2 * firing
    while silent < (middle := (silent + firing) / 2) < firing:
        silent, firing = (silent, middle) if fires(middle) else (middle, firing)
    return firing


def _has_output(activation: Activation, current: float, neutral: int, dtype: torch.dtype) -> bool:
    # Building a module draws random weights.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        module = activation.build(Runtime, Signal((1,))).to(device="cpu", dtype=dtype)
        steps = activation.T if isinstance(activation, KnowsSteps) else MAX_STEPS
        return bool((module(torch.full((steps, 1, 1), current, dtype=dtype)) == neutral).all())


def initialise(network: Network, model: nn.Module) -> None:
    """Initialise a new model as specified by the settings of the network.

    Raises:
        ValueError: If ``zero_init`` is set and a branch does not end in a batch norm that can make it neutral, or if
            joins of two calls of a part require different biases of one batch norm.
    """
    ops = {node.name: op for node in network if isinstance(op := network.op_with_init(node), WeightedLayer)}
    with torch.no_grad():
        # Modules in the order of the state_dict, whose random numbers do not depend on the order of merges.
        for name, module in model.named_modules():
            if name in ops and (rule := ops[name].init) is not None:
                draw_weights(rule, module)
    if network.settings.zero_init:
        biases: dict[str, float] = {}
        # Other merges, and joins in loops, have no identity.
        for index, node in enumerate(network.nodes):
            if isinstance(node.op, Join) and is_residual(network, index):
                _make_identity(network, model, node, node.op, biases)


def draw_weights(rule: InitRule, layer: nn.Module) -> None:
    """Set the weight of a new layer to the values of a rule, and its bias to 0 if the rule requires it.

    Args:
        layer: Layer with the parameters ``weight`` and optionally ``bias``.
    """
    weight, bias = layer.get_parameter("weight").detach(), getattr(layer, "bias", None)
    if rule.by_output:
        # A transposed convolution has the shape [inputs, outputs of a group, *].
        groups = layer.groups if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose1d) else 0
        parts = weight.chunk(groups) if groups else (weight,)
        by_output = [part.transpose(0, 1) if groups else part for part in parts]
        drawn = rule.draw(torch, torch.cat(by_output))
        for part, values in zip(by_output, drawn.chunk(len(parts)), strict=True):
            part.copy_(values)
    else:
        rule.draw(torch, weight)
    if rule.resets_bias and bias is not None:
        nn.init.zeros_(bias)
    if rule.keeps_zeros:
        layer.get_buffer("weight_mask").copy_(weight != 0)


def _make_identity(network: Network, model: nn.Module, node: Node, join: Join, biases: dict[str, float]) -> None:
    """Initialise the batch norm at the end of the branch so that g(A, S) = S (Sec. 3.3), and record its bias."""
    end = branch_end(network, node)
    name = network.owner(end.norm).name if end.norm else ""
    norm = model.get_submodule(name) if end.norm else None
    if not isinstance(norm, BatchNorm):
        message = (
            f"{node.name}: 'init zero' requires a branch that ends in BN, or in BN and a neuron, but it ends in "
            f"{end.why}"
        )
        raise ValueError(message)  # noqa: TRY004 -- the network is wrong, not the caller's types
    try:
        bias = neutral_current(end.activation, join.neutral_branch)
    except ValueError as error:
        raise ValueError(f"{node.name}: {error}") from None
    if biases.setdefault(name, bias) != bias:
        raise ValueError(
            f"{node.name}: 'init zero' requires the bias {bias} of {name}, but another join {biases[name]}"
        )
    # Weight 0 removes the dependence on the input. The bias makes A neutral: 0 for ADD and IAND, and for AND a current
    # for which the neuron fires at every time-step.
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, bias)


def lower(spec: Network | Program, *, seed: int | None = None) -> SpikingNetwork:
    """Build the PyTorch module of a network and initialise its weights.

    Args:
        spec: A network, which is computed node by node, or a program.
        seed: Seed of the initial weights. The global generator of PyTorch is not changed. None: use the global
            generator.

    Raises:
        ValueError: If ``zero_init`` is set and a branch cannot be made neutral.
    """
    program = spec if isinstance(spec, Program) else Program.of(spec)
    network = program.network
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        modules = {
            node.name: network.op_with_init(node).build(Runtime, *network.inputs(node))
            for node in network.layers
            if node.weights is None
        }
        model = SpikingNetwork(program, modules)
        initialise(network, model)
    if program.channels_last:
        # Only 4-D weights are affected.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return model
