"""Average pooling, ``APk2``, and the voting layer, ``APk10s10`` after a fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.ir.op import SavedForBackward, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.pool import Pool
from sewdsl.ops.windows import Lengths, output_size, row_or_map_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from sewdsl.snn.runtime import Runtime


class AvgPool(Pool, kind="AP", key="avg_pool"):
    """The mean of each window; on a vector, the voting layer: k neurons vote for each class.

    In a network: ``APk2``, ``APk10s10``.

    Attributes:
        kernel: Height and width of the window; its length on ``[C, L]``; voters per class on a vector.
        stride: Step of the window; the kernel's size unless stated. On a vector it must be the kernel's size.
        padding: Zeros on each side, counted in the mean, at most half the kernel. None on a vector.

    Shape: ``[C, H, W]`` to ``[C, H', W']`` and ``[C, L]`` to ``[C, L']``, rounded down; ``[F]`` to ``[F / k]``.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Real values in a smaller shape."""
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

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Nothing: a mean needs no more than its shape."""
        return SavedForBackward()

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A multi-step average pooling."""
        if len(inputs[0].shape) == 1:
            return runtime.VotingPool(self.kernel[0])
        window = self.window(inputs[0])
        made: Callable[..., nn.Module] = runtime.AvgPool2d if len(window[0]) > 1 else runtime.AvgPool1d
        return made(*window)
