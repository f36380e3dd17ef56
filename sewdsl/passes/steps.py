"""Passes on the grouping of nodes into steps, and on steps computed once for all time-steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.ops.attention import Apply, Scores
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.passes.program import ExecutionStep, Program


def hoist_static(program: Program) -> tuple[Program, str]:
    """Mark the nodes before the first neuron of a network with a static input, to compute them once.

    Law: equal outputs, gradients and running statistics, up to rounding and its consequences. T equal slices have the
    mean and the variance of one slice, but sums have fewer terms.
    """
    network, T = program.network, program.network.settings.steps
    steps = tuple(
        replace(step, once=not any(network.nodes[i].output.varies for i in step.nodes)) for step in program.steps
    )
    once = [network.nodes[i] for step in steps if step.once for i in step.nodes if i not in network.reduced]
    # With one time-step, nothing is repeated.
    if not once or T == 1:
        return program, ""
    total = network.total_macs
    fraction = sum(map(network.macs, once)) * (T - 1) / (total * T) if total else 0.0
    names = ", ".join(node.name for node in once)
    return program.with_steps(steps), f"computed once instead of {T} times: {names}; saves {fraction:.1%} of the MACs"


def fuse(program: Program) -> tuple[Program, str]:
    """Fuse neurons with their neighbours, and scores of attention with their values.

    Law: that of :func:`fuse_neurons`.
    """
    program, neurons = fuse_neurons(program)
    program, attention = fuse_attention(program)
    return program, "; ".join(filter(None, (neurons, attention)))


def fuse_attention(program: Program) -> tuple[Program, str]:
    """Fuse scores that only APPLY reads with it, if the product of keys and values takes fewer operations.

    Scores between neurons and other layers are not fused, and neither are nodes in loops.
    """
    network, looped = program.network, program.network.graph.looped
    fused: dict[int, int] = {}  # scores, by the node that reads them
    for i, node in enumerate(network.nodes):
        readers = network.graph.consumers[i]
        if not isinstance(node.op, Scores) or len(readers) != 1 or i in network.output_indices:
            continue
        reader = network.nodes[readers[0]]
        if (
            isinstance(reader.op, Apply)
            and reader.inputs[0] == i
            and looped.isdisjoint((i, readers[0]))
            and reader.op.takes_keys_first(node.op, *network.inputs(node), *network.inputs(reader))
        ):
            fused[readers[0]] = i
    steps = []
    for step in program.steps:
        if step.gives in fused:
            i = fused[step.gives]
            # The operands are q, k and v. The scores are not computed.
            steps.append(replace(step, nodes=(i, step.gives), operands=(*network.nodes[i].inputs, step.operands[1])))
        elif step.gives not in fused.values():
            steps.append(step)
    return program.with_steps(tuple(steps)), f"fused {len(fused)} scores with values" if fused else ""


def fuse_neurons(program: Program) -> tuple[Program, str]:
    """Fuse each batch norm with its only consumer, if that is a neuron, and with a join of the spikes.

    The normalised current is computed in the kernel and not stored. The backward pass recomputes it from the input of
    the norm and two numbers per channel. Spikes before a join are not stored either. The operands of a fused step are
    the input of the norm and the other operand of the join, in this order.

    Law: equal outputs, gradients and running statistics, up to rounding and its consequences.
    """
    network = program.network
    norms = _norms_by_neuron(network)
    if not norms:
        return program, ""
    joins = _neurons_by_join(network, norms)
    # Norms are computed in the step of the neuron, and neurons in that of the join.
    fused = {*norms.values(), *joins.values()}
    steps = tuple(_fuse_step(step, norms, joins, network) for step in program.steps if step.gives not in fused)
    report = f"fused {len(norms)} batch norm{'s' * (len(norms) > 1)} with neurons"
    return program.with_steps(steps), f"{report}, and {len(joins)} join{'s' * (len(joins) > 1)}" if joins else report


def _norms_by_neuron(network: Network) -> dict[int, int]:
    """Return the batch norms with a neuron as only consumer, by neuron."""
    # Nodes in loops are computed time-step by time-step, so they are not fused.
    return {
        readers[0]: i
        for i, readers in enumerate(network.graph.consumers)
        if isinstance(network.nodes[i].op, BatchNorm)
        and len(readers) == 1
        and network.graph.looped.isdisjoint((i, *readers))
        and _stays_in_order(network, i, readers[0])
        and i not in network.output_indices
        and isinstance(op := network.nodes[readers[0]].op, Activation)
        and op.takes_norm
        # A norm of a single time-step is fast, and the kernel would count the samples of each time-step.
        and i not in network.reduced
    }


def _neurons_by_join(network: Network, neurons: Mapping[int, int]) -> dict[int, int]:
    """Return the normalised neurons with a join as only consumer, by join (the later one of two)."""
    return {
        readers[0]: i
        for i, readers in enumerate(network.graph.consumers)
        if i in neurons
        and len(readers) == 1
        and i not in network.output_indices
        and is_residual(network, readers[0])
        and _stays_in_order(network, neurons[i], readers[0])
    }


def _stays_in_order(network: Network, norm: int, end: int) -> bool:
    """Return whether no other call of a norm, which has the same statistics, is computed within a fused step."""
    owner = network.nodes[norm].weights
    return not any(norm < user <= end for user in network.users.get(norm if owner is None else owner, ()))


def _fuse_step(
    step: ExecutionStep, norms: Mapping[int, int], joins: Mapping[int, int], network: Network
) -> ExecutionStep:
    neuron = joins.get(step.gives, step.gives)
    norm = norms.get(neuron)
    if norm is None:
        return step
    inputs = network.nodes[norm].inputs
    if neuron == step.gives:
        return ExecutionStep((norm, neuron), inputs)
    other_operands = tuple(i for i in network.nodes[step.gives].inputs if i != neuron)
    return ExecutionStep((norm, neuron, step.gives), inputs + other_operands)


def fold_batch_norm(program: Program) -> tuple[Program, str]:
    """Fold each remaining batch norm after a convolution or linear layer into the weights, in evaluation.

    The folded weights are computed in every forward pass, so they are never stale. In training, both layers run
    separately.

    Law: equal outputs and gradients, up to rounding and its consequences: products of weights are rounded before they
    are summed.
    """
    network = program.network
    # A norm that is fused with neurons cannot be folded too.
    single = {step.gives for step in program.steps if len(step.nodes) == 1}
    # A second norm after a layer is not folded.
    pairs = {
        norm: layer
        for norm, layer in foldable_norms(network).items()
        if network.nodes[norm].inputs == (layer,) and {layer, norm} <= single
    }
    if not pairs:
        return program, ""
    # The folded step runs once only if both layers would.
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
    return program.with_steps(
        steps
    ), f"folded {len(pairs)} batch norm{'s' * (len(pairs) > 1)} into weights, in evaluation"
