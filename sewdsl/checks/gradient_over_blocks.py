"""Consecutive Spiking blocks, over which gradients vanish or explode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, prod, sqrt
from sys import float_info

from sewdsl.analysis.neuron_chains import RATES, Bound, bound_above, bound_below
from sewdsl.analysis.residual_blocks import ResidualBlock, identity_chains
from sewdsl.analysis.spike_transmission import surrogate_slopes
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ops.layers.pool import MaxPool

MIN_GRADIENT_CHANGE = 10
"""By how much a row must multiply or divide a gradient to be warned of."""

MAX_FIRST_RATE = 0.2
"""The firing rate from which on, at the latest, a row must multiply a gradient by that much to be warned of."""

MAX_BOUNDS = 20
"""Chains of different neurons, or of different lengths, for which a bound is computed; of more, none is known."""

Chain = tuple[LinearNeuron, ...]


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Eq. 8 for the file's neurons and time-steps: what consecutive blocks with neutral branches make of a gradient.

    SEW blocks leave it as it is (Eq. 11).
    """
    T, factors = network.settings.steps, _Factors(network.settings.steps)
    for row in identity_chains(network, lambda block: _neuron(network, block) is not None):
        chains, windows = _chains(network, row)
        most, least = factors.most(chains, windows), factors.least(chains)
        if most is not None and most <= 1 / MIN_GRADIENT_CHANGE:
            yield _report(network, row, "vanishing-gradient", f"at most {most:.2g} at T = {T}", "larger")
            continue
        for number, rate in enumerate(RATES[: RATES.index(MAX_FIRST_RATE) + 1]):
            bound = min(least[number:]) if least else 0.0
            if bound >= MIN_GRADIENT_CHANGE:
                size = f"at least {min(bound, float_info.max):.2g} at T = {T}"
                rates = f"firing rates from {rate:g} to {RATES[-1]:g}"
                yield _report(network, row, "exploding-gradient", f"{size} and {rates}", "smaller")
                break


def _neuron(network: Network, block: ResidualBlock) -> LinearNeuron | None:
    """The neuron of a Spiking block, if its factors are known and all of the gradient goes through it."""
    neuron, source = network.nodes[block.end].op, network.nodes[block.source]
    if block.activation is None or not isinstance(neuron, LinearNeuron) or surrogate_slopes(neuron) is None:
        return None
    if not source.output.values.binary:
        return None
    readers = network.graph.consumers[block.source]
    if readers[-1] > block.join or not all(network.graph.reaches(reader, block.join) for reader in readers):
        return None
    while isinstance(source.op, MaxPool):
        if len(network.graph.consumers[source.inputs[0]]) > 1:
            return None
        source = network.nodes[source.inputs[0]]
    return neuron


def _chains(network: Network, row: Sequence[ResidualBlock]) -> tuple[list[Chain], float]:
    """The neurons of a row, divided where it pools, and of how many windows a value can be the maximum."""
    neurons = [neuron for neuron in (_neuron(network, block) for block in row) if neuron is not None]
    chains: list[list[LinearNeuron]] = [[neurons[0]]]
    windows = 1.0  # a float: infinite where it is beyond all bounds
    for (before, block), neuron in zip(pairwise(row), neurons[1:], strict=True):
        if block.source == before.end:
            chains[-1].append(neuron)
            continue
        chains.append([neuron])
        node = network.nodes[block.source]
        while isinstance(node.op, MaxPool):
            windows *= prod(ceil(k / s) for k, s in zip(node.op.kernel, node.op.stride, strict=True))
            node = network.nodes[node.inputs[0]]
    return [tuple(chain) for chain in chains], windows


class _Factors:
    """By how much rows multiply a gradient; each bound is computed once, and of many different ones only the first."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._above: dict[tuple[Chain, bool], Bound | None] = {}
        self._below: dict[tuple[Chain, bool], tuple[float, ...] | None] = {}

    def most(self, chains: Sequence[Chain], windows: float) -> float | None:
        """By how much chains with pooling between them do so at most; None if that is not known.

        A window sends its gradient to its maximum, so that pooling adds up those of several windows at most.
        """
        factor, silent = sqrt(windows), False
        for chain in chains:
            key = chain, silent
            if key not in self._above and len(self._above) < MAX_BOUNDS:
                self._above[key] = bound_above(chain, self._steps, silent=silent)
            bound = self._above.get(key)
            if bound is None:
                return None
            factor, silent = factor * bound.factor, bound.silent
        return factor

    def least(self, chains: Sequence[Chain]) -> tuple[float, ...] | None:
        """Return by how much they do so at least, for each of the ``RATES``; None if that is not known."""
        key = tuple(neuron for chain in chains for neuron in chain), len(chains) > 1
        if key not in self._below and len(self._below) < MAX_BOUNDS:
            self._below[key] = bound_below(key[0], self._steps, apart=key[1])
        return self._below.get(key)


def _report(network: Network, row: Sequence[ResidualBlock], code: str, size: str, advice: str) -> Diagnostic:
    join, neuron = network.nodes[row[-1].join], _neuron(network, row[-1])
    one = surrogate_slopes(neuron) if neuron else None
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
