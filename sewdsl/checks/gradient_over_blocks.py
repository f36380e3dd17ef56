"""Vanishing and exploding gradients over consecutive Spiking blocks."""

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
"""Smallest factor by which a reported chain of blocks multiplies or divides a gradient."""

MAX_FIRST_RATE = 0.2
"""Highest firing rate at which an exploding gradient has to begin to be reported."""

MAX_BOUNDS = 20
"""Maximum number of different chains for which a bound is computed. Longer searches would slow down ``check``."""

Chain = tuple[LinearNeuron, ...]


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn if a gradient vanishes or explodes over consecutive blocks with neutral branches (Eq. 8).

    SEW blocks have a gradient of 1 (Eq. 11).
    """
    T, factors = network.settings.steps, _Factors(network.settings.steps)
    for row in identity_chains(network, lambda block: _neuron(network, block) is not None):
        chains, windows = _chains(network, row)
        upper, lower = factors.upper_bound(chains, windows), factors.lower_bounds(chains)
        if upper is not None and upper <= 1 / MIN_GRADIENT_CHANGE:
            yield _report(network, row, "vanishing-gradient", f"at most {upper:.2g} at T = {T}", "larger")
            continue
        for index, rate in enumerate(RATES[: RATES.index(MAX_FIRST_RATE) + 1]):
            # The factor is not monotonic in the firing rate: take the minimum over all higher rates.
            bound = min(lower[index:]) if lower else 0.0
            if bound >= MIN_GRADIENT_CHANGE:
                size = f"at least {min(bound, float_info.max):.2g} at T = {T}"
                rates = f"firing rates from {rate:g} to {RATES[-1]:g}"
                yield _report(network, row, "exploding-gradient", f"{size} and {rates}", "smaller")
                break


def _neuron(network: Network, block: ResidualBlock) -> LinearNeuron | None:
    """Return the neuron of a Spiking block, if it receives the whole gradient and its derivative is known."""
    neuron, source = network.nodes[block.end].op, network.nodes[block.source]
    if block.activation is None or not isinstance(neuron, LinearNeuron) or surrogate_slopes(neuron) is None:
        return None
    if not source.output.values.binary:
        return None
    readers = network.graph.consumers[block.source]
    # A reader outside the block is a second path for the gradient.
    if readers[-1] > block.join or not all(network.graph.reaches(reader, block.join) for reader in readers):
        return None
    while isinstance(source.op, MaxPool):
        if len(network.graph.consumers[source.inputs[0]]) > 1:
            return None
        source = network.nodes[source.inputs[0]]
    return neuron


def _chains(network: Network, row: Sequence[ResidualBlock]) -> tuple[list[Chain], float]:
    """Split the neurons of consecutive blocks at max pooling, and count the pooling windows per value."""
    neurons = [neuron for neuron in (_neuron(network, block) for block in row) if neuron is not None]
    chains: list[list[LinearNeuron]] = [[neurons[0]]]
    windows = 1.0  # A float overflows to infinity, an int would grow without bound.
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
    """Cache of gradient bounds, limited to :data:`MAX_BOUNDS` of each kind."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._above: dict[tuple[Chain, bool], Bound | None] = {}
        self._below: dict[tuple[Chain, bool], tuple[float, ...] | None] = {}

    def upper_bound(self, chains: Sequence[Chain], windows: float) -> float | None:
        """Return an upper bound of the gradient's factor over chains separated by max pooling.

        Args:
            windows: Number of pooling windows whose maximum one value can be.

        Returns:
            None if no bound is known.
        """
        # A pooling window passes its gradient to its maximum: a value sums up the gradients of its windows.
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

    def lower_bounds(self, chains: Sequence[Chain]) -> tuple[float, ...] | None:
        """Return lower bounds of the gradient's factor for each of the ``RATES``, or None if unknown."""
        key = tuple(neuron for chain in chains for neuron in chain), len(chains) > 1
        if key not in self._below and len(self._below) < MAX_BOUNDS:
            self._below[key] = bound_below(key[0], self._steps, apart=key[1])
        return self._below.get(key)


def _report(network: Network, row: Sequence[ResidualBlock], code: str, size: str, advice: str) -> Diagnostic:
    join, neuron = network.nodes[row[-1].join], _neuron(network, row[-1])
    slopes = surrogate_slopes(neuron) if neuron else None
    assert neuron is not None and slopes is not None  # noqa: S101, PT018 -- only such blocks form a chain
    blocks = "with a neutral branch, a Spiking block multiplies"
    if len(row) > 1:
        blocks = f"with neutral branches, {len(row)} consecutive Spiking blocks multiply"
    return join.diagnostic(
        code,
        Severity.WARNING,
        f"{blocks} the gradient by {size} (Fang et al. 2021, Eq. 8)",
        label=f"derivative of {neuron.kind} at rest: {slopes.spike:.3g} with a spike, {slopes.silent:.3g} without",
        help=f"use SEW blocks, which have a gradient of 1 (Eq. 11), or a surrogate with a {advice} derivative",
    )
