"""What sums and means over an axis have in common."""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import Layer, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal


class Reduced(NamedTuple):
    """What is left of a map.

    Attributes:
        shape: Of the result.
        terms: How many values each value of it is made of.
    """

    shape: tuple[int, ...]
    terms: int


class Reduction(Layer):
    """A sum or a mean that keeps the axes it goes over as 1, so that its result can be a gate for what it read.

    Attributes:
        over: ``channels``, or ``places``: height and width, or the length.
        groups: Over channels: in so many groups of channels in a row, each for itself, >= 1.
    """

    over: Literal["channels", "places"]
    groups: Positive = 1

    def reduce_shape(self, signal: Signal) -> Reduced:
        """The shape that is left, and how many values each value is made of.

        Raises:
            ShapeMismatch: it has no places, or its channels cannot be grouped so.
        """
        if self.over == "places":
            if len(signal.shape) == 1:
                raise ShapeMismatch(
                    "wrong-rank",
                    f"{self.kind} over places needs a [C, H, W] or [C, L] input, but here is a vector [{signal.size}]",
                    f"put it before the layer that flattens (FC, Flatten or GAP), or write {self.kind}(over=channels)",
                )
            if self.groups != 1:
                raise ShapeMismatch(
                    "groups-mismatch",
                    f"{self.kind} over places has no groups",
                    "leave groups out, or write over=channels",
                )
            places = signal.shape[1:]
            return Reduced((signal.channels, *[1] * len(places)), prod(places))
        if signal.channels % self.groups:
            raise ShapeMismatch(
                "groups-mismatch",
                f"{signal.channels} channels cannot be divided into {self.groups} equal groups",
                "make groups a divisor of the channels",
            )
        return Reduced((self.groups, *signal.shape[1:]), signal.channels // self.groups)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: each value gets the same gradient."""
        return SavedForBackward()
