"""Event-driven convolutions on the CPU, which process only the active (non-zero) inputs.

Requires a channels-last input and a convolution without groups and dilation. With 10 % active inputs, the forward pass
takes a third of the time of a dense convolution, and the weight gradient a quarter. The input gradient is computed from
dense gradients and stays dense.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.snn.kernels import compile_ahead, dispatch, memory_layout, thread_blocks
from sewdsl.snn.kernels.compile_kernel import Kernel, compile_template
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL

if TYPE_CHECKING:
    from sewdsl.snn.conv_window import ConvWindow

MOST_ACTIVE = 0.2
"""Largest active fraction for an event-driven forward pass. A dense convolution is as fast at twice this fraction."""
MOST_ACTIVE_IN_GRADIENT = 0.3
"""Largest active fraction for an event-driven weight gradient."""
MOST_ACTIVE_WITH_WINOGRAD, MOST_ACTIVE_WITH_WINOGRAD_IN_GRADIENT = 0.14, 0.22
"""Limits for forward pass and weight gradient if the alternative is Winograd's algorithm, which is twice as fast."""
MOST_ACTIVE_OF_16_BITS, MOST_ACTIVE_OF_16_BITS_IN_GRADIENT = 0.12, 0.18
"""Limits for 16-bit formats with native multiplication, for which dense convolutions are twice as fast."""
INSTRUCTIONS = {"bfloat16": ("avx512bf16", "amx-bf16"), "float16": ("avx512fp16", "amx-fp16")}
"""Processor features with native multiplication of a format, in LLVM's spelling."""
LOOKED_AT = 17
"""Stride over pieces of an input for estimating its active fraction. A prime, so that the sample includes all channels
and columns."""
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
MAX_WEIGHTS = 1 << 31
"""Exclusive limit of the number of weights: kernels store their offsets in 32 bits."""
REGISTERS = 12
"""Vectors of partial sums in the weight gradient, of the 16 vector registers that most processors have."""
FORWARD_VECTORS = 16
"""Vectors of partial sums in the forward pass. They exceed the registers, but events are read less often."""
MAX_PARTIAL_BYTES = 1 << 25
"""Largest size of the weight gradients of all groups of samples, before they are added."""
MAX_GROUPS = 16
"""Largest number of groups of samples with a weight gradient each."""
TILE_BYTES = 1 << 18
"""Size of the output gradients around a tile of the input, which stay in a cache."""
TILE_COLUMNS = 128
"""Largest width of a tile."""
TILE_PLACES = 512
"""Largest number of positions in a tile of several samples."""
STRIP_ROWS = 8
"""Smallest number of output rows per strip, the unit of work of a thread."""
TESTED_SAMPLES = 8
"""Number of samples in the comparison with a dense convolution."""


