"""Max, average and global average pooling: ``MPk2s2``, ``APk2s2``, ``GAP``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import model_validator

from sewdsl.ir.kind import Letter, NaturalPair, PositivePair
from sewdsl.ir.op import Layer, SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import Lengths, along_axes, output_size, row_or_map_shape, unreached_edges
from sewdsl.snn.limits import MAX_16_BIT_PLACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class Pool(Layer):
    """Base class of pooling with a sliding window."""

    kernel: Annotated[PositivePair, Letter("k")]
    """Height and width of the window, or its length on ``[C, L]``. On ``[C, L]``, all arguments are single numbers."""
    stride: Annotated[PositivePair, Letter("s")] = (1, 1)
    """Step of the window. The default is the kernel size."""
    padding: Annotated[NaturalPair, Letter("p")] = (0, 0)
    """Rows and columns added on each side, at most half the kernel."""

    @model_validator(mode="before")
    @classmethod
    def _stride_is_kernel(cls, data: Any) -> Any:
        # The default depends on another field, so it is filled in before validation.
        if isinstance(data, dict) and "kernel" in data:
            return {"stride": data["kernel"], **data}
        return data

    @model_validator(mode="after")
    def _padding_fits(self) -> Self:
        # PyTorch has the same limit.
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            most = self.kernel[0] // 2
            message = f"padding p{self.padding[0]} exceeds half the kernel k{self.kernel[0]}; use at most p{most}"
            raise ValueError(message)
        return self

    @property
    def short(self) -> str:
        """Kernel and stride for messages: ``k2 s2``."""
        kernel, stride = ("x".join(map(str, dict.fromkeys(pair))) for pair in (self.kernel, self.stride))
        return f"k{kernel} s{stride}"

    @property
    def strided(self) -> bool:
        return self.stride != (1, 1)

    def window(self, signal: Signal) -> list[Lengths]:
        """Return kernel, stride and padding along each axis of a feature map.

        Raises:
            ShapeMismatch: If the feature map has one axis and an argument has two different values.
        """
        return along_axes("pooling", signal, self.kernel, self.stride, self.padding)

    def cropped(self, signal: Signal) -> Lengths:
        """Return the rows and columns of the input that no window covers."""
        _, *size = row_or_map_shape("pooling", signal)
        return unreached_edges(tuple(size), *self.window(signal))


class AvgPool(Pool, kind="AP", key="avg_pool"):
    """Average pooling, or on a vector a voting layer with k neurons per class.

    In a network: ``APk2``, ``APk10s10``.

    Attributes:
        kernel: Height and width of the window, or its length on ``[C, L]``, or neurons per class on a vector.
        stride: Step of the window. The default is the kernel size, which is required on a vector.
        padding: Zero padding on each side, included in the mean, at most half the kernel. Not available on a vector.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down, and ``[F]`` to ``[F / k]``.
    """

    saves = "nothing"  # the gradient of a mean depends on the shape only

    def infer(self, *inputs: Signal) -> Signal:
        # A vector is pooled along its features.
        if len(inputs[0].shape) == 1:
            return Signal((self._classes(inputs[0]),), varies=inputs[0].varies)
        c, *size = row_or_map_shape("average pooling", inputs[0])
        lengths = output_size(f"average pooling {self.short}", tuple(size), *self.window(inputs[0]))
        return Signal((c, *lengths), varies=inputs[0].varies)

    def _classes(self, signal: Signal) -> int:
        """Return the classes of a voting layer, or raise ShapeMismatch if the windows do not partition the vector."""
        voters, features = self.kernel[0], signal.shape[0]
        # Each neuron votes once.
        if self.kernel != (voters, voters) or self.stride != self.kernel or self.padding != (0, 0):
            raise ShapeMismatch(
                "voting-mismatch",
                f"average pooling {self.short} on the vector [{features}] is a voting layer, whose windows must not "
                "overlap or leave gaps",
                f"use k{voters}s{voters} without padding",
            )
        if features % voters:
            raise ShapeMismatch(
                "voting-mismatch",
                f"{features} neurons cannot vote in groups of {voters}",
                f"use a multiple of {voters} outputs in the layer before, e.g. FC{(features // voters + 1) * voters}",
            )
        return features // voters

    def cropped(self, signal: Signal) -> Lengths:
        """Return the rows and columns of the input that no window covers, or 0 for a voting layer."""
        return (0,) if len(signal.shape) == 1 else super().cropped(signal)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,), (signal,) = inputs, law.layer.inputs
        if len(signal.shape) == 1:
            return law.scale(law.sum_channels(x, self.kernel[0]), 1 / self.kernel[0])
        kernel, stride, padding = self.window(signal)
        return law.scale(law.pool("sum", x, kernel, stride, padding), 1 / prod(kernel))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if len(inputs[0].shape) == 1:
            return runtime.VotingPool(self.kernel[0])
        window = self.window(inputs[0])
        module_class: Callable[..., nn.Module] = runtime.AvgPool2d if len(window[0]) > 1 else runtime.AvgPool1d
        return module_class(*window)


class MaxPool(Pool, kind="MP", key="max_pool"):
    """Max pooling.

    In a network: ``MPk2s2``, ``MPk4`` (stride = kernel), ``MPk3s2p1``.

    Attributes:
        kernel: Height and width of the window, or its length on ``[C, L]``. On ``[C, L]``, all arguments are single
            numbers.
        stride: Step of the window. The default is the kernel size.
        padding: Padding on each side, excluded from the maximum, at most half the kernel.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down. The value range is unchanged.
    """

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("max pooling", inputs[0])
        lengths = output_size(f"max pooling {self.short}", tuple(size), *self.window(inputs[0]))
        return Signal((c, *lengths), inputs[0].values, inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the position of each maximum in the feature map, as a 16-bit or 32-bit integer."""
        positions = prod(inputs[0].shape[1:])
        return SavedForBackward(
            bytes_per_step=(2 if positions <= MAX_16_BIT_PLACES else 4) * self.infer(*inputs).elements
        )

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,), (signal,) = inputs, law.layer.inputs
        kernel, stride, padding = self.window(signal)
        return law.pool("max", x, kernel, stride, padding)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        window = self.window(inputs[0])
        module_class: Callable[..., nn.Module] = runtime.MaxPool2d if len(window[0]) > 1 else runtime.MaxPool1d
        return module_class(*window)


class GlobalAvgPool(Layer, kind="GAP"):
    """Global average pooling over height and width, or over the length.

    In a network: ``GAP``.

    Shape: ``[C, H, W]`` or ``[C, L]`` to ``[C]``.
    """

    saves = "nothing"  # the gradient of a mean depends on the shape only

    def infer(self, *inputs: Signal) -> Signal:
        c, *_ = row_or_map_shape("global average pooling", inputs[0])
        return Signal((c,), varies=inputs[0].varies)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        return law.scale(law.pool_all(*inputs), 1 / prod(law.layer.inputs[0].shape[1:]))

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GlobalAvgPool()
