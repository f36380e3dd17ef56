"""Consecutive Spiking blocks, over which gradients vanish or explode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, prod, sqrt
from sys import float_info

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ops.chains import RATES, bound_above, bound_below
from sewdsl.ops.layers.max_pool import MaxPool
from sewdsl.ops.residual import Residual, reads, rows
from sewdsl.ops.transmission import slopes

FACTOR = 10
"""By how much a row must multiply or divide a gradient to be warned of."""

Chain = tuple[LinearNeuron, ...]


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: ARG001, FBT001 -- the signature of all rules
    """Eq. 8 for the file's neurons and time-steps: what consecutive blocks with neutral branches make of a gradient.

    SEW blocks leave it as it is (Eq. 11).
    """
    T = network.settings.steps
    for row in rows(network, lambda block: _neuron(network, block) is not None):
        chains, windows = _chains(network, row)
        most, least = _most(chains, windows, T), bound_below(sum(chains, ()), T, apart=len(chains) > 1)
        if most is not None and most <= 1 / FACTOR:
            yield _report(network, row, "vanishing-gradient", f"at most {most:.2g} at T = {T}", "larger")
        elif least is not None and least >= FACTOR:
            size = f"at least {min(least, float_info.max):.2g} at T = {T}"
            rates = f"firing rates from {RATES[0]:g} to {RATES[-1]:g}"
            yield _report(network, row, "exploding-gradient", f"{size} and {rates}", "smaller")


def _neuron(network: Network, block: Residual) -> LinearNeuron | None:
    """The neuron of a Spiking block, if its factors are known and all of the gradient goes through it."""
    neuron, source = network.nodes[block.end].op, network.nodes[block.source]
    if block.activation is None or not isinstance(neuron, LinearNeuron) or slopes(neuron) is None:
        return None
    if not source.output.values.binary:
        return None
    bypassed = not all(reads(network, block.join, reader) for reader in network.readers[block.source])
    while isinstance(source.op, MaxPool):
        bypassed = bypassed or len(network.readers[source.inputs[0]]) > 1
        source = network.nodes[source.inputs[0]]
    return None if bypassed else neuron


def _chains(network: Network, row: Sequence[Residual]) -> tuple[list[Chain], int]:
    """The neurons of a row, divided where it pools, and of how many windows a value can be the maximum."""
    neurons = [neuron for neuron in (_neuron(network, block) for block in row) if neuron is not None]
    chains: list[Chain] = [(neurons[0],)]
    windows = 1
    for (before, block), neuron in zip(pairwise(row), neurons[1:], strict=True):
        if block.source == before.end:
            chains[-1] += (neuron,)
            continue
        chains.append((neuron,))
        node = network.nodes[block.source]
        while isinstance(node.op, MaxPool):
            windows *= prod(ceil(k / s) for k, s in zip(node.op.kernel, node.op.stride, strict=True))
            node = network.nodes[node.inputs[0]]
    return chains, windows


def _most(chains: Sequence[Chain], windows: int, T: int) -> float | None:
    """By how much chains with pooling between them multiply a gradient at most; None if that is not known.

    A window sends its gradient to its maximum, so that pooling adds up those of several windows at most.
    """
    factor, silent = sqrt(windows), False
    for chain in chains:
        bound = bound_above(chain, T, silent=silent)
        if bound is None:
            return None
        factor, silent = factor * bound.factor, bound.silent
    return factor


def _report(network: Network, row: Sequence[Residual], code: str, size: str, advice: str) -> Diagnostic:
    join, neuron = network.nodes[row[-1].join], _neuron(network, row[-1])
    one = slopes(neuron) if neuron else None
    assert neuron is not None and one is not None  # noqa: S101, PT018 -- only such blocks belong to a row
    blocks = "with a neutral branch, a Spiking block multiplies"
    if len(row) > 1:
        blocks = f"with neutral branches, {len(row)} consecutive Spiking blocks multiply"
    return Diagnostic(
        code,
        Severity.WARNING,
        f"{blocks} the gradient by {size} (Eq. 8)",
        join.span,
        label=f"{neuron.kind} at rest: {one.spike:.3g} where there is a spike, {one.silent:.3g} where there is none",
        help=f"use SEW blocks, whose gradient is 1 (Eq. 11), or a surrogate with a {advice} derivative",
        path=join.where,
    )
