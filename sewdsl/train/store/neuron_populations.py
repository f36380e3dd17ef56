"""Counts of dead, saturated and other neurons of each layer, and the firing rates that make them so."""

from __future__ import annotations

from math import prod
from typing import Self

from pydantic import BaseModel, Field, model_validator

from sewdsl.train.records import STRICT, Count, Positive

FIRING_RATE = "firing_rate/"
"""Before a layer's name: spikes per neuron, sample and time-step."""
BY_EVENTS = "by_events/"
"""Before a convolution's name: the share of batches in which it was computed from what is active of its input."""
GRADIENT_NORM = "gradient_norm/"
"""Before a layer's name, or ``total``: Euclidean norm of the gradient of the last batch."""
DEAD, SATURATED = 0.01, 0.9
"""Rates under the one or over the other are worth a warning: such a layer says little about its input."""


EDGES = (0.001, 0.003, DEAD, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, SATURATED)
"""The highest rate of each bin: half decades where most neurons of spiking networks are, then tenths.

The first bin begins above 0, each other one above the edge before it."""

MAX_AXES = 8
"""Axes of a layer's output; those of the language have at most three."""


class Population(BaseModel):
    """How many neurons of a layer never fire, nearly always, or in between.

    A neuron's rate is its spikes per sample and time-step. A channel or a place is counted as dead or saturated where
    all its neurons are; of a layer without places, each neuron is a channel.

    Attributes:
        shape: ``[C, H, W]`` or ``[F]``, one neuron for each element.
        dead: Neurons that never fire.
        saturated: Neurons whose rate is over 0.9.
        always: Those of them that fire at every time-step of every sample.
        dead_channels: Of C.
        dead_places: Of H · W.
        saturated_channels: Of C.
        histogram: Neurons that are neither dead nor saturated in the 13 bins that end at 0.001, 0.003, 0.01, 0.03,
            0.1, 0.2, … 0.9; an edge belongs to the bin that it ends.
    """

    model_config = STRICT

    shape: tuple[Positive, ...] = Field(min_length=1, max_length=MAX_AXES)
    dead: Count
    saturated: Count
    always: Count
    dead_channels: Count
    dead_places: Count
    saturated_channels: Count
    histogram: tuple[Count, ...] = Field(min_length=len(EDGES), max_length=len(EDGES))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(self.bins) != self.neurons:
            message = f"{sum(self.bins)} neurons are counted of {self.neurons}"
            raise ValueError(message)
        parts = {
            "always": (self.always, self.saturated),
            "dead_channels": (self.dead_channels, self.shape[0]),
            "saturated_channels": (self.saturated_channels, self.shape[0]),
            "dead_places": (self.dead_places, self.places),
        }
        for name, (part, of) in parts.items():
            if part > of:
                message = f"{name} is {part}, expected at most {of}"
                raise ValueError(message)
        return self

    @property
    def neurons(self) -> int:
        """All of them."""
        return prod(self.shape)

    @property
    def dead_share(self) -> float:
        """Of all, in [0, 1]."""
        return self.dead / self.neurons

    @property
    def saturated_share(self) -> float:
        """Of all, in [0, 1]."""
        return self.saturated / self.neurons

    @property
    def places(self) -> int:
        """H · W; 1 where there are none."""
        return prod(self.shape[1:])

    @property
    def scattered_dead(self) -> int:
        """Dead neurons in channels and at places that are not dead as a whole."""
        return self.dead - self.dead_channels * self.places - self.dead_places * (self.shape[0] - self.dead_channels)

    @property
    def bins(self) -> tuple[int, ...]:
        """The dead, the histogram, the saturated: 15 counts, every neuron in one of them."""
        return (self.dead, *self.histogram, self.saturated)
