"""Energy of one sample, counted and by the estimate that the field prints, layer by layer, and what lies between them.

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

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sewdsl.analysis.operation_bounds import EnergyCosts, LayerOperations
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Merge, Neuron

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
        weight: Of a weight.
        membrane: Of a membrane potential or another state of a neuron.
    """

    weight: float = 5.0
    membrane: float = 5.0


class LayerCounts(NamedTuple):
    """What a layer computed for one sample; means over samples.

    Attributes:
        most: The layer, and what it computes at most.
        events: Operations, a count being one event.
        accumulations: Operations, a count k being k spikes.
        rate: Share of the values of its input that are not zero, in [0, 1].
        largest: The greatest value of its input, by size.
    """

    most: LayerOperations
    events: float
    accumulations: float
    rate: float
    largest: float


class EnergyLine(NamedTuple):
    """A row of the table: operations and words of a layer for one sample, at all time-steps.

    Attributes:
        counts: What was counted.
        first: Whether the input reaches the layer without a neuron.
        product: Whether it is a product of values, such as attention's, and no layer with weights.
        flops: Multiply-accumulates of one time-step, padding included.
        synapses: Connections that its input meets at all time-steps, all of it being other than zero.
        macs: Counted multiply-accumulates.
        acs: Counted accumulations.
        estimated_macs: Multiply-accumulates of the usual estimate.
        estimated_acs: Accumulations of the usual estimate.
        weights: Weights that are read.
        membranes: States of neurons that are read and written, of those that the layer is the last one before.
    """

    counts: LayerCounts
    first: bool
    product: bool
    flops: int
    synapses: int
    macs: float
    acs: float
    estimated_macs: float
    estimated_acs: float
    weights: float
    membranes: int

    @property
    def node(self) -> Node:
        """The layer."""
        return self.counts.most.node

    @property
    def binary(self) -> bool:
        """Whether no value of its input was anything but 0 and 1."""
        return not self.counts.most.real and self.counts.largest <= 1

    def counted(self, costs: EnergyCosts) -> float:
        """Energy in J of what was counted."""
        return (self.macs * costs.mac + self.acs * costs.ac) * 1e-12

    def estimated(self, costs: EnergyCosts) -> float:
        """Energy in J of the usual estimate."""
        return (self.estimated_macs * costs.mac + self.estimated_acs * costs.ac) * 1e-12


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


def energy_lines(network: Network, counted: Iterable[LayerCounts]) -> list[EnergyLine]:
    """A row for each layer that was counted, in order."""
    T = network.settings.steps
    counted = list(counted)
    traffic = _membrane_traffic(network, [each.most.node for each in counted])
    behind_neurons = _nodes_after_neurons(network)
    lines = []
    for counts in counted:
        most, node = counts.most, counts.most.node
        first, flops = node.name not in behind_neurons, most.dense // most.steps
        lines.append(
            EnergyLine(
                counts,
                first,
                isinstance(node.op, Merge),
                flops,
                most.meetings * most.steps,
                macs=counts.events if most.real else 0,
                acs=0 if most.real else counts.accumulations,
                estimated_macs=flops * most.steps if first else 0,
                estimated_acs=0 if first else counts.rate * flops * T,
                weights=0 if isinstance(node.op, Merge) else counts.events,
                membranes=traffic.get(node.name, 0),
            )
        )
    return lines


def neurobench(network: Network, line: EnergyLine) -> SynapticOperations:
    """What NeuroBench counts of a layer, which it runs at each time-step, whether or not the input changes."""
    if line.product:
        return SynapticOperations(0, 0, 0)
    again = network.settings.steps / line.counts.most.steps
    events = line.counts.events * again
    return SynapticOperations(0 if line.binary else events, events if line.binary else 0, line.synapses * again)


def energy_gaps(lines: Iterable[EnergyLine], costs: EnergyCosts) -> dict[str, float]:
    """What lies between the usual estimate and what was counted, in J, by the names of :data:`GAPS`.

    Their sum is the counted energy less the estimated one.
    """
    gaps = dict.fromkeys(GAPS, 0.0)
    for line in lines:
        counts, most = line.counts, line.counts.most
        if line.product:
            gaps["attention"] += line.counted(costs) - line.estimated(costs)
            continue
        price = costs.mac if line.first else costs.ac
        share = 1.0 if line.first else counts.rate
        inside, met = share * line.synapses * price, counts.events * price
        gaps["padding"] += inside * 1e-12 - line.estimated(costs)
        gaps["zeros" if line.first else "places"] += (met - inside) * 1e-12
        last = "input of spikes" if line.first else "real values" if most.real else "counts"
        gaps[last] += line.counted(costs) - met * 1e-12
    return gaps


def implied_rate(lines: Sequence[EnergyLine], energy: float, costs: EnergyCosts, steps: int) -> float | None:
    """The mean rate, weighted by FLOPs, at which the usual estimate is so many J; None: no layer adds."""
    fixed = sum(line.estimated_macs for line in lines) * costs.mac * 1e-12
    adding = sum(line.flops for line in lines if not line.first) * steps * costs.ac * 1e-12
    return (energy - fixed) / adding if adding else None


def _nodes_after_neurons(network: Network) -> set[str]:
    """Return the names of the nodes that a neuron or another activation precedes, also by way of delays in loops."""
    todo = [index for index, node in enumerate(network) if isinstance(node.op, Activation)]
    after: set[int] = set()
    while todo:
        readers = set(network.graph.consumers[todo.pop()]) - after
        after |= readers
        todo += readers
    return {network.nodes[index].name for index in after}


def _membrane_traffic(network: Network, layers: Sequence[Node]) -> dict[str, int]:
    """Words of states that are read and written at all time-steps, by the last layer before their neuron."""
    known = {node.name for node in layers}
    last: list[str] = []  # of each node, the last layer on a way to it
    order = {node.name: number for number, node in enumerate(network)}
    traffic: dict[str, int] = {}
    for node in network:
        before = [last[i] for i in node.inputs if i < len(last) and last[i]]
        here = node.name if node.name in known else max(before, key=order.__getitem__, default="")
        last.append(here)
        equations = getattr(node.op, "equations", None)  # a neuron of a text has the states that it names
        states = int(isinstance(node.op, Neuron)) if equations is None else len(equations.after)
        words = 2 * states * node.output.elements * network.settings.steps
        if states and layers:
            owner = here or layers[0].name
            traffic[owner] = traffic.get(owner, 0) + words
    return traffic
