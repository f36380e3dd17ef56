"""Which nodes are computed in one step, and which once for all time-steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.passes.program import ExecutionStep, Program


def hoist_static(program: Program) -> tuple[Program, str]:
    """Marks what lies before the first neuron of a network with a static input.

    Law: the same outputs, gradients and running statistics, since T equal slices have the mean and the variance of one,
    apart from rounding and what is decided by it: their sums have fewer addends.
    """
    network, T = program.network, program.network.settings.steps
    steps = tuple(
        replace(step, once=not any(network.nodes[i].output.varies for i in step.nodes)) for step in program.steps
    )
    once = [network.nodes[i] for step in steps if step.once for i in step.nodes]
    if not once or T == 1:
        return program, ""
    total = network.total_macs
    share = sum(map(network.macs, once)) * (T - 1) / (total * T) if total else 0.0
    names = ", ".join(node.name for node in once)
    return program.with_steps(steps), f"once, not {T} times: {names}; saves {share:.1%} of the multiply-accumulates"


def fuse_neurons(program: Program) -> tuple[Program, str]:
    """Puts every batch norm that only one neuron reads into that neuron's step, and a join that alone reads the spikes.

    The normalised current is then computed where it is used, and nothing of it is stored: for the backward pass, the
    input of the norm and two numbers a channel give it again. Spikes that go into a join are not stored either. Such a
    step reads the input of the norm and the join's other operand, in this order.

    Law: the same outputs, gradients and running statistics, apart from rounding and what is decided by it.
    """
    network = program.network
    norms = _norms(network)
    if not norms:
        return program, ""
    joins = _joins(network, norms)
    gone = {*norms.values(), *joins.values()}
    steps = tuple(_fused(step, norms, joins, network) for step in program.steps if step.gives not in gone)
    said = f"{len(norms)} batch norms are computed together with the neurons after them"
    return program.with_steps(steps), f"{said}, and {len(joins)} joins with those" if joins else said


def _norms(network: Network) -> dict[int, int]:
    """By index of neurons, the batch norm that only they read."""
    return {
        readers[0]: i
        for i, readers in enumerate(network.graph.consumers)
        if isinstance(network.nodes[i].op, BatchNorm)
        and len(readers) == 1
        and network.graph.looped.isdisjoint((i, *readers))
        and i not in network.output_indices
        and isinstance(op := network.nodes[readers[0]].op, Activation)
        and op.takes_norm
    }


def _joins(network: Network, neurons: Mapping[int, int]) -> dict[int, int]:
    """By index of a join, the neurons whose spikes only it reads, if they have a norm; of two such, the later."""
    return {
        readers[0]: i
        for i, readers in enumerate(network.graph.consumers)
        if i in neurons and len(readers) == 1 and i not in network.output_indices and is_residual(network, readers[0])
    }


def _fused(step: ExecutionStep, norms: Mapping[int, int], joins: Mapping[int, int], network: Network) -> ExecutionStep:
    neurons = joins.get(step.gives, step.gives)
    norm = norms.get(neurons)
    if norm is None:
        return step
    inputs = network.nodes[norm].inputs
    if neurons == step.gives:
        return ExecutionStep((norm, neurons), inputs)
    others = tuple(i for i in network.nodes[step.gives].inputs if i != neurons)
    return ExecutionStep((norm, neurons, step.gives), inputs + others)


def fold_batch_norm(program: Program) -> tuple[Program, str]:
    """Puts every batch norm that is still on its own after a convolution or a linear layer into that layer's step.

    In evaluation, the layer then runs with weights that give the normalised output at once. They are computed again in
    each forward, from what the modules hold: nothing can be out of date. In training, both run as ever.

    Law: the same outputs and gradients, apart from rounding and what is decided by it: products of weights are rounded
    before they are added up.
    """
    network = program.network
    alone = {step.gives for step in program.steps if len(step.nodes) == 1}
    pairs = {norm: layer for layer, norm in _folding_pairs(network) if {layer, norm} <= alone}
    if not pairs:
        return program, ""
    layers, once = set(pairs.values()), {step.gives for step in program.steps if step.once}
    steps = tuple(
        ExecutionStep(
            (pairs[step.gives], step.gives), network.nodes[pairs[step.gives]].inputs, once={*step.nodes} <= once
        )
        if step.gives in pairs
        else step
        for step in program.steps
        if step.gives not in layers
    )
    return program.with_steps(steps), f"in evaluation, {len(pairs)} batch norms are part of the weights before them"


def _folding_pairs(network: Network) -> list[tuple[int, int]]:
    """Indices of layers and of the batch norms that are their only readers."""
    return [
        (i, readers[0])
        for i, readers in enumerate(network.graph.consumers)
        if isinstance(network.nodes[i].op, Conv | Linear)
        and len(readers) == 1
        and i not in network.output_indices
        and isinstance(network.nodes[readers[0]].op, BatchNorm)
    ]
