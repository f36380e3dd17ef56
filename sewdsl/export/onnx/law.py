"""What a neuron does at one time-step."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.export.onnx.place import NodeScope
from sewdsl.export.refusal import UnsupportedLayer
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.specification import LinearSpec


class OnnxNeuronStep(NamedTuple):
    """H[t] = decay · V[t-1] + gain · X[t] + drift, and what follows; see :class:`sewdsl.ir.op.Neuron`."""

    decay: float
    gain: float
    drift: float
    rest: float
    v_threshold: float
    v_reset: float | None

    @classmethod
    def of(cls, place: NodeScope, neuron: Neuron) -> OnnxNeuronStep:
        """With what it has learned, computed in float64.

        Raises:
            Refused: it charges in another way.
        """
        spec = neuron.spec
        if not isinstance(spec, LinearSpec):
            raise UnsupportedLayer(place.node, "does not charge linearly, and only what does is translated into ONNX")
        factors = spec.dynamics(**{name: value.detach().double() for name, value in neuron.learned.items()})
        decay, gain, drift = map(float, factors)
        return cls(decay, gain, drift, spec.rest, spec.v_threshold, spec.v_reset)

    def drive(self, place: NodeScope, x: str) -> str:
        """gain · X + drift, for however many time-steps."""
        scaled = x if self.gain == 1 else place.add("Mul", x, place.numbers("gain", self.gain))
        return scaled if self.drift == 0 else place.add("Add", scaled, place.numbers("drift", self.drift))

    def charge(self, place: NodeScope, drive: str, v: str | None) -> str:
        """The name of H[t].

        Args:
            place: Where this goes.
            drive: Of the time-step.
            v: V[t-1]; None: rest.
        """
        if v is None and self.rest == 0:
            return drive
        v = v or place.numbers("rest", self.rest)
        kept = v if self.decay == 1 else place.add("Mul", v, place.numbers("decay", self.decay))
        return place.add("Add", kept, drive)

    def fire(self, place: NodeScope, h: str) -> tuple[str, str]:
        """The names of the spikes, as truths and as numbers."""
        fired = place.add("GreaterOrEqual", h, place.numbers("v_threshold", self.v_threshold))
        return fired, place.add("Cast", fired, to=place.graph.type)

    def reset(self, place: NodeScope, h: str, fired: str, spikes: str) -> str:
        """The name of V[t]."""
        if self.v_reset is not None:
            return place.add("Where", fired, place.numbers("v_reset", self.v_reset), h)
        return place.add("Sub", h, place.add("Mul", spikes, place.numbers("v_threshold", self.v_threshold)))
