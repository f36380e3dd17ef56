"""Convolutions on the CPU of maps few of whose numbers are not 0: only what is active is looked at.

The input has to be stored channels last, and its windows to be without groups and gaps. Where a tenth of the input is
active, the forward pass takes a third of the time of a dense convolution, the gradient of the weights a quarter; the
gradient of the input, which is of dense gradients, stays dense.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.snn.kernels import compile_ahead, dispatch, memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.compile_kernel import compile_kernel
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL

if TYPE_CHECKING:
    from sewdsl.snn.conv_window import ConvWindow

MOST_ACTIVE = 0.2
"""Up to this part of an input is active where the forward pass is computed by events: at twice that, dense is level."""
MOST_ACTIVE_IN_GRADIENT = 0.3
"""The same for the gradient of the weights."""
MOST_ACTIVE_WITH_WINOGRAD, MOST_ACTIVE_WITH_WINOGRAD_IN_GRADIENT = 0.14, 0.22
"""Likewise, where what is not computed by events is computed by Winograd's algorithm, which is twice as fast."""
MOST_ACTIVE_OF_16_BITS, MOST_ACTIVE_OF_16_BITS_IN_GRADIENT = 0.12, 0.18
"""Likewise, for formats of 16 bits that the processor multiplies as they are, which makes dense twice as fast."""
INSTRUCTIONS = {"bfloat16": ("avx512bf16", "amx-bf16"), "float16": ("avx512fp16", "amx-fp16")}
"""What processors are said to have that multiply a format as it is."""
LOOKED_AT = 17
"""Of so many pieces of an input one is looked at to learn how much of it is active: a prime, so that all channels and
columns have their turn."""
FORMATS = (torch.float32, torch.bfloat16, torch.float16)
MAX_WEIGHTS = 1 << 31
"""Of a layer: the place of one is an integer of 32 bits."""
REGISTERS = 12
"""Vectors that sums are kept in, of the 16 that most processors have."""
FORWARD_VECTORS = 16
"""Vectors that the forward pass sums up at once: more than there are registers, but events are then read less often."""
MAX_PARTIAL_BYTES = 1 << 25
"""Room for gradients of the weights by groups of samples, which are added up at the end."""
MAX_GROUPS = 16
TILE_BYTES = 1 << 18
"""Of the gradients around a tile of the input."""
TILE_COLUMNS = 128
TILE_PLACES = 512
"""Of a tile of several samples."""
STRIP_ROWS = 8
"""Rows of an output that one thread computes, at least."""
TESTED_SAMPLES = 8
"""Of the convolution that shows whether sums are added up in the same order."""


