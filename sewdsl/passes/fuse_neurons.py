"""Batch norm, the neurons after it and the join that takes their spikes in one step."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron, Op
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.passes.program import ExecutionStep, Program
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES


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
        and i not in network.given
        and _has_kernel(network.nodes[readers[0]].op)
    }


def _has_kernel(op: Op) -> bool:
    """Return whether there is a kernel that normalises the input of a neuron.

    Neurons as equations without a state are left alone: of an input that is the same at all time-steps, they run once.
    """
    if isinstance(op, LinearNeuron):
        return True
    return isinstance(op, EquationKind) and bool(op.equations.after) and op.equations.entries <= MAX_KERNEL_ENTRIES


def _joins(network: Network, neurons: Mapping[int, int]) -> dict[int, int]:
    """By index of a join, the neurons whose spikes only it reads, if they have a norm; of two such, the later."""
    return {
        readers[0]: i
        for i, readers in enumerate(network.graph.consumers)
        if i in neurons and len(readers) == 1 and i not in network.given and is_residual(network, readers[0])
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
