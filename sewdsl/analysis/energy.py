"""Operations and energy of one sample, layer by layer: at most, by shapes and ranges alone, counted, and as estimated.

A layer with weights is counted in three ways. A machine for dense arithmetic multiplies and adds at every tap, padding
included, whatever the values. One that is driven by events adds a weight for each value that is not zero and each
weight that it meets; edges and strides are exact. A count k, which ADD makes of spikes, is one event if the machine can
scale a weight by it, or k spikes one after the other. Values that are not integers, such as an image's, are
multiplied. Ranges are those of evaluation, in which dropout passes spikes as they are.

Neurons, joins, pooling and batch norm are not counted; batch norm is part of the weights on such a machine. Nor is
attention to sequences, whose weights meet means and maxima of real values (:func:`uncounted_kinds`).

The usual estimate of a spiking network is ``E = E_MAC · FLOPs_1 + E_AC · Σ rate · FLOPs · T``: the layers that the
input reaches without a neuron multiply, and every other layer adds once for each of its multiply-accumulates, each
time-step and the share of its input that is not zero (Yao et al., TPAMI 2023, Eq. 17; Zhou et al., QKFormer, NeurIPS
2024, appendix 6.6). What is counted differs by what that formula leaves out; :func:`energy_gaps` says how much each
takes, and the parts add up to the whole difference.

NeuroBench's figures are those of its definition of synaptic operations: ``Dense`` counts all connections, of zeros too
but without padding; ``Effective_MACs`` and ``Effective_ACs`` only those that values other than zero meet, multiply-
accumulates where the values of a layer's input are not binary, accumulates where they are; at each time-step, and
without products of attention, which are no layer with weights. That weights may be zero too is not looked at.

Memory traffic is that of a machine that reads a weight for each event, and reads and writes every state of every neuron
at each time-step, all as words of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, FanOut, Merge, Neuron
from sewdsl.ir.signal import Signal


class EnergyCosts(NamedTuple):
    """Energy of an operation in pJ, of 32-bit floats at 45 nm (Horowitz 2014), as the field uses them."""

    mac: float = 4.6
    ac: float = 0.9


class LayerOperations(NamedTuple):
    """What a layer computes for one sample, over all its time-steps.

    Attributes:
        real: Whether its input is not integers, and has to be multiplied.
        steps: How often it computes: T, or once for an input that is the same at each time-step.
        dense: Multiply-accumulates at every tap.
        meetings: Weights that its input meets in one time-step, all of it being 1: edges and strides are exact.
        upper: The greatest value of its input; 1 where that is real.
        first: Whether the input reaches the layer without a neuron.
        membranes: Words of neuron states that are read and written at all time-steps, of the neurons that the layer is
            the last one before.
    """

    node: Node
    real: bool
    steps: int
    dense: int
    meetings: int
    upper: int
    T: int
    first: bool
    membranes: int

    @property
    def events(self) -> int:
        """Operations if no value were zero, a count being one event."""
        return self.meetings * self.steps

    @property
    def accumulations(self) -> int:
        """Operations if every value were the greatest, a count k being k spikes."""
        return self.events * self.upper

    def energy(self, operations: float, costs: EnergyCosts) -> float:
        """Energy in J of so many operations of the layer, driven by events."""
        return operations * (costs.mac if self.real else costs.ac) * 1e-12

    def dense_energy(self, costs: EnergyCosts) -> float:
        """Energy in J of dense arithmetic."""
        return self.dense * costs.mac * 1e-12

    def break_even(self, costs: EnergyCosts) -> float:
        """Events for each value and time-step below which they take less energy than dense arithmetic does once.

        That of a network without spikes, which computes once what this one does T times.
        """
        events = self.energy(self.events, costs)
        return self.dense_energy(costs) / self.steps / events if events else inf


def operation_bounds(network: Network) -> Iterator[LayerOperations]:
    """Of every layer with weights, in order."""
    network = network.in_evaluation()
    T = network.settings.steps
    layers = {node.name: met for node in network if (met := _weighted_inputs(network, node))}
    behind_neurons, traffic = _nodes_after_neurons(network), _membrane_traffic(network, [*layers])
    for node in network:
        if node.name not in layers:
            continue
        met, sources = layers[node.name], network.inputs(node)
        steps = T if any(source.varies for source in sources) else 1
        real = any(source.values.largest is None for source in sources)
        upper = 1 if real else max(source.values.largest or 1 for _, source in met)
        meetings = sum(fan.total * source.channels for fan, source in met)
        first, membranes = node.name not in behind_neurons, traffic.get(node.name, 0)
        yield LayerOperations(node, real, steps, network.macs(node) * steps, meetings, upper, T, first, membranes)


def uncounted_kinds(network: Network) -> tuple[str, ...]:
    """Kinds of layers that multiply, but whose operations are not counted, in order of their first node."""
    kinds = (node.op.kind for node in network if network.macs(node) and not _weighted_inputs(network, node))
    return tuple(dict.fromkeys(kinds))


def _weighted_inputs(network: Network, node: Node) -> list[tuple[FanOut, Signal]]:
    """Return the inputs of a node that meet weights, each after the weights that it meets."""
    inputs = network.inputs(node)
    return [(fan, signal) for fan, signal in zip(node.op.fan_outs(*inputs), inputs, strict=True) if fan is not None]


def _nodes_after_neurons(network: Network) -> set[str]:
    """Return the names of the nodes that a neuron or another activation precedes, also by way of delays in loops."""
    todo = [index for index, node in enumerate(network) if isinstance(node.op, Activation)]
    after: set[int] = set()
    while todo:
        readers = set(network.graph.consumers[todo.pop()]) - after
        after |= readers
        todo += readers
    return {network.nodes[index].name for index in after}


def _membrane_traffic(network: Network, layers: Sequence[str]) -> dict[str, int]:
    """Return the words of states that are read and written at all time-steps, by the last layer before their neuron."""
    last: list[str] = []  # of each node, the last layer on a way to it
    order = {node.name: number for number, node in enumerate(network)}
    traffic: dict[str, int] = {}
    for node in network:
        before = [last[i] for i in node.inputs if i < len(last) and last[i]]
        here = node.name if node.name in layers else max(before, key=order.__getitem__, default="")
        last.append(here)
        equations = getattr(node.op, "equations", None)  # a neuron of a text has the states that it names
        states = int(isinstance(node.op, Neuron)) if equations is None else len(equations.after)
        words = 2 * states * node.output.elements * network.settings.steps
        if states and layers:
            owner = here or layers[0]
            traffic[owner] = traffic.get(owner, 0) + words
    return traffic


GAPS = {
    "padding": "the estimate adds at taps on padding, and counts what strides leave out as often as the rest",
    "zeros": "values of the input that are zero, which the estimate multiplies",
    "input of spikes": "an input of whole numbers is added, not multiplied",
    "places": "values that are not zero meet more or fewer weights than all values do on average",
    "counts": "a count k, which joins make of spikes, is k accumulations, not one",
    "real values": "layers after the first whose input is no whole numbers, such as a membrane or a mean, multiply",
    "attention": "counts in products of attention are as many accumulations",
}
"""Why what is counted differs from the usual estimate."""


class MemoryCosts(NamedTuple):
    """Energy in pJ of reading or writing a word of 32 bits: half an access of 64 bits to 8 KB (Horowitz 2014).

    Attributes:
        membrane: Of a membrane potential or another state of a neuron.
    """

    weight: float = 5.0
    membrane: float = 5.0


class SynapticOperations(NamedTuple):
    """NeuroBench's figures of one sample, by its names.

    Attributes:
        Effective_MACs: Of layers whose input is not binary.
        Effective_ACs: Of layers whose input is binary.
        Dense: Of all connections, whatever the values.
    """

    Effective_MACs: float
    Effective_ACs: float
    Dense: float


class LayerCounts(NamedTuple):
    """Operations of a layer for one sample, at all time-steps: counted, as means over samples, or at most.

    Attributes:
        most: The layer, and what it computes at most.
        dense: Multiply-accumulates at every tap.
        events: Operations, a count being one event.
        accumulations: Operations, a count k being k spikes.
        rate: Share of the values of its input that are not zero, in [0, 1].
        largest: The greatest value of its input, by size.
        activity: Share of the values that are not zero, each as often as it meets a weight, in [0, 1]; None: not
            counted.
    """

    most: LayerOperations
    dense: float
    events: float
    accumulations: float
    rate: float = 1.0
    largest: float = 1.0
    activity: float | None = None

    @classmethod
    def at_most(cls, most: LayerOperations) -> LayerCounts:
        """Return the operations of a layer if every neuron fires at every time-step."""
        return cls(most, most.dense, most.events, most.accumulations)

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.most.node.name

    @property
    def product(self) -> bool:
        """Whether the layer is a product of values, such as attention's, and has no weights."""
        return isinstance(self.most.node.op, Merge)

    @property
    def binary(self) -> bool:
        """Whether no value of its input was anything but 0 and 1."""
        return not self.most.real and self.largest <= 1

    @property
    def flops(self) -> int:
        """Multiply-accumulates of one time-step, padding included."""
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
        """Weights that are read."""
        return 0 if self.product else self.events

    @property
    def synaptic_operations(self) -> SynapticOperations:
        """NeuroBench's figures of the layer, which it runs at each time-step, whether or not the input changes."""
        if self.product:
            return SynapticOperations(0, 0, 0)
        again = self.most.T / self.most.steps
        events = self.events * again
        return SynapticOperations(0 if self.binary else events, events if self.binary else 0, self.most.events * again)

    def counted(self, costs: EnergyCosts) -> float:
        """Energy in J of what was counted."""
        return (self.macs * costs.mac + self.acs * costs.ac) * 1e-12

    def estimated(self, costs: EnergyCosts) -> float:
        """Energy in J of the usual estimate."""
        return (self.estimated_macs * costs.mac + self.estimated_acs * costs.ac) * 1e-12

    def as_json(self, costs: EnergyCosts) -> dict[str, Any]:
        """Return the layer as plain data; the rate, the estimate and what follows are those of a counted layer."""
        even = self.most.break_even(costs)
        row = {
            "path": self.name,
            "multiplies": self.most.real,
            "steps": self.most.steps,
            "dense": self.dense,
            "events": self.events,
            "accumulations": self.accumulations,
            "activity": self.activity,
            "breaks_even_at": even if isfinite(even) else None,
        }
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
    """Return the energy in J of all layers: by dense arithmetic, by events, and by accumulations."""
    layers = list(layers)
    dense = sum(layer.dense * costs.mac * 1e-12 for layer in layers)
    events = sum(layer.most.energy(layer.events, costs) for layer in layers)
    return dense, events, sum(layer.most.energy(layer.accumulations, costs) for layer in layers)


