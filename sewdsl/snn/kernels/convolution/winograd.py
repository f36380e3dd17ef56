"""3x3 convolutions on the CPU by Winograd's algorithm, with fewer multiplications.

Tiles of 4x4 need a quarter of the multiplications of a dense convolution, tiles of 2x2 four ninths. Requires float32,
channels-last maps and stride 1. The template ``winograd`` has the kernels.

In tiles of 4x4, the errors (rms) of outputs and input gradients are about twice those of plain sums. In tiles of 2x2,
they are smaller than those of plain sums. Weight gradients use tiles of 2x2 and have one to three times the errors of
plain sums.

Errors of the algorithm are relative to the largest input of a tile. If the window of an output has no input larger than
1/64 of that, the output is computed as a plain sum. The same holds for all outputs of a tile with an input that is not
finite or above 2^64. An output whose window is all zeros is 0. Errors of a weight gradient are relative to the products
of the largest values of tiles. If a weight gradient is not finite, the dense convolution computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.snn.kernels import dispatch, memory_layout, thread_blocks
from sewdsl.snn.kernels.compile_kernel import Kernel, compile_template
from sewdsl.snn.kernels.convolution.event_convolution import has_instructions
from sewdsl.snn.kernels.templates.variant import BLOCK
from sewdsl.snn.limits import WINOGRAD_CHANNELS, WINOGRAD_KERNEL

if TYPE_CHECKING:
    from sewdsl.snn.conv_window import ConvWindow

MAX_PADDING = 2
"""Largest padding for which the input gradient has a padding of at least 0."""
MAX_BLOCK = 128
"""Largest number of tiles in a block, the unit of work of a thread."""
BLOCK_BYTES, GRADIENT_BLOCK_BYTES = 1 << 21, 1 << 22
"""Size of the transformed values of a block, in forward pass and weight gradient, which stay in a cache."""
MAX_GROUPS = 16
"""Largest number of groups of tiles with a weight gradient each, for 64 input and 64 output channels."""
PANEL = 64
"""Number of channels whose products are enough work for a thread."""
EMPTY, PLAIN = 1, 2
"""Marks of outputs in the template: window of zeros, and to be computed as a plain sum."""
DENSE_SHARE = 8
"""If more than 1/8 of the outputs are plain sums, a dense convolution computes all of them."""

Result = Literal["output", "weight gradient", "input gradient"]


class Cost(NamedTuple):
    """Cost of a computation, in units of a multiplication of a dense convolution."""

    product: float
    """Cost per product of a value and a weight."""
    weight: float
    value: float
    """Cost per value that is read or written. For tiles, per transformed value."""
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
"""Costs by result and tile size. With tiles of 4x4, weight gradients would have four to six times the errors of plain
sums and save only a tenth of the time."""
LEAST_GAIN = 1.2
"""Smallest estimated speed-up for which tiles are used, since the estimates are not more accurate."""
LEAST_PRODUCTS = 1 << 23
"""Products of a dense convolution (0.1 ms) below which compiling kernels does not pay off."""
ROUNDED_TILES = 8
"""Multiple to which the number of multiplied tiles is rounded up."""


def cheapest_tile(result: Result, N: int, channels: tuple[int, int], x: tuple[int, int], y: tuple[int, int]) -> int:
    """Return the height and width of the fastest tiles, or 0 if a dense convolution is faster.

    Args:
        N: Number of samples, over all time-steps.
        channels: Channels of input and output.
        x: Height and width of the input.
        y: Height and width of the output.
    """
    # The estimate depends on sizes only. The choice changes the last bits of results, so it must not depend on the
    # machine or on the number of threads.
    weights = channels[0] * channels[1]

    def estimate(cost: Cost, products: float, per_weight: float, values: float) -> float:
        return cost.product * products * weights + cost.weight * per_weight * weights + cost.value * values + cost.call

    costs = {0: estimate(DENSE[result], 9 * N * y[0] * y[1], 9, N * y[0] * y[1] * sum(channels)) / LEAST_GAIN}
    rows, columns = x if result == "input gradient" else y
    for tile in (tile for computed, tile in TILES if computed == result):
        tiles, points = N * -(-rows // tile) * -(-columns // tile), (tile + 2) ** 2
        rounded = -(-tiles // ROUNDED_TILES) * ROUNDED_TILES
        values = points * tiles * sum(channels)
        costs[tile] = estimate(TILES[result, tile], points * rounded, 9 * points / 16, values)
    return min(costs, key=costs.__getitem__)


class Winograd(NamedTuple):
    """Convolution of a layer by Winograd's algorithm."""

    padding: tuple[int, int]
    """Padding of rows and columns."""
    vector: int
    """Elements per vector."""
    output_tile: int
    """Height and width of tiles for the output, 2 or 4, or 0 if a dense convolution is faster."""
    weight_tile: int
    """Tile size for the weight gradient."""
    input_tile: int
    """Tile size for the input gradient."""

    @classmethod
    def of(cls, window: ConvWindow, x: Tensor, weight: Tensor) -> Winograd | None:
        """Return the convolution of an input and a weight, or None if dense is faster or required.

        Args:
            x: Feature maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
        """
        applies = (
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
        if not applies or isinstance(window.padding, str):
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
        """Return the output ``[N, C', H', W']``, channels-last, or None if dense is faster."""
        if not self.output_tile:
            return None
        y = self._slide(self.output_tile, x, weight, self.padding)
        return y if bias is None else y.add_(bias.detach().view(-1, 1, 1))

    def input_gradient(self, weight: Tensor, g: Tensor) -> Tensor | None:
        """Return the input gradient ``[N, C, H, W]``, channels-last, or None if dense is faster.

        Args:
            weight: ``[C', C, 3, 3]``.
            g: Gradient of the output, ``[N, C', H', W']``.
        """
        if not self.input_tile:
            return None
        # The input gradient is a convolution of g with the rotated kernel and the complementary padding.
        ph, pw = self.padding
        return self._slide(self.input_tile, g, weight, (2 - ph, 2 - pw), turned=True)

    def _slide(self, tile: int, x: Tensor, weight: Tensor, padding: tuple[int, int], *, turned: bool = False) -> Tensor:
        """Return the convolution of feature maps.

        Args:
            tile: Height and width of a tile.
            x: ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``, or ``[C, C', 3, 3]`` if turned.
            padding: Padding of rows and columns.
            turned: Whether to rotate the kernel by 180 degrees.
        """
        x, weight = (each.detach().contiguous(memory_format=torch.channels_last) for each in (x, weight))
        (N, C, H, W), CO, (ph, pw) = x.shape, weight.shape[1 if turned else 0], padding
        vectors, rows = self._sizes(CO)
        panels, target_pieces = CO // (vectors * self.vector), torch.get_num_threads() * thread_blocks.PIECES_PER_THREAD
        height, width = H + 2 * ph - 2, W + 2 * pw - 2
        y = torch.empty((N, CO, height, width), memory_format=torch.channels_last)
        doubts = torch.zeros((N, height, width), dtype=torch.uint8)
        down, right = -(-height // tile), -(-width // tile)
        tiles = N * down * right
        # Work for all threads: blocks of tiles, divided into parts of panels if there are few tiles.
        block_limit = min(MAX_BLOCK, BLOCK_BYTES // ((tile + 2) ** 2 * 4 * C), -(-tiles // -(-target_pieces // panels)))
        block_tiles = max(BLOCK, block_limit // BLOCK * BLOCK)
        block_tiles = min(block_tiles, -(-tiles // rows) * rows)
        blocks = -(-tiles // block_tiles)
        parts = max(1, min(panels, target_pieces // blocks))
        arrays = *map(memory_layout.flat_row, (x, weight, y)), doubts.view(-1).numpy()
        sizes = tiles, block_tiles, parts, H, W, C, height, width, CO, down, right, ph, pw, int(turned)
        kernel = self._kernel(tile, vectors, rows, "forward")
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), blocks * parts, parallel=True)
        if doubts.any():
            _settle_doubts(doubts, x, weight.flip(2, 3).transpose(0, 1) if turned else weight, padding, y)
        return y

    def weight_gradient(self, x: Tensor, weight: Tensor, g: Tensor) -> Tensor | None:
        """Return the weight gradient ``[C', C, 3, 3]``, laid out like the weight.

        None if it is not finite, or a dense convolution is faster.

        Args:
            x: Feature maps, ``[N, C, H, W]``.
            weight: ``[C', C, 3, 3]``.
            g: Gradient of the output, ``[N, C', H', W']``.
        """
        tile = self.weight_tile
        if not tile:
            return None
        x, g = (maps.contiguous(memory_format=torch.channels_last) for maps in (x, g))
        (N, C, H, W), (_, CO, height, width), (ph, pw) = x.shape, g.shape, self.padding
        vectors, rows = self._sizes(C)
        panel, points = vectors * self.vector, (tile + 2) ** 2
        panels = C // panel
        down, right = -(-height // tile), -(-width // tile)
        tiles = N * down * right
        block = max(MAX_BLOCK // 2, min(MAX_BLOCK, GRADIENT_BLOCK_BYTES // (points * 4 * (panel + CO))))
        # Groups depend on sizes only, so the order of sums does not depend on the number of threads.
        groups = max(1, min(MAX_GROUPS * PANEL**2 // (C * CO), tiles // block))
        group_tiles = -(-tiles // groups)
        groups = -(-tiles // group_tiles)
        target_pieces = torch.get_num_threads() * thread_blocks.PIECES_PER_THREAD
        parts = next(p for p in (1, 2, 4, 8) if p * groups * panels >= target_pieces or CO % (2 * p * PANEL))
        result = torch.empty_like(weight, memory_format=torch.channels_last)
        u, row = torch.empty(groups * points * C * CO if groups > 1 else 0).numpy(), memory_layout.flat_row(result)
        arrays = memory_layout.flat_row(x), memory_layout.flat_row(g), u, row
        per_group = group_tiles, min(block, group_tiles), groups, parts
        sizes = tiles, *per_group, H, W, C, height, width, CO, down, right, ph, pw
        kernel = self._kernel(tile, vectors, rows, "weight_gradient")
        thread_blocks.run_in_blocks(lambda a, b: kernel(*arrays, a, b, *sizes), groups * panels * parts, parallel=True)
        if groups > 1:
            total = self._kernel(tile, vectors, rows, "sum_gradients")
            steps = groups, parts, C, CO
            thread_blocks.run_in_blocks(
                lambda a, b: total(u, row, a, b, *steps), CO * panels, parallel=groups * C * CO >= 1 << 14
            )
        if not result.sum().isfinite():
            return None
        return result if result.stride() == weight.stride() else torch.empty_like(weight).copy_(result)

    def _sizes(self, channels: int) -> tuple[int, int]:
        """Return the vectors per panel of the channels, and the rows multiplied together."""
        # Partial sums have to fit in the vector registers: 32 with AVX-512, 16 otherwise.
        most = 4 if has_instructions("avx512f") else 2
        vectors = next(v for v in (4, 2, 1) if v <= most and channels % (v * self.vector) == 0)
        return vectors, 4 if vectors == most else 8

    def _kernel(self, tile: int, vectors: int, rows: int, function: str) -> Kernel:
        constants = {"TILE": tile, "VECTOR": self.vector, "VECTORS": vectors, "ROWS": rows}
        return compile_template("winograd", function, "float32", **constants)


def _settle_doubts(doubts: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int], y: Tensor) -> None:
    """Replace outputs marked by the kernel with zeros or plain sums.

    Args:
        doubts: Marks ``[N, H', W']``, see the template.
        x: Feature maps, ``[N, C, H, W]``.
        weight: ``[C', C, 3, 3]``.
        padding: Padding of rows and columns.
        y: Output to change, ``[N, C', H', W']``, channels-last.
    """
    positions = y.permute(0, 2, 3, 1)
    positions[doubts == EMPTY] = 0
    n, i, j = (doubts == PLAIN).nonzero(as_tuple=True)
    if len(n) * DENSE_SHARE > doubts.numel():
        positions[n, i, j] = functional.conv2d(x, weight, padding=padding).permute(0, 2, 3, 1)[n, i, j]
    elif len(n):
        # Few outputs: gather their windows, and multiply them with the weight as one matrix product.
        windows = x.new_zeros(len(n), *WINOGRAD_KERNEL, x.shape[1])
        for a, b in product(*map(range, WINOGRAD_KERNEL)):
            row, column = i + a - padding[0], j + b - padding[1]
            inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
            windows[inside, a, b] = x[n[inside], :, row[inside], column[inside]]
        positions[n, i, j] = windows.flatten(1) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
