"""Batch norm and the neurons behind it in one step."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ops.layers.batch_norm import BatchNorm
from sewdsl.passes.program import Program, Step


def fuse(program: Program) -> tuple[Program, str]:
    """Puts every batch norm that only one neuron reads into that neuron's step.

    The normalised current is then computed where it is used, and nothing of it is stored: for the backward pass, the
    input of the norm and two numbers a channel give it again.

    Law: the same outputs, gradients and running statistics, apart from rounding.
    """
    network = program.network
    pairs = {reader: norm for norm, reader in _pairs(network)}
    norms = set(pairs.values())
    steps = tuple(_fused(step, pairs, network) for step in program.steps if step.gives not in norms)
    if not pairs:
        return program, ""
    return program.with_steps(steps), f"{len(pairs)} batch norms are computed together with the neurons behind them"


def _pairs(network: Network) -> list[tuple[int, int]]:
    """Indices of batch norms and of the neurons that are their only readers."""
    return [
        (i, readers[0])
        for i, readers in enumerate(network.readers)
        if isinstance(network.nodes[i].op, BatchNorm)
        and len(readers) == 1
        and i != network.output
        and isinstance(network.nodes[readers[0]].op, LinearNeuron)
    ]


def _fused(step: Step, pairs: dict[int, int], network: Network) -> Step:
    norm = pairs.get(step.gives)
    return step if norm is None else Step((norm, step.gives), network.nodes[norm].inputs)