def energy_gaps(layers: Iterable[LayerCounts], costs: EnergyCosts) -> dict[str, float]:
    """What lies between the usual estimate and what was counted, in J, by the names of :data:`GAPS`.

    Their sum is the counted energy less the estimated one.
    """
    gaps = dict.fromkeys(GAPS, 0.0)
    for layer in layers:
        first = layer.most.first
        if layer.product:
            gaps["attention"] += layer.counted(costs) - layer.estimated(costs)
            continue
        price = costs.mac if first else costs.ac
        share = 1.0 if first else layer.rate
        inside, met = share * layer.most.events * price, layer.events * price
        gaps["padding"] += inside * 1e-12 - layer.estimated(costs)
        gaps["zeros" if first else "places"] += (met - inside) * 1e-12
        last = "input of spikes" if first else "real values" if layer.most.real else "counts"
        gaps[last] += layer.counted(costs) - met * 1e-12
    return gaps


def implied_rate(layers: Sequence[LayerCounts], energy: float, costs: EnergyCosts, steps: int) -> float | None:
    """The mean rate, weighted by FLOPs, at which the usual estimate is so many J; None: no layer adds."""
    fixed = sum(layer.estimated_macs for layer in layers) * costs.mac * 1e-12
    adding = sum(layer.flops for layer in layers if not layer.most.first) * steps * costs.ac * 1e-12
    return (energy - fixed) / adding if adding else None
