"""Sums, means and maxima over channels, positions or time-steps, ``SUM``, ``MEAN`` and ``AMAX``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import Layer, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import REAL, Signal, counts_up_to
from sewdsl.ops.windows import require_divisor

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class Reduction(Layer):
    """Base class of sums, means and maxima. Reduced axes keep the length 1, so that the result can gate the input.

    Over time, the shape is kept, and the value is static.
    """

    saves = "nothing"  # the gradient is constant within each reduced group
    operation: ClassVar[str]
    """``sum``, ``mean`` or ``amax``."""

    over: Literal["channels", "places", "time"]
    """``channels``, ``places``: the positions, i.e. height and width or the length, or ``time``."""
    groups: Positive = 1
    """Number of groups of consecutive channels, reduced separately, with ``over=channels``, >= 1."""

    @property
    def reads(self) -> Literal["step", "sequence"]:  # type: ignore[override]
        """``sequence`` over time, otherwise ``step``."""
        return "sequence" if self.over == "time" else "step"

    @property
    def reduces_time(self) -> bool:
        """True over time."""
        return self.over == "time"

    def reduce_shape(self, signal: Signal) -> tuple[tuple[int, ...], int]:
        """Return the shape of the result, and the number of values per element.

        Raises:
            ShapeMismatch: If the signal has no positions, or if the groups do not divide the channels.
        """
        # Silently ignoring groups would hide a mistake.
        if self.over != "channels" and self.groups != 1:
            raise ShapeMismatch(
                "groups-mismatch", f"{self.kind} over {self.over} has no groups", "remove groups, or use over=channels"
            )
        if self.over == "time":
            return signal.shape, 1
        if self.over == "places":
            if len(signal.shape) == 1:
                raise ShapeMismatch(
                    "wrong-rank",
                    f"{self.kind} over places requires a [C, H, W] or [C, L] input, got the vector [{signal.size}]",
                    f"move it before the layer that flattens the input (FC, Flatten or GAP), or use "
                    f"{self.kind}(over=channels)",
                )
            positions = signal.shape[1:]
            return (signal.channels, *[1] * len(positions)), prod(positions)
        require_divisor(signal, self.groups)
        return (self.groups, *signal.shape[1:]), signal.channels // self.groups

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.over == "time":
            law.refuse("reads all time-steps, but integer networks compute one time-step after the other")
        (x,), (signal,) = inputs, law.layer.inputs
        _, terms = self.reduce_shape(signal)
        return law.pool_all(x) if self.over == "places" else law.sum_channels(x, terms)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if self.over == "time":
            return runtime.TimeReduction(self.operation)
        return runtime.Reduction(self.operation, self.groups if self.over == "channels" else None)


class Mean(Reduction, kind="MEAN"):
    """Mean over channels, optionally in groups, over positions, or over time.

    In a network: ``MUL[ MEAN(over=places)-c8k1-ReLU-c32k1 | id ]``, ``MEAN(over=time)``. Reduced channels
    and positions keep the length 1. Over time, every time-step has the same value.

    Attributes:
        over: ``channels``, ``places``: the positions, i.e. height and width or the length, or ``time``.
        groups: Number of groups of consecutive channels, reduced separately, with ``over=channels``, >= 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``. Over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``. Over time unchanged.
    """

    operation = "mean"

    def infer(self, *inputs: Signal) -> Signal:
        shape, _ = self.reduce_shape(inputs[0])
        return Signal(shape, varies=inputs[0].varies and not self.reduces_time)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        _, terms = self.reduce_shape(law.layer.inputs[0])
        return law.scale(super().integers(law, *inputs), 1 / terms)


class Sum(Reduction, kind="SUM"):
    """Sum over channels, optionally in groups, over positions, or over time.

    In a network: ``SUM(over=channels, groups=8)``, ``SUM(over=places)``, ``SUM(over=time)``. Reduced channels
    and positions keep the length 1. The sum of n spikes is a count from 0 to n. Over time, every time-step has the same
    value. Its range is real, because inputs can have another number of time-steps than ``steps``.

    Attributes:
        over: ``channels``, ``places``: the positions, i.e. height and width or the length, or ``time``.
        groups: Number of groups of consecutive channels, reduced separately, with ``over=channels``, >= 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``. Over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``. Over time unchanged.
    """

    operation = "sum"

    def infer(self, *inputs: Signal) -> Signal:
        """Return the reduced shape, with the range multiplied by the number of terms."""
        (source,) = inputs
        shape, terms = self.reduce_shape(source)
        if self.over == "time":
            return Signal(shape, varies=False)
        values = source.values
        total = REAL if values.upper is None else counts_up_to(values.upper * terms, values.unit, values.lower * terms)
        return Signal(shape, total, source.varies)


class Largest(Reduction, kind="AMAX"):
    """Maximum over channels, optionally in groups, or over positions.

    In a network: ``AMAX(over=places)``, or spatial attention, ``MUL[ CAT[ MEAN(over=channels) | AMAX(over=channels)
    ]-c1k7-Logistic | id ]``. Reduced channels and positions keep the length 1. Equal maxima share the gradient equally,
    as in PyTorch's ``amax``. The merge ``MAX`` is the maximum of operands.

    Attributes:
        groups: Number of groups of consecutive channels, reduced separately, with ``over=channels``, >= 1.

    Shape: over places ``[C, H, W]`` to ``[C, 1, 1]`` and ``[C, L]`` to ``[C, 1]``. Over channels ``[C, H, W]`` to
    ``[G, H, W]``, ``[C, L]`` to ``[G, L]`` and ``[F]`` to ``[G]``. The value range is unchanged.
    """

    reads = "step"
    operation = "amax"

    over: Literal["channels", "places"]
    """``channels``, or ``places``: the positions, i.e. height and width or the length."""

    def infer(self, *inputs: Signal) -> Signal:
        shape, _ = self.reduce_shape(inputs[0])
        return Signal(shape, inputs[0].values, inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input and the maxima."""
        return SavedForBackward((0,), output=True)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        if self.over == "channels":
            law.refuse("is the maximum of channels, which cannot be computed in integers; export net.onnx instead")
        self.reduce_shape(law.layer.inputs[0])
        size = law.layer.inputs[0].shape[1:]
        return law.pool("max", inputs[0], size, size, (0,) * len(size))
