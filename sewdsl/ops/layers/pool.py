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

    from sewdsl.snn.runtime import Runtime


class Pool(Layer):
    """A window that slides over the map.

    Attributes:
        kernel: Height and width of the window; its length on ``[C, L]``, where the others have one number too.
        stride: Step of the window; the kernel's size unless stated.
        padding: Rows and columns added on each side, at most half the kernel.
    """

    kernel: Annotated[PositivePair, Letter("k")]
    stride: Annotated[PositivePair, Letter("s")] = (1, 1)
    padding: Annotated[NaturalPair, Letter("p")] = (0, 0)

    @model_validator(mode="before")
    @classmethod
    def _stride_is_kernel(cls, data: Any) -> Any:
        if isinstance(data, dict) and "kernel" in data:
            return {"stride": data["kernel"], **data}
        return data

    @model_validator(mode="after")
    def _padding_fits(self) -> Self:
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            most = self.kernel[0] // 2
            message = f"padding p{self.padding[0]} is more than half the kernel k{self.kernel[0]}, at most p{most}"
            raise ValueError(message)
        return self

    @property
    def short(self) -> str:
        """Kernel and stride: ``k2 s2``."""
        kernel, stride = ("x".join(map(str, dict.fromkeys(pair))) for pair in (self.kernel, self.stride))
        return f"k{kernel} s{stride}"

    @property
    def strided(self) -> bool:
        return self.stride != (1, 1)

    def window(self, signal: Signal) -> list[Lengths]:
        """Kernel, stride and padding along each axis of a map.

        Raises:
            ShapeMismatch: it has one axis, and one of these has two numbers.
        """
        return along_axes("pooling", signal, self.kernel, self.stride, self.padding)

    def cropped(self, signal: Signal) -> Lengths:
        """Places of the input along each axis that no window reaches: rows and columns."""
        _, *size = row_or_map_shape("pooling", signal)
        return unreached_edges(tuple(size), *self.window(signal))


class AvgPool(Pool, kind="AP", key="avg_pool"):
    """The mean of each window; on a vector, the voting layer: k neurons vote for each class.

    In a network: ``APk2``, ``APk10s10``.

    Attributes:
        kernel: Height and width of the window; its length on ``[C, L]``; voters per class on a vector.
        stride: Step of the window; the kernel's size unless stated. On a vector it must be the kernel's size.
        padding: Zeros on each side, counted in the mean, at most half the kernel. None on a vector.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down; ``[F]`` to ``[F / k]``.
    """

    saves = "nothing"  # a mean needs no more than its shape

    def infer(self, *inputs: Signal) -> Signal:
        if len(inputs[0].shape) == 1:
            return Signal((self._classes(inputs[0]),), varies=inputs[0].varies)
        c, *size = row_or_map_shape("average pooling", inputs[0])
        lengths = output_size(f"average pooling {self.short}", tuple(size), *self.window(inputs[0]))
        return Signal((c, *lengths), varies=inputs[0].varies)

    def _classes(self, signal: Signal) -> int:
        voters, features = self.kernel[0], signal.shape[0]
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
                f"make the layer before it a multiple of {voters} wide, e.g. FC{(features // voters + 1) * voters}",
            )
        return features // voters

    def cropped(self, signal: Signal) -> Lengths:
        """Places of the input along each axis that no window reaches; a voting layer reaches all."""
        return (0,) if len(signal.shape) == 1 else super().cropped(signal)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if len(inputs[0].shape) == 1:
            return runtime.VotingPool(self.kernel[0])
        window = self.window(inputs[0])
        made: Callable[..., nn.Module] = runtime.AvgPool2d if len(window[0]) > 1 else runtime.AvgPool1d
        return made(*window)


class MaxPool(Pool, kind="MP", key="max_pool"):
    """The largest value in each window.

    In a network: ``MPk2s2``, ``MPk4`` (stride = kernel), ``MPk3s2p1``.

    Attributes:
        kernel: Height and width of the window; its length on ``[C, L]``, where the others have one number too.
        stride: Step of the window; the kernel's size unless stated.
        padding: Rows and columns on each side that never win, at most half the kernel.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down. The range of values stays.
    """

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("max pooling", inputs[0])
        lengths = output_size(f"max pooling {self.short}", tuple(size), *self.window(inputs[0]))
        return Signal((c, *lengths), inputs[0].values, inputs[0].varies)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The place of each maximum in its map, as an integer of 16 or 32 bits."""
        places = prod(inputs[0].shape[1:])
        return SavedForBackward(bytes_per_step=(2 if places <= MAX_16_BIT_PLACES else 4) * self.infer(*inputs).elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        window = self.window(inputs[0])
        made: Callable[..., nn.Module] = runtime.MaxPool2d if len(window[0]) > 1 else runtime.MaxPool1d
        return made(*window)


class GlobalAvgPool(Layer, kind="GAP"):
    """The mean of each channel over height and width, or over the length.

    In a network: ``GAP``.

    Shape: ``[C, H, W]`` or ``[C, L]`` to ``[C]``.
    """

    saves = "nothing"  # a mean needs no more than its shape

    def infer(self, *inputs: Signal) -> Signal:
        c, *_ = row_or_map_shape("global average pooling", inputs[0])
        return Signal((c,), varies=inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.GlobalAvgPool()
