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

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node


class EnergyCosts(NamedTuple):
    """Energy of an operation in pJ, of 32-bit floats at 45 nm (Horowitz 2014), as the field uses them.

    Attributes:
        mac: Of a multiplication and an addition.
        ac: Of an addition.
    """

    mac: float = 4.6
    ac: float = 0.9


class LayerOperations(NamedTuple):
    """What a layer computes for one sample, over all its time-steps.

    Attributes:
        node: The layer.
        real: Whether its input is not integers, and has to be multiplied.
        steps: How often it computes: T, or once for an input that is the same at each time-step.
        dense: Multiply-accumulates at every tap.
        meetings: Weights that its input meets in one time-step, all of it being 1: edges and strides are exact.
        upper: The greatest value of its input; 1 where that is real.
    """

    node: Node
    real: bool
    steps: int
    dense: int
    meetings: int
    upper: int

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
    for node in network:
        sources = network.inputs(node)
        met = [(fan, s) for fan, s in zip(node.op.fan_outs(*sources), sources, strict=True) if fan is not None]
        if not met:
            continue
        steps = network.settings.steps if any(source.varies for source in sources) else 1
        real = any(source.values.largest is None for source in sources)
        upper = 1 if real else max(source.values.largest or 1 for _, source in met)
        meetings = sum(fan.total * source.channels for fan, source in met)
        yield LayerOperations(node, real, steps, network.macs(node) * steps, meetings, upper)


def uncounted_kinds(network: Network) -> tuple[str, ...]:
    """Kinds of layers that multiply, but whose operations are not counted, in order of their first node."""
    found = (
        node.op.kind
        for node in network
        if network.macs(node) and all(fan is None for fan in node.op.fan_outs(*network.inputs(node)))
    )
    return tuple(dict.fromkeys(found))
