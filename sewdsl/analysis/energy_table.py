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
from math import isfinite
from typing import Any, NamedTuple

from sewdsl.analysis.operation_bounds import EnergyCosts, LayerOperations
from sewdsl.ir.op import Merge

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
