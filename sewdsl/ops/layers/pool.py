"""What max and average pooling share: a window and its step."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import model_validator

from sewdsl.ir.kind import Letter, NaturalPair, PositivePair
from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import Lengths, along_axes, row_or_map_shape, unreached_edges


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
        """Whether the window moves by more than one."""
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
