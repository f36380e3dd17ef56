"""What a network computes at most, as operations and as energy, from shapes and ranges alone.

A layer with weights is counted in three ways. A machine for dense arithmetic multiplies and adds at every tap, padding
included, whatever the values. One that is driven by events adds a weight for each value that is not zero and each
weight that it meets; edges and strides are exact. A count k, which ADD makes of spikes, is one event if the machine can
scale a weight by it, or k spikes one after the other. Values that are not integers, such as an image's, are
multiplied. Ranges are those of evaluation, in which dropout passes spikes as they are.

Neurons, joins, pooling and batch norm are not counted; batch norm is part of the weights on such a machine. Nor is
attention to sequences, whose weights meet means and maxima of real values (:func:`uncounted_kinds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, FanOut, Neuron
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
