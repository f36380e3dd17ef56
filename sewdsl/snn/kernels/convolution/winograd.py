"""3x3 convolutions on the CPU by Winograd's algorithm, which multiplies a quarter or half as often.

In float32, of maps that are stored channels last, for windows that go on by 1. The kernels are of the template
``winograd``.

Errors of outputs and input gradients in tiles of 4x4 are about twice those of plain sums (rms), in tiles of 2x2 less
than those. Weight gradients, in tiles of 2x2, have one to three times the errors of plain sums.

By itself, the algorithm makes errors of an output relative to the largest input of the tile. If no input of the
output's own window is larger than 1/64 of that, the output is computed as a plain sum. So are all outputs of a tile
with an input that is not finite or above 2^64. An output whose window is all zeros is 0. Errors of a weight gradient
are relative to the products of the largest values of tiles. A weight gradient that is not finite is computed by the
dense convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.snn.kernels import dispatch, memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.compile_kernel import Kernel, compile_kernel
from sewdsl.snn.kernels.convolution.event_convolution import has_instructions
from sewdsl.snn.kernels.render_kernels import TILES_TOGETHER
from sewdsl.snn.limits import WINOGRAD_CHANNELS, WINOGRAD_KERNEL

if TYPE_CHECKING:
    from sewdsl.snn.conv_window import ConvWindow

MAX_PADDING = 2
MAX_BLOCK = 128
BLOCK_BYTES, GRADIENT_BLOCK_BYTES = 1 << 21, 1 << 22
"""Bytes of the values of a block of tiles, which stay in a cache."""
MAX_GROUPS = 16
"""Groups of tiles whose gradients are added up at the end."""
PANEL = 64
"""Channels whose products are enough work for a thread."""
EMPTY, PLAIN = 1, 2
"""Marks of outputs in the template: of zeros alone, and not to be computed by tiles."""
DENSE_SHARE = 8
"""If more than one in so many outputs is not computed by tiles, all of these are taken of a dense convolution."""

Result = Literal["output", "weight gradient", "input gradient"]


class Cost(NamedTuple):
    """Time of a computation, in the time of a product of a dense convolution.

    Attributes:
        product: For each product of a value and a weight.
        weight: For each weight.
        value: For each value that is read or written; of tiles, before and after their transforms.
        call: For the call.
    """

    product: float
    weight: float
    value: float
    call: float


DENSE: Mapping[Result, Cost] = {
    "output": Cost(1, 24, 18, 5e6),
    "weight gradient": Cost(1.25, 36, 0, 8e6),
    "input gradient": Cost(1, 22, 24, 6e6),
}
TILES: Mapping[tuple[Result, int], Cost] = {
    ("output", 4): Cost(1.6, 14, 11, 5e6),
    ("output", 2): Cost(1.4, 20, 7.5, 5e6),
    ("weight gradient", 2): Cost(1.35, 22, 10, 5e6),
    ("input gradient", 4): Cost(1.6, 12, 10, 5e6),
    ("input gradient", 2): Cost(1.35, 16, 7.5, 5e6),
}
"""By height and width of a tile. In tiles of 4x4, weight gradients would have four to six times the errors of plain
sums, to take a tenth of the time less."""
LEAST_GAIN = 1.2
"""Estimated gain from which on tiles are used: the estimates are no better than that."""
LEAST_PRODUCTS = 1 << 23
"""Products of a dense convolution, a tenth of a millisecond, below which compiling kernels does not pay."""
ROUNDED_TILES = 8
"""Tiles are multiplied in multiples of this."""


def cheapest_tile(result: Result, N: int, channels: tuple[int, int], x: tuple[int, int], y: tuple[int, int]) -> int:
    """Return the height and width of the tiles that are fastest, by sizes alone; 0: dense is.

    The choice changes the last bits of results, so it must not depend on the machine or on the number of threads.

    Args:
        result: What is computed.
        N: Samples, over all time-steps.
        channels: Of input and output.
        x: Height and width of the input.
        y: Height and width of the output.
    """
    weights = channels[0] * channels[1]

    def estimate(cost: Cost, products: float, per_weight: float, values: float) -> float:
        return cost.product * products * weights + cost.weight * per_weight * weights + cost.value * values + cost.call

    costs = {0: estimate(DENSE[result], 9 * N * y[0] * y[1], 9, N * y[0] * y[1] * sum(channels)) / LEAST_GAIN}
    rows, columns = x if result == "input gradient" else y
    for tile in (tile for computed, tile in TILES if computed == result):
        tiles, places = N * -(-rows // tile) * -(-columns // tile), (tile + 2) ** 2
        rounded = -(-tiles // ROUNDED_TILES) * ROUNDED_TILES
        values = places * tiles * sum(channels)
        costs[tile] = estimate(TILES[result, tile], places * rounded, 9 * places / 16, values)
    return min(costs, key=costs.__getitem__)


class Winograd(NamedTuple):
    """A convolution by Winograd's algorithm.

    Attributes:
        padding: Of rows and columns.
        vector: Elements of a vector.
        output_tile: Height and width of the tiles in which the output is computed, 2 or 4; 0: a dense convolution is
            faster.
        weight_tile: Likewise, of the weight gradient.
        input_tile: Likewise, of the input gradient.
    """

    padding: tuple[int, int]
    vector: int
    output_tile: int
    weight_tile: int
    input_tile: int

    @classmethod
    def of(cls, window: ConvWindow, x: Tensor, weight: Tensor) -> Winograd | None:
        """Return that of maps and a weight, or None if there is no kernel for it, or none is faster than dense.

        Args:
            window: How the kernel slides.
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
        """
        suits = (
            x.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and dispatch.kernels_run_on(x.device)
            and x.numel() > 0
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
        (N, C, H, W), (ph, pw) = x.shape, window.padding
        rows, columns = H + 2 * ph - 2, W + 2 * pw - 2
        if min(rows, columns) < 1 or N * rows * columns * weight.numel() < LEAST_PRODUCTS:
            return None
        results: tuple[Result, ...] = "output", "weight gradient", "input gradient"
        sizes = N, (C, weight.shape[0]), (H, W), (rows, columns)
        tiles = [cheapest_tile(result, *sizes) for result in results]
        wide = has_instructions("avx512f") and not any(channels % 16 for channels in weight.shape[:2])
        return cls((ph, pw), 16 if wide else 8, *tiles) if any(tiles) else None

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """Return the output ``[N, C', H', W']``, channels last, or None if dense is faster."""
        if not self.output_tile:
            return None
        y = self._slide(self.output_tile, x, weight, self.padding)
        return y if bias is None else y.add_(bias.detach().view(-1, 1, 1))

    def input_gradient(self, weight: Tensor, g: Tensor) -> Tensor | None:
        """Return the input gradient ``[N, C, H, W]``, channels last, or None if dense is faster.

        Args:
            weight: ``[C', C, 3, 3]``.
            g: Gradient of the output, ``[N, C', H', W']``.
        """
        if not self.input_tile:
            return None
        ph, pw = self.padding
        return self._slide(self.input_tile, g, weight, (2 - ph, 2 - pw), turned=True)

    def _slide(self, tile: int, x: Tensor, weight: Tensor, padding: tuple[int, int], *, turned: bool = False) -> Tensor:
        """Return the output for maps.

        Args:
            tile: Height and width of a tile.
            x: ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``; turned: ``[C, C', 3, 3]``.
            padding: Of rows and columns.
            turned: Whether the kernel is turned by half a turn.
        """
        x, weight = (each.detach().contiguous(memory_format=torch.channels_last) for each in (x, weight))
        (N, C, H, W), CO, (ph, pw) = x.shape, weight.shape[1 if turned else 0], padding
        vectors, rows = self._sizes(CO)
        panels, wanted = CO // (vectors * self.vector), torch.get_num_threads() * thread_blocks.PIECES_PER_THREAD
        height, width = H + 2 * ph - 2, W + 2 * pw - 2
        y = torch.empty((N, CO, height, width), memory_format=torch.channels_last)
        doubts = torch.zeros((N, height, width), dtype=torch.uint8)
        down, right = -(-height // tile), -(-width // tile)
        tiles = N * down * right
        # Pieces for all threads: blocks of tiles, and panels if there are few tiles.
        most = min(MAX_BLOCK, BLOCK_BYTES // ((tile + 2) ** 2 * 4 * C), -(-tiles // -(-wanted // panels)))
        here = max(TILES_TOGETHER, most // TILES_TOGETHER * TILES_TOGETHER)
        here = min(here, -(-tiles // rows) * rows)
        blocks = -(-tiles // here)
        parts = max(1, min(panels, wanted // blocks))
        arrays = *map(memory_layout.flat_row, (x, weight, y)), doubts.view(-1).numpy()
        sizes = tiles, here, parts, H, W, C, height, width, CO, down, right, ph, pw, int(turned)
        kernel = self._kernel(tile, vectors, rows, "forward")
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), blocks * parts, 1, parallel=True)
        if doubts.any():
            _settle_doubts(doubts, x, weight.flip(2, 3).transpose(0, 1) if turned else weight, padding, y)
        return y

    def weight_gradient(self, x: Tensor, weight: Tensor, g: Tensor) -> Tensor | None:
        """Return the weight gradient ``[C', C, 3, 3]``, laid out as the weight; None if not finite, or dense is faster.

        Args:
            x: Maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
            g: Gradient of the output, ``[N, C', H', W']``.
        """
        tile = self.weight_tile
        if not tile:
            return None
        x, g = (maps.contiguous(memory_format=torch.channels_last) for maps in (x, g))
        (N, C, H, W), (_, CO, height, width), (ph, pw) = x.shape, g.shape, self.padding
        vectors, rows = self._sizes(C)
        panel, places = vectors * self.vector, (tile + 2) ** 2
        panels = C // panel
        down, right = -(-height // tile), -(-width // tile)
        tiles = N * down * right
        here = max(MAX_BLOCK // 2, min(MAX_BLOCK, GRADIENT_BLOCK_BYTES // (places * 4 * (panel + CO))))
        # Groups depend on sizes alone, so that threads change no bit.
        groups = max(1, min(MAX_GROUPS * PANEL**2 // (C * CO), tiles // here))
        per = -(-tiles // groups)
        groups = -(-tiles // per)
        wanted = torch.get_num_threads() * thread_blocks.PIECES_PER_THREAD
        parts = next(p for p in (1, 2, 4, 8) if p * groups * panels >= wanted or CO % (2 * p * PANEL))
        result = torch.empty_like(weight, memory_format=torch.channels_last)
        u, row = torch.empty(groups * places * C * CO if groups > 1 else 0).numpy(), memory_layout.flat_row(result)
        arrays = memory_layout.flat_row(x), memory_layout.flat_row(g), u, row
        sizes = tiles, per, min(here, per), groups, parts, H, W, C, height, width, CO, down, right, ph, pw
        kernel = self._kernel(tile, vectors, rows, "weight_gradient")
        thread_blocks.run_in_blocks(
            lambda a, b: kernel(*arrays, a, b, *sizes), groups * panels * parts, 1, parallel=True
        )
        if groups > 1:
            total = self._kernel(tile, vectors, rows, "sum_gradients")
            steps = groups, parts, C, CO
            thread_blocks.run_in_blocks(
                lambda a, b: total(u, row, a, b, *steps), CO * panels, 1, parallel=groups * C * CO >= 1 << 14
            )
        if not result.sum().isfinite():
            return None
        return result if result.stride() == weight.stride() else torch.empty_like(weight).copy_(result)

    def _sizes(self, channels: int) -> tuple[int, int]:
        """Vectors in a panel of some channels, and rows that are multiplied at once: as many sums as registers hold."""
        most = 4 if has_instructions("avx512f") else 2
        vectors = next(v for v in (4, 2, 1) if v <= most and channels % (v * self.vector) == 0)
        return vectors, 4 if vectors == most else 8

    def _kernel(self, tile: int, vectors: int, rows: int, function: str) -> Kernel:
        return compile_kernel(render_kernels.render_winograd, function, tile, self.vector, vectors, rows, function)


def _settle_doubts(doubts: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int], y: Tensor) -> None:
    """Put zeros and plain sums where the tiles have doubts.

    Args:
        doubts: ``[N, H', W']``, see the template.
        x: Maps, ``[N, C, H, W]``.
        weight: ``[C', C, 3, 3]``.
        padding: Of rows and columns.
        y: The output, ``[N, C', H', W']``, channels last.
    """
    places = y.permute(0, 2, 3, 1)
    places[doubts == EMPTY] = 0
    n, i, j = (doubts == PLAIN).nonzero(as_tuple=True)
    if len(n) * DENSE_SHARE > doubts.numel():
        places[n, i, j] = functional.conv2d(x, weight, padding=padding).permute(0, 2, 3, 1)[n, i, j]
    elif len(n):
        windows = x.new_zeros(len(n), *WINOGRAD_KERNEL, x.shape[1])
        for a, b in product(*map(range, WINOGRAD_KERNEL)):
            row, column = i + a - padding[0], j + b - padding[1]
            inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
            windows[inside, a, b] = x[n[inside], :, row[inside], column[inside]]
        places[n, i, j] = windows.flatten(1) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
