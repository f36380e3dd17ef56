"""What a kernel is told of a neuron, as one line of text."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class NeuronConstants(NamedTuple):
    """The constants of neurons that charge by H = decay · V + gain · X + drift.

    An operator's arguments must be numbers, texts and tensors. As a text, a law also stands readable in an exported
    program.

    Attributes:
        decay: Factor of V; where it is learned, a tensor takes its place.
        gain: Factor of X; likewise.
        drift: What is added; likewise.
        rest: The potential before the first step, where none is given.
        v_threshold: Membrane potential at which they fire.
        v_reset: Potential after a spike; None: v_threshold is subtracted.
        detach_reset: Whether the spike in the reset is a constant to the gradient.
        slope: The tape of the surrogate's derivative.
    """

    decay: float
    gain: float
    drift: float
    rest: float
    v_threshold: float
    v_reset: float | None
    detach_reset: bool
    slope: str

    @property
    def reset(self) -> str:
        """What a spike does to the potential: "hard" sets it, "soft" subtracts from it."""
        return "soft" if self.v_reset is None else "hard"

    def text(self) -> str:
        """One line that ``parse`` reads."""
        return ", ".join([*map(repr, self[:-1]), self.slope])


@lru_cache(maxsize=1024)
def parse_constants(text: str) -> NeuronConstants:
    """The law of a line."""
    *numbers, v_reset, detach_reset, slope = text.split(", ")
    decay, gain, drift, rest, v_threshold = map(float, numbers)
    return NeuronConstants(
        decay,
        gain,
        drift,
        rest,
        v_threshold,
        None if v_reset == "None" else float(v_reset),
        detach_reset == "True",
        slope,
    )
