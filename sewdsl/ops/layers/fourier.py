"""Fourier transform of feature maps, ``FFT``."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sewdsl.ir.op import Layer, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import row_or_map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime

PARTS = 2
"""Number of channels of a complex channel: the real and the imaginary part."""


class Fourier(Layer, kind="FFT"):
    """Fourier transform of the positions of each channel, or its inverse.

    In a network: ``ADD[ FFT-c64k1-BN-ReLU-FFT(inverse=on) | id ]`` after ``c32k1``, the spectral transform of fast
    Fourier convolutions (Chi, Jiang and Mu, NeurIPS 2020). The transform is orthonormal: it equals ``rfft2`` and
    ``irfft2`` of PyTorch with ``norm="ortho"``, or ``rfft`` and ``irfft`` on a row. It has the first W / 2 + 1 columns
    of frequencies, which determine the others. Channel 2c is the real part and channel 2c + 1 the imaginary part of
    channel c.

    Shape: ``[C, H, W]`` to ``[2C, H, W / 2 + 1]`` and ``[C, L]`` to ``[2C, L / 2 + 1]``, and back with ``inverse``. W
    and L are even. Multiply-accumulates are those of a product with a matrix for each axis.
    """

    saves = "nothing"  # the matrices are constant

    inverse: bool = False
    """Whether the input is a spectrum, and the output has its values."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return the shape of the spectrum or of the values, which are real."""
        (source,) = inputs
        channels, *rows, width = row_or_map_shape("a Fourier transform", source)
        if self.inverse:
            if channels % PARTS or width == 1:
                raise ShapeMismatch(
                    "invalid-argument",
                    f"{self.label} requires two channels for each channel of the output and at least 2 columns, got "
                    f"[{source.size}]",
                    "use the shape of the output of FFT",
                )
            return Signal((channels // PARTS, *rows, 2 * (width - 1)), varies=source.varies)
        if width % 2:
            raise ShapeMismatch(
                "invalid-argument",
                f"{self.label} requires an even number of columns, got [{source.size}]",
                "change the last length before it, e.g. with a stride of 2 or UP2",
            )
        return Signal((PARTS * channels, *rows, width // 2 + 1), varies=source.varies)

    def macs(self, *inputs: Signal) -> int:
        """Return the operations of a product with a matrix of real numbers for each axis."""
        spectrum, values = (inputs[0], self.infer(*inputs))[:: 1 if self.inverse else -1]
        channels, *rows, width = values.shape
        columns = channels * prod(rows) * width * PARTS * spectrum.shape[-1]
        return columns + sum(PARTS * rows_of * spectrum.elements for rows_of in rows)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Fourier(inverse=self.inverse)
