"""Sums and means over channels or places, ``SUM`` and ``MEAN``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import Layer, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal, counts_up_to

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Reduction(Layer):
    """A sum or a mean that keeps the axes it goes over as 1, so that its result can be a gate for what it read.

    Attributes:
        over: ``channels``, or ``places``: height and width, or the length.
        groups: Over channels: in so many groups of channels in a row, each for itself, >= 1.
    """

    saves = "nothing"  # each value gets the same gradient

    over: Literal["channels", "places"]
    groups: Positive = 1

    def reduce_shape(self, signal: Signal) -> tuple[tuple[int, ...], int]:
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
            return (signal.channels, *[1] * len(places)), prod(places)
        if signal.channels % self.groups:
            raise ShapeMismatch(
                "groups-mismatch",
                f"{signal.channels} channels cannot be divided into {self.groups} equal groups",
                "make groups a divisor of the channels",
            )
        return (self.groups, *signal.shape[1:]), signal.channels // self.groups


class Mean(Reduction, kind="MEAN"):
    """The mean over channels, all or in groups, or over places; the axes stay, as 1.

    In a network: ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1 | id ]``.

    Attributes:
        over: ``channels``, or ``places``: height and width.
        groups: Over channels: in so many groups of channels in a row, each for itself, at least 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``; over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        shape, _ = self.reduce_shape(inputs[0])
        return Signal(shape, varies=inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Mean(self.groups if self.over == "channels" else None)


class Sum(Reduction, kind="SUM"):
    """The sum over channels, all or in groups, or over places; the axes stay, as 1.

    In a network: ``SUM(over=channels, groups=8)``, ``SUM(over=places)``. Of n spikes it is a count from 0 to n.

    Attributes:
        over: ``channels``, or ``places``: height and width.
        groups: Over channels: in so many groups of channels in a row, each for itself, at least 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``; over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """So many times the range."""
        (source,) = inputs
        shape, terms = self.reduce_shape(source)
        values = source.values
        counted = (
            REAL if values.upper is None else counts_up_to(values.upper * terms, values.unit, values.lower * terms)
        )
        return Signal(shape, counted, source.varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Sum(self.groups if self.over == "channels" else None)
