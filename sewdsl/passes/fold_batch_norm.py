"""Batch norm folded into the weights of the layer before it, for inference."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.passes.program import ExecutionStep, Program


def fold_batch_norm(program: Program) -> tuple[Program, str]:
    """Puts every batch norm that is still on its own after a convolution or a linear layer into that layer's step.

    In evaluation, the layer then runs with weights that give the normalised output at once. They are computed again in
    each forward, from what the modules hold: nothing can be out of date. In training, both run as ever.

    Law: the same outputs and gradients, apart from rounding and what is decided by it: products of weights are rounded
    before they are added up.
    """
    network = program.network
    alone = {step.gives for step in program.steps if len(step.nodes) == 1}
    pairs = {norm: layer for layer, norm in _pairs(network) if {layer, norm} <= alone}
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


def _pairs(network: Network) -> list[tuple[int, int]]:
    """Indices of layers and of the batch norms that are their only readers."""
    return [
        (i, readers[0])
        for i, readers in enumerate(network.graph.consumers)
        if isinstance(network.nodes[i].op, Conv | Linear)
        and len(readers) == 1
        and i not in network.given
        and isinstance(network.nodes[readers[0]].op, BatchNorm)
    ]
