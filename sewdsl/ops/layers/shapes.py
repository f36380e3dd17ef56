"""Changes of shape: ``Flatten``, ``Reshape``, ``Slice`` of elements, ``PAD1`` and ``UP2`` to larger feature maps."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator

from sewdsl.ir.kind import Letter, NaturalPair, Positive, Unnamed
from sewdsl.ir.op import KnowsSteps, Layer, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal
from sewdsl.ops.windows import Lengths, along_axes, row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class Flatten(Layer, kind="Flatten"):
    """Feature map flattened to a vector, channel by channel and row by row.

    In a network: ``Flatten``.

    Shape: ``[C, H, W]`` to ``[C·H·W]``, ``[C, L]`` to ``[C·L]``.
    """

    saves = "nothing"
    view = True

    def infer(self, *inputs: Signal) -> Signal:
        return Signal((inputs[0].elements,), inputs[0].values, inputs[0].varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.flatten(*inputs)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Flatten()


MAX_AXES = 3
"""Number of axes of a feature map."""


def shape_of(value: object, expected: str, axes: int) -> object:
    """Return the value of a shape argument, in which a single number is one length.

    Args:
        expected: Description of valid values.
        axes: Largest number of lengths.

    Raises:
        ValueError: If the value is not a shape with as many axes.
    """
    shape = (value,) if type(value) is int else value
    if not isinstance(shape, tuple | list) or not 1 <= len(shape) <= axes:
        raise ValueError(f"must be {expected}")
    return shape


Shape = Annotated[
    tuple[Positive, ...], BeforeValidator(lambda value: shape_of(value, "a shape: CxHxW, CxL or a length", MAX_AXES))
]
"""``CxHxW``, ``CxL`` or a length."""


class Reshape(Layer, kind="Reshape"):
    """Same values in another shape, in the order of ``Flatten``: channel by channel and row by row.

    In a network: ``FC8192-Reshape(512x4x4)``, ``Reshape(6x4)``, ``Reshape(24)``.

    Shape: any to ``shape``.
    """

    saves = "nothing"  # not a view: feature maps in channels-last format are copied

    shape: Annotated[Shape, Unnamed()]
    """``CxHxW``, ``CxL`` or a length, with as many elements as the input."""

    def infer(self, *inputs: Signal) -> Signal:
        (source,) = inputs
        result = Signal(self.shape, source.values, source.varies)
        if result.elements != source.elements:
            raise ShapeMismatch(
                "invalid-argument",
                f"Reshape to [{result.size}] requires {result.elements:,} elements, got {source.elements:,} of "
                f"[{source.size}]",
                "use a shape with as many elements as the input",
            )
        return result

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,) = inputs
        return law.reshape(x, self.shape)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Reshape(self.shape)


class Slice(KnowsSteps, Layer, kind="Slice"):
    """Consecutive channels or positions of the input, or one of its time-steps.

    In a network: ``Slice(stop=64)``, ``Slice(start=-1, over=places)``, ``Slice(start=-1, over=time)``. Over time, every
    time-step of the output has the value of one time-step. Negative indices count from the end.

    Shape: over channels ``[C, H, W]`` to ``[C', H, W]``, also ``[C, L]`` and ``[F]``. Over places ``[C, H, W]`` and
    ``[C, L]`` to ``[C, L']``. Over time unchanged.
    """

    saves = "nothing"

    start: int = 0
    """Index of the first element of the slice, from 0."""
    stop: int | None = None
    """Index of the first element after the slice. None: the end."""
    over: Literal["channels", "places", "time"] = "channels"
    """``channels``, ``places``: the positions in the order of ``Flatten``, or ``time``."""
    steps: Positive | None = None
    """T, filled in by the network."""

    @property
    def reads(self) -> Literal["step", "sequence"]:  # type: ignore[override]
        """``sequence`` over time, otherwise ``step``."""
        return "sequence" if self.over == "time" else "step"

    @property
    def reduces_time(self) -> bool:
        """True over time."""
        return self.over == "time"

    @property
    def min_steps(self) -> int:
        """Over time, the number of time-steps up to the selected one, from the beginning or from the end."""
        return max(self.start + 1, -self.start) if self.over == "time" else 1

    def bounds(self, source: Signal) -> tuple[int, int]:
        """Return the indices of the first element, and of the first one after the slice.

        Raises:
            ShapeMismatch: If the input has no such elements, or several time-steps are selected.
        """
        channels, *places = source.shape if self.over != "places" else row_or_map_shape("Slice over places", source)
        length = {"channels": channels, "places": prod(places), "time": self.T}[self.over]
        start, stop = (
            index + length * (index < 0) for index in (self.start, length if self.stop is None else self.stop)
        )
        if not 0 <= start < stop <= length:
            unit = {"channels": "channels", "places": "positions", "time": "time-steps"}[self.over]
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} is empty, or exceeds the {length:,} {unit}",
                f"use 0 <= start < stop <= {length:,}, or indices from the end: -1 is the last",
            )
        if self.over == "time" and stop != start + 1:
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} selects {stop - start} time-steps, expected one",
                f"use stop={self.start + 1}",
            )
        return start, stop

    def infer(self, *inputs: Signal) -> Signal:
        (source,) = inputs
        start, stop = self.bounds(source)
        lengths = {"channels": (stop - start, *source.shape[1:]), "places": (source.channels, stop - start)}
        varies = source.varies and not self.reduces_time
        return Signal(lengths.get(self.over, source.shape), source.values, varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.over == "time":
            return super().integers(law, *inputs)
        return law.slice(inputs[0], *self.bounds(law.layer.inputs[0]), self.over)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        start, stop = self.bounds(inputs[0])
        if self.over != "time":
            return runtime.Slice(start, stop, self.over)
        # Inputs can have another number of time-steps than 'steps'.
        return runtime.TimeSlice(self.start)


class Pad(Layer, kind="PAD"):
    """Zeros or reflected values around a feature map.

    In a network: ``PAD1``, ``PAD1x2``, ``PAD1(mode=reflect)``. After ``c32k1-PAD1-BN``, the zeros are normalised too.
    The padding of a layer after the batch norm, ``c32k1-BN-c32k3``, is 0.

    Shape: ``[C, H, W]`` to ``[C, H + 2p, W + 2p]``, ``[C, L]`` to ``[C, L + 2p]``. Spikes and counts are preserved.
    """

    saves = "nothing"  # the gradient depends on the shape only

    p: Annotated[NaturalPair, Letter("")]
    """Rows and columns added on each side, or positions on ``[C, L]``. Two numbers are for height and width."""
    mode: Literal["zeros", "reflect"] = "zeros"
    """``zeros``, or ``reflect``: the values mirrored at the first and last position, which are not repeated."""

    def pads(self, source: Signal) -> Lengths:
        """Return the padding of each axis of the input, or raise ShapeMismatch if a reflection does not fit it."""
        _, *size = row_or_map_shape("padding", source)
        (pads,) = along_axes("padding", source, self.p)
        if self.mode == "reflect" and any(pad >= length for pad, length in zip(pads, size, strict=True)):
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} reflects more positions than [{source.size}] has without its edge",
                f"use less than {min(size)}, or mode=zeros",
            )
        return pads

    def infer(self, *inputs: Signal) -> Signal:
        (source,) = inputs
        lengths = (length + 2 * pad for length, pad in zip(source.shape[1:], self.pads(source), strict=True))
        # All ranges of integers contain 0.
        return Signal((source.channels, *lengths), source.values, source.varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.mode != "zeros":
            law.refuse("reflects values, which cannot be computed in integers; use mode=zeros")
        pads = self.pads(law.layer.inputs[0])
        ones = (1,) * len(pads)
        # Sums over windows of one position are the values, and zeros outside of the map.
        return law.pool("sum", inputs[0], ones, ones, pads)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Padding(self.pads(inputs[0]), self.mode)


Factors = Annotated[
    Positive | tuple[Positive, Positive],
    BeforeValidator(
        lambda value: (value[0] if len({*value}) == 1 else tuple(value)) if isinstance(value, list | tuple) else value
    ),
]
"""Factor of all axes, or of height and of width."""


class Upsample(Layer, kind="UP", key="upsample"):
    """Upsampling by an integer factor, e.g. in a U-Net.

    In a network: ``UP2``, ``UP2x3``, ``UP2(mode=bilinear)``. ``ADD[ GAP-Reshape(64x1x1)-UP7x5 | id ]`` adds a vector to
    all positions.

    Shape: ``[C, H, W]`` to ``[C, factor·H, factor·W]``, ``[C, L]`` to ``[C, factor·L]``. Spikes and counts are
    preserved with ``nearest``, and become real values with ``bilinear``.
    """

    upsamples = True
    saves = "nothing"  # the gradient depends on the shape only

    factor: Annotated[Factors, Letter("")]
    """Ratio of output to input height and width, or length, at least 1. Two numbers are for height and width."""
    mode: Literal["nearest", "bilinear"] = "nearest"
    """``nearest``: each value fills a square. ``bilinear``: interpolation between four neighbours, or two on ``[C,
    L]``, with ``align_corners=False`` as in PyTorch."""

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("upsampling", inputs[0])
        values = inputs[0].values if self.mode == "nearest" else REAL
        factors = self._factors(inputs[0])
        return Signal(
            (c, *(length * factor for length, factor in zip(size, factors, strict=True))), values, inputs[0].varies
        )

    def _factors(self, source: Signal) -> tuple[int, ...]:
        """Return the factor of each axis, or raise ShapeMismatch if there are two factors for a single axis."""
        axes = len(source.shape) - 1
        if isinstance(self.factor, int):
            return (self.factor,) * axes
        if axes == 1:
            message = f"{self.label} has factors for height and width, but its input is [{source.size}]"
            raise ShapeMismatch("wrong-rank", message, f"use one factor, e.g. UP{self.factor[0]}")
        return self.factor

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.mode != "nearest":
            law.refuse("interpolates, which cannot be computed in integers; use mode=nearest")
        (x,) = inputs
        return law.spread(x, self._factors(law.layer.inputs[0]), repeat=True)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Upsample(self.factor, self.mode)