class EventConvolution(NamedTuple):
    """A convolution by events.

    Attributes:
        window: How its kernel slides.
        stored: Dtype of its input.
        counts: Whether inputs may be other numbers than 0 and 1.
        channels: Of the input.
        outputs: Channels of the output.
    """

    window: ConvWindow
    stored: str
    counts: bool
    channels: int
    outputs: int

    @classmethod
    def of(cls, window: ConvWindow, x: Tensor, weight: Tensor, *, counts: bool) -> EventConvolution | None:
        """That of maps and a weight; None where there is no kernel for it.

        Args:
            window: How the kernel slides.
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, kh, kw]``.
            counts: Whether x may have other numbers than 0 and 1.
        """
        outputs, channels = weight.shape[:2]
        suits = (
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
        return cls(window, memory_layout.dtype_name(x), counts, channels, outputs) if suits else None

    def most_active(self, *, gradient: bool = False, winograd: bool = False) -> float:
        """Up to which part of an input is active where this, or the gradient of the weight, is computed by events.

        Args:
            gradient: Of the gradient.
            winograd: Whether Winograd's algorithm computes the rest.
        """
        if winograd:
            return MOST_ACTIVE_WITH_WINOGRAD_IN_GRADIENT if gradient else MOST_ACTIVE_WITH_WINOGRAD
        if any(has_instructions(name) for name in INSTRUCTIONS.get(self.stored, ())):
            return MOST_ACTIVE_OF_16_BITS_IN_GRADIENT if gradient else MOST_ACTIVE_OF_16_BITS
        return MOST_ACTIVE_IN_GRADIENT if gradient else MOST_ACTIVE

    def is_sparse(self, x: Tensor, most: float) -> bool:
        """Whether no more than a part of an input is active, by a sample of it that depends on its size alone."""
        lanes = self._mask_lanes
        pieces = x.numel() // lanes
        kernel = compile_kernel(render_kernels.render_event_convolution, "count", self._variant(1), "count")
        found = np.zeros(1, np.int64)
        kernel(memory_layout.flat_row(x), found, 0, pieces, LOOKED_AT)
        return bool(found[0] <= most * lanes * len(range(0, pieces, LOOKED_AT)))

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None, *, winograd: bool = False) -> Tensor | None:
        """The output ``[N, C', H', W']``, channels last; None where much of x is active, or it is not what was said."""
        if not self.is_sparse(x, self.most_active(winograd=winograd)) or not weight.sum(dtype=torch.float32).isfinite():
            return None  # a dense convolution multiplies what is not finite by zeros too, which gives no number
        return self.computed(x, weight, bias)

    def computed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """The output, however much of x is active; None where x is not what was said of it."""
        (kh, kw), (sh, sw), (ph, pw) = self.window.kernel, self.window.stride, self._padding
        N, C, H, W = x.shape
        size = (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1
        y = torch.empty((N, self.outputs, *size), dtype=x.dtype, memory_format=torch.channels_last)
        rows = weight.detach().float().permute(2, 3, 1, 0).reshape(-1, self.outputs)
        start = rows.new_zeros(self.outputs) if bias is None else bias.detach().float().contiguous()
        other = np.zeros(1, np.int64)
        arrays = (
            *(memory_layout.flat_row(x), rows.reshape(-1).numpy(), start.numpy()),
            *(memory_layout.flat_row(y), other),
        )
        variant = self._variant(self._vectors(FORWARD_VECTORS))
        kernel = compile_kernel(render_kernels.render_event_convolution, "forward", variant, "forward")
        # what a strip reads of its neighbours is listed twice: no more of them than the threads need
        strips = max(1, min(size[0] // STRIP_ROWS, -(-thread_blocks.PIECES_PER_THREAD * torch.get_num_threads() // N)))
        sizes = strips, H, W, C, self.outputs, *size, sh, sw, ph, pw
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), N * strips, 1, parallel=True)
        # A rehearsal goes on to the dense convolution, whose kernels are needed where much of x is active.
        return None if other[0] or compile_ahead.is_rehearsing() else y

    def weight_gradient(self, x: Tensor, weight: Tensor, g: Tensor, *, winograd: bool = False) -> Tensor | None:
        """The gradient of the weight; None where much of x is active, it is not what was said, or the window steps.

        Args:
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, kh, kw]``.
            g: Gradient of the output, ``[N, C', H', W']``.
            winograd: Whether Winograd's algorithm computes it otherwise.
        """
        suits = self.window.stride == (1, 1) and x.is_contiguous(memory_format=torch.channels_last)
        sparse = suits and self.is_sparse(x, self.most_active(gradient=True, winograd=winograd))
        return self.computed_gradient(x, weight, g) if sparse else None

    def computed_gradient(self, x: Tensor, weight: Tensor, g: Tensor) -> Tensor | None:
        """The gradient of the weight, however much of x is active; None where x is not what was said of it."""
        (kh, kw), (ph, pw) = self.window.kernel, self._padding
        N, C, H, W = x.shape
        g = g.contiguous(memory_format=torch.channels_last)
        vectors = self._vectors(max(1, REGISTERS // kw))
        width = vectors * EVENT_CHANNELS
        elements = C * self.outputs * kh * kw
        groups = max(1, min(MAX_GROUPS, N, MAX_PARTIAL_BYTES // (4 * elements)))
        per = -(-N // groups)
        groups = -(-N // per)
        partial = torch.empty((groups, C, self.outputs // width, kh, kw, width))
        wide = min(W, TILE_COLUMNS)
        high = max(1, min(H, TILE_BYTES // (4 * wide * self.outputs)))
        samples = max(1, min(per, TILE_PLACES // (H * W))) if (high, wide) == (H, W) else 1
        other = np.zeros(1, np.int64)
        arrays = memory_layout.flat_row(x), memory_layout.flat_row(g), partial.view(-1).numpy(), other
        variant = self._variant(vectors)
        kernel = compile_kernel(render_kernels.render_event_convolution, "weight_gradient", variant, "weight_gradient")
        sizes = per, N, H, W, C, self.outputs, *g.shape[2:], ph, pw, samples, high, wide
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), groups, 1, parallel=groups > 1)
        if other[0] or compile_ahead.is_rehearsing():
            return None
        found = partial.sum(0).flip(2, 3).permute(1, 4, 0, 2, 3).reshape(self.outputs, C, kh, kw)
        return torch.empty_like(weight).copy_(found)

    @property
    def _padding(self) -> tuple[int, int]:
        if isinstance(self.window.padding, str):
            message = f"padding {self.window.padding!r} has no numbers"
            raise TypeError(message)
        ph, pw = self.window.padding
        return ph, pw

    @property
    def _mask_lanes(self) -> int:
        """The largest power of 2 that divides the channels, up to the bits of a mask."""
        return min(64, self.channels & -self.channels)

    def _vectors(self, most: int) -> int:
        """Into how many vectors output channels are divided that are summed up at once."""
        return next(v for v in range(most, 0, -1) if self.outputs % (v * EVENT_CHANNELS) == 0)

    def _variant(self, vectors: int) -> render_kernels.EventConvolutionVariant:
        kh, kw = self.window.kernel
        return render_kernels.EventConvolutionVariant(
            self.stored, self.counts, kh, kw, self._mask_lanes, EVENT_CHANNELS, vectors
        )


@cache
def has_instructions(name: str) -> bool:
    """Whether the processor has what LLVM calls so."""
    from llvmlite.binding import get_host_cpu_features  # noqa: PLC0415 -- loaded only when a kernel is needed

    try:
        return bool(get_host_cpu_features().get(name))
    except RuntimeError:  # LLVM does not know
        return False


def equals_dense(convolution: EventConvolution, shape: torch.Size, *, bias: bool) -> bool:
    """Whether torch adds up the sums of a convolution in the same order, so that every bit is the same.

    It is found out with numbers of which half are active, once for each kind of convolution.

    Args:
        convolution: Which.
        shape: Of its input, ``[N, C, H, W]``.
        bias: Whether it has one.
    """
    if compile_ahead.is_rehearsing():
        return True
    maps = min(shape[0], TESTED_SAMPLES), *shape[1:]
    return _equals_dense(convolution, maps, bias=bias, _threads=torch.get_num_threads())


@lru_cache(maxsize=1024)
def _equals_dense(convolution: EventConvolution, maps: tuple[int, ...], *, bias: bool, _threads: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    window, dtype = convolution.window, getattr(torch, convolution.stored)
    x = torch.rand(maps, generator=generator)
    x = (x * (3 if convolution.counts else 1) + 0.5).floor().to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(convolution.outputs, convolution.channels, *window.kernel, generator=generator).to(dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    b = torch.randn(convolution.outputs, generator=generator).to(dtype) if bias else None
    with torch.no_grad():
        y = convolution.computed(x, weight, b)
        dense = functional.conv2d(x, weight, b, window.stride, window.padding, window.dilation, window.groups)
    return y is not None and torch.equal(y, dense)
