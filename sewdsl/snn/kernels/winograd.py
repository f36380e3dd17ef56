"""3x3 convolutions on the CPU by Winograd's algorithm, which multiplies a quarter as often.

In float32, of maps that are stored channels last, for windows that go on by 1. Output, gradient of the weight and
gradient of the input are two to four times as far from the exact ones as those of plain sums; a number that is not
finite makes all 4x4 outputs of its tile so. The kernels are of the template ``winograd``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu_neuron, dispatch, memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.event_convolution import has_instructions
from sewdsl.snn.kernels.render_kernels import PLACES_APART, TILES_TOGETHER
from sewdsl.snn.limits import WINOGRAD_CHANNELS, WINOGRAD_KERNEL

if TYPE_CHECKING:
    from sewdsl.snn.convolution import ConvWindow

TILE = 4
"""Height and width of the outputs that are computed together."""
PLACES = 36
"""Products of a tile, for each pair of channels."""
MAX_PADDING = 2
LEAST_TILES = 16
"""With fewer, transforming the weights takes longer than what is saved."""
LEAST_SAVED = 2.25
"""How many times as many products a plain sum has, at least: of small maps, much of a tile is over their edges."""
MAX_BLOCK = 128
BLOCK_BYTES, GRADIENT_BLOCK_BYTES = 1 << 21, 1 << 22
"""Of the values of a block of tiles, that stay in a cache."""
MAX_GROUPS = 16
"""Groups of tiles whose gradients are added up at the end."""
PANEL = 64
"""Channels whose products are enough work for a thread."""


class Winograd(NamedTuple):
    """A convolution by Winograd's algorithm.

    Attributes:
        padding: Of rows and columns.
        vector: Numbers in a vector.
    """

    padding: tuple[int, int]
    vector: int

    @classmethod
    def of(cls, window: ConvWindow, x: Tensor, weight: Tensor) -> Winograd | None:
        """That of maps and a weight; None where there is no kernel for it, or it would not be faster.

        Args:
            window: How the kernel slides.
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
        """
        suits = (
            x.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and dispatch.kernels_run_on(x.device)
            and x.is_contiguous(memory_format=torch.channels_last)
            and window.groups == 1
            and window.kernel == WINOGRAD_KERNEL
            and window.stride == window.dilation == (1, 1)
            and not isinstance(window.padding, str)
            and max(window.padding) <= MAX_PADDING
            and not any(channels % WINOGRAD_CHANNELS for channels in weight.shape[:2])
        )
        if not suits or isinstance(window.padding, str):
            return None
        (N, _, *size), (ph, pw) = x.shape, window.padding
        rows, columns = size[0] + 2 * ph - 2, size[1] + 2 * pw - 2
        tiles = -(-rows // TILE) * -(-columns // TILE)
        if min(rows, columns) < 1 or N * tiles < LEAST_TILES or 9 * rows * columns < LEAST_SAVED * PLACES * tiles:
            return None
        wide = has_instructions("avx512f") and not any(channels % 16 for channels in weight.shape[:2])
        return cls((ph, pw), 16 if wide else 8)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The output ``[N, C', H', W']``, channels last."""
        y = self._slide(x, weight.detach().permute(2, 3, 1, 0).contiguous(), self.padding)
        return y if bias is None else y.add_(bias.detach().view(-1, 1, 1))

    def input_gradient(self, weight: Tensor, g: Tensor) -> Tensor:
        """The gradient of the input, ``[N, C, H, W]``, channels last; of g, the gradient of the output."""
        ph, pw = self.padding
        turned = weight.detach().contiguous(memory_format=torch.channels_last).permute(2, 3, 0, 1)
        return self._slide(g, turned, (2 - ph, 2 - pw), turned=True)

    def _slide(self, x: Tensor, taps: Tensor, padding: tuple[int, int], *, turned: bool = False) -> Tensor:
        """The output for maps.

        Args:
            x: ``[N, C, H, W]``.
            taps: Weights, ``[3, 3, C, C']`` with a step of 1 between output channels.
            padding: Of rows and columns.
            turned: Whether the kernel is turned by half a turn.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        (N, C, H, W), CO, (ph, pw) = x.shape, taps.shape[-1], padding
        vectors, rows = self._sizes(CO)
        panels, threads = CO // (vectors * self.vector), torch.get_num_threads()
        u = torch.empty(PLACES * (C * CO + PLACES_APART)).numpy()
        down, right, deep, _ = taps.stride()
        begin = 2 * (down + right) if turned else 0
        taps_row, sign = memory_layout.flat_row(taps), -1 if turned else 1
        kernel = self._kernel(vectors, rows, "weights")
        steps = begin, sign * down, sign * right, deep, C, CO
        thread_blocks.run_in_blocks(
            lambda a, b: kernel(taps_row, u, a, b, *steps), panels * C, 1, parallel=C * CO >= 1 << 14
        )
        height, width = H + 2 * ph - 2, W + 2 * pw - 2
        y = torch.empty((N, CO, height, width), memory_format=torch.channels_last)
        tiles_down, tiles_right = -(-height // TILE), -(-width // TILE)
        tiles = N * tiles_down * tiles_right
        most = min(MAX_BLOCK, BLOCK_BYTES // (PLACES * 4 * C), -(-tiles // (threads * thread_blocks.PIECES_PER_THREAD)))
        here = max(TILES_TOGETHER, most // TILES_TOGETHER * TILES_TOGETHER)
        here = min(here, -(-tiles // rows) * rows)
        blocks = -(-tiles // here)
        parts = max(1, min(panels, threads * thread_blocks.PIECES_PER_THREAD // blocks))
        arrays = memory_layout.flat_row(x), u, memory_layout.flat_row(y)
        sizes = tiles, here, parts, H, W, C, height, width, CO, tiles_down, tiles_right, ph, pw
        forward = self._kernel(vectors, rows, "forward")
        thread_blocks.run_in_blocks(lambda a, b: forward(*arrays, a, b, *sizes), blocks * parts, 1, parallel=True)
        return y

    def weight_gradient(self, x: Tensor, weight: Tensor, g: Tensor) -> Tensor:
        """The gradient of the weight ``[C', C, 3, 3]``, laid out as it is.

        Args:
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
            g: Gradient of the output, ``[N, C', H', W']``.
        """
        x, g = (maps.contiguous(memory_format=torch.channels_last) for maps in (x, g))
        (N, C, H, W), (_, CO, height, width), (ph, pw) = x.shape, g.shape, self.padding
        vectors, rows = self._sizes(C)
        panel = vectors * self.vector
        panels = C // panel
        tiles_down, tiles_right = -(-height // TILE), -(-width // TILE)
        tiles = N * tiles_down * tiles_right
        here = max(MAX_BLOCK // 2, min(MAX_BLOCK, GRADIENT_BLOCK_BYTES // (PLACES * 4 * (panel + CO))))
        # of sizes alone, so that threads change no bit
        groups = max(1, min(MAX_GROUPS * PANEL**2 // (C * CO), tiles // here))
        per = -(-tiles // groups)
        groups = -(-tiles // per)
        wanted = torch.get_num_threads() * thread_blocks.PIECES_PER_THREAD
        parts = next(p for p in (1, 2, 4, 8) if p * groups * panels >= wanted or CO % (2 * p * PANEL))
        u = torch.empty(groups * PLACES * C * CO).numpy()
        arrays = memory_layout.flat_row(x), memory_layout.flat_row(g), u
        sizes = (
            *(tiles, per, min(here, per), parts, H, W, C, height, width, CO),
            *(tiles_down, tiles_right, ph, pw),
        )
        kernel = self._kernel(vectors, rows, "weight_gradient")
        thread_blocks.run_in_blocks(
            lambda a, b: kernel(*arrays, a, b, *sizes), groups * panels * parts, 1, parallel=True
        )
        found = torch.empty_like(weight, memory_format=torch.channels_last)
        deep, _, down, right = found.stride()
        total = self._kernel(vectors, rows, "sum_gradients")
        row = memory_layout.flat_row(found)
        steps = groups, C, CO, deep, down, right
        thread_blocks.run_in_blocks(
            lambda a, b: total(u, row, a, b, *steps), CO * panels, 1, parallel=groups * C * CO >= 1 << 14
        )
        return found if found.stride() == weight.stride() else torch.empty_like(weight).copy_(found)

    def _sizes(self, channels: int) -> tuple[int, int]:
        """Vectors in a panel of some channels, and rows that are multiplied at once: as many sums as registers hold."""
        most = 4 if has_instructions("avx512f") else 2
        vectors = next(v for v in (4, 2, 1) if v <= most and channels % (v * self.vector) == 0)
        return vectors, 4 if vectors == most else 8

    def _kernel(self, vectors: int, rows: int, function: str) -> cpu_neuron.Kernel:
        return cpu_neuron.compile_kernel(render_kernels.render_winograd, function, self.vector, vectors, rows, function)