class EventConvolution(NamedTuple):
    """Event-driven convolution of a layer."""

    window: ConvWindow
    stored: str
    """Dtype of the input."""
    counts: bool
    """Whether inputs may have values other than 0 and 1."""
    channels: int
    outputs: int

    @classmethod
    def of(cls, window: ConvWindow, x: Tensor, weight: Tensor, *, counts: bool) -> EventConvolution | None:
        """Return the convolution of an input and a weight, or None if no kernel applies.

        Args:
            x: Feature maps, ``[N, C, H, W]``.
            weight: ``[C', C, kh, kw]``.
            counts: Whether x may have values other than 0 and 1.
        """
        outputs, channels = weight.shape[:2]
        applies = (
            x.device.type == "cpu"
            and x.dtype in FORMATS
            and weight.dtype == x.dtype
            and dispatch.kernels_run_on(x.device)
            and x.numel() > 0
            and x.is_contiguous(memory_format=torch.channels_last)
            and window.groups == 1
            and window.dilation == (1, 1)
            and not isinstance(window.padding, str)
            and max(window.kernel) <= MAX_EVENT_KERNEL
            and channels % EVENT_CHANNELS == 0
            and outputs % EVENT_CHANNELS == 0
            and weight.numel() < MAX_WEIGHTS
        )
        return cls(window, memory_layout.dtype_name(x), counts, channels, outputs) if applies else None

    def most_active(self, *, gradient: bool = False, winograd: bool = False) -> float:
        """Return the largest active fraction for which the event-driven kernel is used.

        Args:
            gradient: Whether the limit is for the weight gradient. Otherwise, it is for the forward pass.
            winograd: Whether the alternative is Winograd's algorithm.
        """
        if winograd:
            return MOST_ACTIVE_WITH_WINOGRAD_IN_GRADIENT if gradient else MOST_ACTIVE_WITH_WINOGRAD
        if any(has_instructions(name) for name in INSTRUCTIONS.get(self.stored, ())):
            return MOST_ACTIVE_OF_16_BITS_IN_GRADIENT if gradient else MOST_ACTIVE_OF_16_BITS
        return MOST_ACTIVE_IN_GRADIENT if gradient else MOST_ACTIVE

    def is_sparse(self, x: Tensor, most: float) -> bool:
        """Return whether the active fraction of an input is at most ``most``, estimated from a sample."""
        # The sample depends on sizes only, so the same input always takes the same path.
        lanes = self._mask_lanes
        pieces = x.numel() // lanes
        kernel = self._kernel("count", 1)
        active_count = np.zeros(1, np.int64)
        kernel(memory_layout.flat_row(x), active_count, 0, pieces, LOOKED_AT)
        return bool(active_count[0] <= most * lanes * len(range(0, pieces, LOOKED_AT)))

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None, *, winograd: bool = False) -> Tensor | None:
        """Return the output ``[N, C', H', W']``, channels-last.

        None if too many inputs are active, x has values other than declared, or a weight is not finite.
        """
        if not self.is_sparse(x, self.most_active(winograd=winograd)) or not weight.sum(dtype=torch.float32).isfinite():
            # A dense convolution also multiplies non-finite weights by zero inputs, which gives NaN.
            return None
        return self.computed(x, weight, bias)

    def computed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """Return the output for any active fraction, or None if x has values other than declared."""
        (kh, kw), (sh, sw), (ph, pw) = self.window.kernel, self.window.stride, self._padding
        N, C, H, W = x.shape
        size = (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1
        y = torch.empty((N, self.outputs, *size), dtype=x.dtype, memory_format=torch.channels_last)
        rows = weight.detach().float().permute(2, 3, 1, 0).reshape(-1, self.outputs)
        start = rows.new_zeros(self.outputs) if bias is None else bias.detach().float().contiguous()
        unexpected = np.zeros(1, np.int64)
        arrays = (
            *(memory_layout.flat_row(x), rows.reshape(-1).numpy(), start.numpy()),
            *(memory_layout.flat_row(y), unexpected),
        )
        kernel = self._kernel("forward", self._vectors(FORWARD_VECTORS))
        # Rows at the borders of strips are listed twice, so use no more strips than the threads need.
        strips = max(1, min(size[0] // STRIP_ROWS, -(-thread_blocks.PIECES_PER_THREAD * torch.get_num_threads() // N)))
        sizes = strips, H, W, C, self.outputs, *size, sh, sw, ph, pw
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), N * strips, parallel=True)
        # A rehearsal continues with the dense convolution, to request its kernels too.
        return None if unexpected[0] or compile_ahead.is_rehearsing() else y

    def weight_gradient(self, x: Tensor, weight: Tensor, g: Tensor, *, winograd: bool = False) -> Tensor | None:
        """Return the weight gradient, like the weight in shape and layout.

        None if too many inputs are active, x has values other than declared, or the stride is not 1.

        Args:
            x: Feature maps, ``[N, C, H, W]``.
            weight: ``[C', C, kh, kw]``.
            g: Gradient of the output, ``[N, C', H', W']``.
            winograd: Whether the alternative is Winograd's algorithm.
        """
        applies = self.window.stride == (1, 1) and x.is_contiguous(memory_format=torch.channels_last)
        sparse = applies and self.is_sparse(x, self.most_active(gradient=True, winograd=winograd))
        return self.computed_gradient(x, weight, g) if sparse else None

    def computed_gradient(self, x: Tensor, weight: Tensor, g: Tensor) -> Tensor | None:
        """Return the weight gradient for any active fraction. None if x has values other than declared."""
        (kh, kw), (ph, pw) = self.window.kernel, self._padding
        N, C, H, W = x.shape
        g = g.contiguous(memory_format=torch.channels_last)
        vectors = self._vectors(max(1, REGISTERS // kw))
        width = vectors * EVENT_CHANNELS
        elements = C * self.outputs * kh * kw
        # Groups depend on sizes only, so the order of sums does not depend on the number of threads.
        groups = max(1, min(MAX_GROUPS, N, MAX_PARTIAL_BYTES // (4 * elements)))
        group_size = -(-N // groups)
        groups = -(-N // group_size)
        partial = torch.empty((groups, C, self.outputs // width, kh, kw, width))
        tile_width = min(W, TILE_COLUMNS)
        tile_height = max(1, min(H, TILE_BYTES // (4 * tile_width * self.outputs)))
        # Small maps: several samples share a tile, if each sample fits as a whole.
        samples = max(1, min(group_size, TILE_PLACES // (H * W))) if (tile_height, tile_width) == (H, W) else 1
        unexpected = np.zeros(1, np.int64)
        arrays = memory_layout.flat_row(x), memory_layout.flat_row(g), partial.view(-1).numpy(), unexpected
        kernel = self._kernel("weight_gradient", vectors)
        sizes = group_size, N, H, W, C, self.outputs, *g.shape[2:], ph, pw, samples, tile_height, tile_width
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), groups, parallel=groups > 1)
        if unexpected[0] or compile_ahead.is_rehearsing():
            return None
        # The kernel writes taps in reverse order, and output channels in groups of `width`.
        gradient = partial.sum(0).flip(2, 3).permute(1, 4, 0, 2, 3).reshape(self.outputs, C, kh, kw)
        return torch.empty_like(weight).copy_(gradient)

    @property
    def _padding(self) -> tuple[int, int]:
        if isinstance(self.window.padding, str):
            raise TypeError(f"expected numeric padding, got {self.window.padding!r}")
        ph, pw = self.window.padding
        return ph, pw

    @property
    def _mask_lanes(self) -> int:
        """Largest power of 2 that divides the channels, at most the 64 bits of a mask."""
        return min(64, self.channels & -self.channels)

    def _vectors(self, most: int) -> int:
        """Return the number of vectors of output channels to accumulate together, at most ``most``."""
        return next(v for v in range(most, 0, -1) if self.outputs % (v * EVENT_CHANNELS) == 0)

    def _kernel(self, function: str, vectors: int) -> Kernel:
        kh, kw = self.window.kernel
        constants = {"COUNTS": self.counts, "KERNEL_ROWS": kh, "KERNEL_COLUMNS": kw, "MASK_LANES": self._mask_lanes}
        constants |= {"VECTOR": EVENT_CHANNELS, "VECTORS": vectors}
        return compile_template("event_convolution", function, self.stored, **constants)


@cache
def has_instructions(name: str) -> bool:
    """Return whether the processor has a feature, in LLVM's spelling."""
    from llvmlite.binding import get_host_cpu_features  # noqa: PLC0415 -- loaded only when a kernel is needed

    try:
        return bool(get_host_cpu_features().get(name))
    except RuntimeError:  # LLVM cannot detect the features of this processor.
        return False


def equals_dense(convolution: EventConvolution, shape: torch.Size, *, bias: bool) -> bool:
    """Return whether the output is bit-identical to that of a dense convolution of PyTorch.

    PyTorch may add products in another order. The comparison is cached per kind of convolution.

    Args:
        shape: Shape of the input, ``[N, C, H, W]``.
    """
    if compile_ahead.is_rehearsing():
        return True
    maps = min(shape[0], TESTED_SAMPLES), *shape[1:]
    return _equals_dense(convolution, maps, bias=bias, _threads=torch.get_num_threads())


@lru_cache(maxsize=1024)
def _equals_dense(convolution: EventConvolution, maps: tuple[int, ...], *, bias: bool, _threads: int) -> bool:
    # The number of threads is a key of the cache, since it may change PyTorch's order of sums.
    generator = torch.Generator().manual_seed(0)
    window, dtype = convolution.window, getattr(torch, convolution.stored)
    # Half of the inputs are active: sums of few values would be equal in any order.
    x = torch.rand(maps, generator=generator)
    x = (x * (3 if convolution.counts else 1) + 0.5).floor().to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(convolution.outputs, convolution.channels, *window.kernel, generator=generator).to(dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    b = torch.randn(convolution.outputs, generator=generator).to(dtype) if bias else None
    with torch.no_grad():
        y = convolution.computed(x, weight, b)
        dense = functional.conv2d(x, weight, b, window.stride, window.padding, window.dilation, window.groups)
    return y is not None and torch.equal(y, dense)
