"""Operations and energy per sample and layer: upper bounds, counts, and the estimate of the literature.

Layers with weights are counted in three ways. *Dense* hardware multiplies and adds at every kernel tap, padding
included. *Event-driven* hardware adds a weight for each non-zero value and each weight that the value is multiplied by.
Edges and strides are exact. A count k, the result of ADD on spikes, is one event if the hardware can scale a weight by
it, or k consecutive spikes. Non-integer values, such as those of an image, are multiplied. Value ranges are those in
evaluation, in which dropout passes spikes unchanged.

Neurons, joins, pooling and batch norm are not counted. Such hardware folds batch norm into the weights. Attention over
sequences is not counted either, because its weights are applied to means and maxima of real values
(:func:`uncounted_kinds`).

The usual estimate of a spiking network is ``E = E_MAC · FLOPs_1 + E_AC · Σ rate · FLOPs · T``. Layers between the input
and the first neurons multiply. Every other layer adds once per multiply-accumulate and time-step, scaled by the
fraction of non-zero inputs (Yao et al., TPAMI 2023, Eq. 17; Zhou et al., QKFormer, NeurIPS 2024, appendix 6.6). The
counts differ from this formula by the effects in :func:`energy_gaps`, whose sum is the whole difference.

NeuroBench defines synaptic operations as follows. ``Dense`` counts all connections without padding, including those of
zeros. ``Effective_MACs`` and ``Effective_ACs`` count the connections of non-zero values only: multiply-accumulates if
the input of the layer is not binary, accumulates if it is. Both are counted at each time-step and without products of
attention, which are not layers with weights. Weights of zero are counted.

Memory traffic assumes hardware that reads a weight per event, and reads and writes every state of every neuron at each
time-step, in 32-bit words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import FanOut, Merge, Neuron


class EnergyCosts(NamedTuple):
    """Energy per operation in pJ, for 32-bit floats at 45 nm (Horowitz 2014)."""

    mac: float = 4.6
    ac: float = 0.9


class LayerOperations(NamedTuple):
    """Operations of a layer for one sample, over all time-steps."""

    node: Node
    real: bool
    """Whether the input is not integer, so that the layer multiplies."""
    steps: int
    """Number of evaluations: T, or 1 for a static input."""
    dense: int
    """Multiply-accumulates at all kernel taps."""
    connections: int
    """Multiplications by weights if every input is 1, with exact edges and strides."""
    events: int
    """Operations if every input is 1, except the first outputs of delays, and learned delays are 0."""
    upper: int
    """Largest input value, or 1 for real inputs."""
    T: int
    first: bool
    """Whether the input reaches the layer without passing a neuron."""
    membranes: int
    """32-bit words of neuron state read and written over all time-steps, for the neurons after this layer and before
    the next."""

    @property
    def accumulations(self) -> int:
        """Operations if all inputs have the largest value and a count k is k spikes."""
        return self.events * self.upper

    def energy(self, operations: float, costs: EnergyCosts) -> float:
        """Return the energy of event-driven operations of the layer in J."""
        return operations * (costs.mac if self.real else costs.ac) * 1e-12

    def dense_energy(self, costs: EnergyCosts) -> float:
        """Return the energy of dense arithmetic in J."""
        return self.dense * costs.mac * 1e-12

    def break_even(self, costs: EnergyCosts) -> float:
        """Return the events per value and time-step below which event-driven computation takes less energy.

        The reference is one dense evaluation of a network without spikes, instead of T evaluations.
        """
        events = self.energy(self.connections, costs)
        return self.dense_energy(costs) / self.steps / events if events else inf


def operation_bounds(network: Network) -> Iterator[LayerOperations]:
    """Yield upper bounds of the operations of every layer with weights, in topological order."""
    network = network.in_evaluation()
    T = network.settings.steps
    layers = {node.name: weighted_inputs for node in network if (weighted_inputs := _weighted_inputs(network, node))}
    after_neurons, traffic = _nodes_after_neurons(network), _membrane_traffic(network, [*layers])
    zeros = _first_zeros(network)
    for node in (node for node in network if node.name in layers):
        sources = [(fan, network.nodes[index].output, zeros[index]) for fan, index in layers[node.name]]
        # A static value is computed once.
        steps = T if node.output.varies else 1
        # An integer operand is added up, also in products with real values.
        real = any(source.values.largest is None for _, source, _ in sources)
        upper = 1 if real else max(source.values.largest or 1 for _, source, _ in sources)
        connections = round(sum(fan.total(steps) * source.channels for fan, source, _ in sources))
        events = round(sum(fan.total(steps - silent) * source.channels for fan, source, silent in sources))
        first, dense = node.name not in after_neurons, network.macs(node) * steps
        yield LayerOperations(node, real, steps, dense, connections, events, upper, T, first, traffic.get(node.name, 0))


def uncounted_kinds(network: Network) -> tuple[str, ...]:
    """Return the kinds of layers with uncounted multiplications, in order of their first node."""
    kinds = (node.op.kind for node in network if network.macs(node) and not _weighted_inputs(network, node))
    return tuple(dict.fromkeys(kinds))


def _weighted_inputs(network: Network, node: Node) -> list[tuple[FanOut, int]]:
    """Return the sources of a node with a fan-out, each after its fan-out."""
    fans = network.op_with_init(node).fan_outs(*network.inputs(node))
    return [(fan, index) for fan, index in zip(fans, node.sources, strict=True) if fan is not None]


def _first_zeros(network: Network) -> list[int]:
    """Return the number of first time-steps at which delays make the output of each node zero."""
    zeros: list[int] = []
    for node in network:
        delayed = node.op.delay_steps or node.op.view
        zeros.append(node.op.delay_steps + (zeros[node.inputs[0]] if delayed and node.inputs else 0))
    return zeros


def _nodes_after_neurons(network: Network) -> set[str]:
    """Return the names of the nodes after a neuron or another activation, including paths through delays in loops."""
    todo = [index for index, node in enumerate(network) if node.op.is_activation]
    after: set[int] = set()
    while todo:
        readers = set(network.graph.consumers[todo.pop()]) - after
        after |= readers
        todo += readers
    return {network.nodes[index].name for index in after}


def _membrane_traffic(network: Network, layers: Sequence[str]) -> dict[str, int]:
    """Return the words of neuron state read and written over all time-steps, by the last layer before the neuron."""
    last_layers: list[str] = []  # last layer before each node
    order = {node.name: position for position, node in enumerate(network)}
    traffic: dict[str, int] = {}
    for node in network:
        preceding = [last_layers[i] for i in node.inputs if i < len(last_layers) and last_layers[i]]
        layer = node.name if node.name in layers else max(preceding, key=order.__getitem__, default="")
        last_layers.append(layer)
        equations = node.op.equations  # equations define their own states
        states = int(isinstance(node.op, Neuron)) if equations is None else len(equations.rest)
        # Each state is read and written.
        words = 2 * states * node.output.elements * network.settings.steps
        if states and layers:
            owner = layer or layers[0]
            traffic[owner] = traffic.get(owner, 0) + words
    return traffic


GAPS = {
    "padding": "the estimate includes taps on padding and positions skipped by strides",
    "zeros": "the estimate includes multiplications of zeros in the input",
    "input of spikes": "an integer input is added instead of multiplied",
    "places": "non-zero values are multiplied by more or fewer weights than the average value",
    "counts": "a count k, the sum of spikes in a join, is k accumulations instead of one",
    "real values": "later layers with real inputs, such as a membrane potential or a mean, multiply",
    "attention": "a count k in products of attention is k accumulations",
}
"""Causes of differences between the counts and the usual estimate."""


class MemoryCosts(NamedTuple):
    """Energy in pJ of reading or writing a 32-bit word: half of a 64-bit access to 8 KB (Horowitz 2014)."""

    weight: float = 5.0
    membrane: float = 5.0
    """Membrane potential or another state of a neuron."""


class SynapticOperations(NamedTuple):
    """NeuroBench metrics of one sample, with its names."""

    Effective_MACs: float
    """Multiply-accumulates of layers with non-binary input."""
    Effective_ACs: float
    """Accumulates of layers with binary input."""
    Dense: float
    """All connections, including those of zeros."""


class LayerCounts(NamedTuple):
    """Operations of a layer for one sample over all time-steps: means of counts, or upper bounds."""

    most: LayerOperations
    """The layer and its upper bounds."""
    dense: float
    """Multiply-accumulates at all kernel taps."""
    events: float
    """Operations if a count is one event."""
    accumulations: float
    """Operations if a count k is k spikes."""
    rate: float = 1.0
    """Fraction of non-zero input values, in [0, 1]."""
    largest: float = 1.0
    """Largest absolute input value."""
    activity: float | None = None
    """Fraction of non-zero input values weighted by fan-out, in [0, 1]. None: not counted."""

    @classmethod
    def at_most(cls, most: LayerOperations) -> LayerCounts:
        """Return the operations of a layer if every neuron fires at every time-step."""
        return cls(most, most.dense, most.events, most.accumulations)

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.most.node.name

    @property
    def product(self) -> bool:
        """True for a product of values, e.g. in attention, which has no weights."""
        return isinstance(self.most.node.op, Merge)

    @property
    def binary(self) -> bool:
        """True if all input values were 0 or 1."""
        return not self.most.real and self.largest <= 1

    @property
    def flops(self) -> int:
        """Multiply-accumulates of one time-step, including padding."""
        return self.most.dense // self.most.steps

    @property
    def macs(self) -> float:
        """Counted multiply-accumulates."""
        return self.events if self.most.real else 0

    @property
    def acs(self) -> float:
        """Counted accumulations."""
        return 0 if self.most.real else self.accumulations

    @property
    def estimated_macs(self) -> float:
        """Multiply-accumulates of the usual estimate."""
        return self.flops * self.most.steps if self.most.first else 0

    @property
    def estimated_acs(self) -> float:
        """Accumulations of the usual estimate."""
        return 0 if self.most.first else self.rate * self.flops * self.most.T

    @property
    def weights(self) -> float:
        """Number of weights read."""
        return 0 if self.product else self.events

    @property
    def synaptic_operations(self) -> SynapticOperations:
        """NeuroBench metrics of the layer, which evaluates constant inputs at each time-step too."""
        if self.product:
            return SynapticOperations(0, 0, 0)
        repeats = self.most.T / self.most.steps
        events = self.events * repeats
        return SynapticOperations(
            0 if self.binary else events, events if self.binary else 0, self.most.connections * repeats
        )

    def counted(self, costs: EnergyCosts) -> float:
        """Return the energy of the counted operations in J."""
        return (self.macs * costs.mac + self.acs * costs.ac) * 1e-12

    def estimated(self, costs: EnergyCosts) -> float:
        """Return the energy of the usual estimate in J."""
        return (self.estimated_macs * costs.mac + self.estimated_acs * costs.ac) * 1e-12

    def as_json(self, costs: EnergyCosts) -> dict[str, Any]:
        """Return the layer as plain data, with rate, estimate and later fields for counted layers only."""
        break_even = self.most.break_even(costs)
        row = {
            "path": self.name,
            "multiplies": self.most.real,
            "steps": self.most.steps,
            "dense": self.dense,
            "events": self.events,
            "accumulations": self.accumulations,
            "activity": self.activity,
            "breaks_even_at": break_even if isfinite(break_even) else None,
        }
        # Upper bounds have no rates.
        if self.activity is None:
            del row["activity"]
            return row
        return {
            **row,
            "rate": self.rate,
            "estimate": self.estimated_macs + self.estimated_acs,
            "weights_read": self.weights,
            "membranes_read_and_written": self.most.membranes,
            **self.synaptic_operations._asdict(),
        }


def total_energies(layers: Iterable[LayerCounts], costs: EnergyCosts) -> tuple[float, float, float]:
    """Return the energy of all layers in J: dense, by events, and by accumulations."""
    layers = list(layers)
    dense = sum(layer.dense * costs.mac * 1e-12 for layer in layers)
    events = sum(layer.most.energy(layer.events, costs) for layer in layers)
    return dense, events, sum(layer.most.energy(layer.accumulations, costs) for layer in layers)


def energy_gaps(layers: Iterable[LayerCounts], costs: EnergyCosts) -> dict[str, float]:
    """Return the contributions to the difference between counts and usual estimate in J, by the names of :data:`GAPS`.

    Their sum is the counted energy minus the estimated energy.
    """
    gaps = dict.fromkeys(GAPS, 0.0)
    for layer in layers:
        first = layer.most.first
        if layer.product:
            gaps["attention"] += layer.counted(costs) - layer.estimated(costs)
            continue
        cost = costs.mac if first else costs.ac
        rate = 1.0 if first else layer.rate
        # Each gap is the difference between consecutive terms, so the sum is exact.
        without_padding, of_events = rate * layer.most.connections * cost, layer.events * cost
        gaps["padding"] += without_padding * 1e-12 - layer.estimated(costs)
        gaps["zeros" if first else "places"] += (of_events - without_padding) * 1e-12
        remaining_gap = "input of spikes" if first else "real values" if layer.most.real else "counts"
        gaps[remaining_gap] += layer.counted(costs) - of_events * 1e-12
    return gaps


def implied_rate(layers: Sequence[LayerCounts], energy: float, costs: EnergyCosts, steps: int) -> float | None:
    """Return the mean firing rate, weighted by FLOPs, at which the usual estimate has a given energy in J.

    None if no layer accumulates.
    """
    fixed = sum(layer.estimated_macs for layer in layers) * costs.mac * 1e-12
    adding = sum(layer.flops for layer in layers if not layer.most.first) * steps * costs.ac * 1e-12
    return (energy - fixed) / adding if adding else None
