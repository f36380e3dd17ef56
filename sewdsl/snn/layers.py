"""Stateless layers on sequences ``[T, N, *]``.

Parameters have the names of PyTorch (``weight``, ``bias``), which makes checkpoints readable by other tools.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.convolution import DENSE, ConvRun, conv2d_low_memory, mask_padding_taps
from sewdsl.snn.time_steps import over_steps
from sewdsl.snn.weight_grid import WeightGrid

SEQUENCE_OF_ROWS_NDIM = 4
"""Axes of ``[T, N, C, L]``."""
AVX2_FLOATS = 8
"""Number of float32 elements in an AVX2 vector."""


def effective_weight(layer: nn.Module) -> Tensor:
    """Return the weight that a layer computes with.

    It has zeros where the buffer ``weight_mask`` of the layer, if any, is 0. In training, it is rounded to the
    ``weight_grid`` of the layer, if any.
    """
    # An attribute, because a parametrised weight is not a parameter of the layer.
    weight: Tensor = layer.weight  # type: ignore[assignment]
    mask = layer._buffers.get("weight_mask")  # noqa: SLF001 -- optional buffer
    # The product also makes the gradient of the other weights 0, so that optimizers leave them at 0.
    weight = weight if mask is None else weight * mask
    grid: WeightGrid | None = getattr(layer, "weight_grid", None)
    return weight if grid is None else grid.rounded(weight)


class _Convolution(_ConvNd):
    """Base class of convolutions. ``run`` has options that save memory and time."""

    def forward(self, x_TN: Tensor, *, run: ConvRun = DENSE) -> Tensor:
        return self._slide(x_TN, effective_weight(self), self.bias, run)

    def normalised(self, x_TN: Tensor, norm: BatchNorm, *, run: ConvRun = DENSE) -> Tensor:
        """Return the output after a batch norm in evaluation mode, computed with folded weights."""
        return self._slide(x_TN, *_folded(self, norm), run)

    def _slide(self, x_TN: Tensor, weight: Tensor, bias: Tensor | None, run: ConvRun) -> Tensor:
        window = ConvWindow.of(self)
        x_TN, weight = _prepared(window, x_TN, weight)
        if run != DENSE:
            return over_steps(partial(conv2d_low_memory, window, weight, bias, run=run), x_TN)
        return over_steps(lambda x: self._conv_forward(x, weight, bias), x_TN)


class Conv2d(_Convolution, nn.Conv2d):
    """2-D convolution of every time-step, ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``.

    The constructor takes PyTorch's arguments.
    """


class Conv1d(_Convolution, nn.Conv1d):
    """1-D convolution of every time-step, ``[T, N, C, L]`` to ``[T, N, C', L']``.

    It is computed as a 2-D convolution of maps with one row, as PyTorch does internally. See :class:`Conv2d`.
    """

    def _slide(self, x_TN: Tensor, weight: Tensor, bias: Tensor | None, run: ConvRun) -> Tensor:
        return super()._slide(x_TN.unsqueeze(3), weight.unsqueeze(2), bias, run).squeeze(3)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        _, stride, padding, dilation, groups = ConvWindow.of(self)
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _prepared(window: ConvWindow, x_TN: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return feature maps ``[T, N, C, H, W]`` and a weight that PyTorch convolves correctly."""
    weight = mask_padding_taps(window, x_TN, weight)
    if _misreads_channels_last(window, x_TN):
        return _row_by_row(x_TN), _row_by_row(weight)
    return x_TN, weight


def _misreads_channels_last(window: ConvWindow, x_TN: Tensor) -> bool:
    """Return whether oneDNN in PyTorch 2.13 has a bug for such channels-last maps."""
    channels = x_TN.shape[2]
    # Depthwise, with a stride that is larger along the width: the output belongs to other positions.
    if channels == window.groups and window.stride[1] > window.stride[0]:
        return True
    # Strided 1x1 kernels with few channels: the float32 weight gradient is written out of bounds, which crashes the
    # process later.
    is_strided_1x1 = window.kernel == (1, 1) and window.stride != (1, 1)
    return is_strided_1x1 and channels < AVX2_FLOATS and x_TN.dtype == torch.float32


class Linear(nn.Linear):
    """Linear layer on flattened feature maps, ``[T, N, *]`` to ``[T, N, F]``.

    The constructor takes PyTorch's arguments.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return functional.linear(x_TN.flatten(2), effective_weight(self), self.bias)

    def normalised(self, x_TN: Tensor, norm: BatchNorm) -> Tensor:
        """Return the output after a batch norm in evaluation mode, computed with folded weights."""
        return functional.linear(x_TN.flatten(2), *_folded(self, norm))


def _row_by_row(x: Tensor) -> Tensor:
    """Return a tensor in row-major order, with unambiguous strides."""
    # With one channel, a channels-last tensor is also contiguous. The reshapes recompute its strides.
    return x.contiguous().reshape(-1).reshape(x.shape)


def _folded(layer: _Convolution | Linear, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    scale, shift = norm.scale_and_shift
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return effective_weight(layer) * scale.reshape(-1, *[1] * (layer.weight.ndim - 1)), bias


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution of every time-step, ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # type: ignore[override]
        return over_steps(partial(_slide_transposed, functional.conv_transpose2d, self, effective_weight(self)), x_TN)


class ConvTranspose1d(nn.ConvTranspose1d):
    """Transposed convolution of every time-step, ``[T, N, C, L]`` to ``[T, N, C', L']``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # type: ignore[override]
        return over_steps(partial(_slide_transposed, functional.conv_transpose1d, self, effective_weight(self)), x_TN)


def _slide_transposed(
    function: Callable[..., Tensor], layer: ConvTranspose2d | ConvTranspose1d, weight: Tensor, x: Tensor
) -> Tensor:
    window = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    return function(x, weight, layer.bias, *window)


class Upsample(nn.Module):
    """Upsampling of every map by an integer factor along each spatial axis.

    Args:
        factor: Ratio of output size to input size, or one for height and one for width.
        mode: PyTorch's ``nearest``, or ``bilinear`` without aligned corners (``linear`` for one spatial axis).

    Shape: ``[T, N, C, H, W]`` to ``[T, N, C, factor·H, factor·W]``, or of ``[T, N, C, L]``.
    """

    def __init__(self, factor: int | tuple[int, int], mode: str = "nearest") -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x_TN: Tensor) -> Tensor:
        mode = "linear" if self.mode == "bilinear" and x_TN.ndim == SEQUENCE_OF_ROWS_NDIM else self.mode
        return over_steps(lambda x: functional.interpolate(x, scale_factor=self.factor, mode=mode), x_TN)

    def extra_repr(self) -> str:
        return f"factor={self.factor}, mode={self.mode}"


class Padding(nn.Module):
    """Zeros or reflected values around every map.

    Args:
        pads: Positions added on each side of every spatial axis.
        mode: ``zeros`` or ``reflect``.

    Shape: ``[T, N, C, H, W]`` to ``[T, N, C, H + 2·pads[0], W + 2·pads[1]]``, or of ``[T, N, C, L]``.
    """

    def __init__(self, pads: tuple[int, ...], mode: str = "zeros") -> None:
        super().__init__()
        self.pads, self.mode = pads, mode

    def forward(self, x_TN: Tensor) -> Tensor:
        # PyTorch's order of the sides: left, right, top, bottom.
        sides = [pad for pad in reversed(self.pads) for _ in range(2)]
        mode = "constant" if self.mode == "zeros" else self.mode
        return over_steps(lambda x: functional.pad(x, sides, mode), x_TN)

    def extra_repr(self) -> str:
        return f"{self.pads}, mode={self.mode}"


class FourierTransform(nn.Module):
    """Orthonormal Fourier transform of every map, whose channels 2c and 2c + 1 are the parts of channel c.

    Args:
        inverse: Whether to compute the values of a spectrum.

    Shape: ``[T, N, C, H, W]`` to ``[T, N, 2C, H, W / 2 + 1]``, or of ``[T, N, C, L]``, and back with ``inverse``.
    """

    def __init__(self, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse

    def forward(self, x_TN: Tensor) -> Tensor:
        *rows, width = x_TN.shape[3:]
        length = 2 * (width - 1) if self.inverse else width
        columns = self.matrix(length, x_TN)[0, :, :, : length // 2 + 1]
        # A row has one position along the first axis, whose transform is the identity.
        x = x_TN.reshape(*x_TN.shape[:3], math.prod(rows), width)
        if self.inverse:
            # The first and the last frequency are real. The others stand for two frequencies.
            columns = torch.cat((columns[..., :1], 2 * columns[..., 1:-1], columns[..., -1:]), -1)
            x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, *x.shape[3:])
            x = torch.einsum("...qkv,pjqk->...pjv", x, self.matrix(rows[0], x)) if rows else x
            return torch.einsum("...qjv,wqv->...jw", x, columns).reshape(*x.shape[:3], *rows, length)
        x = torch.einsum("...jw,wqv->...qjv", x, columns)
        x = torch.einsum("...pjv,pjqk->...qkv", x, self.matrix(rows[0], x)) if rows else x
        return x.reshape(*x.shape[:2], 2 * x.shape[2], *rows, length // 2 + 1)

    @staticmethod
    def matrix(length: int, like: Tensor) -> Tensor:
        """Return the transform of an axis: part and position of the input, part and frequency of the output."""
        index, part = torch.arange(length, device=like.device), torch.arange(2, device=like.device)
        # The angles are integers in units of a quarter turn / length, reduced to one turn. Their cosines are exact.
        index_angles = (4 * index[:, None] * index)[:, None]
        turns = (index_angles + length * (part[:, None] - part[:, None, None, None])) % (4 * length)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        return ((turns.to(dtype) * (math.pi / 2 / length)).cos() / math.sqrt(length)).to(like.dtype)

    def extra_repr(self) -> str:
        return f"inverse={self.inverse}"


class LayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each position of ``[T, N, C, H, W]`` or ``[T, N, F]``.

    The constructor takes PyTorch's arguments. The normalised shape is C or F.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        # PyTorch adds up gradients of weights on CPUs in their own dtype. In 16 bits, long sums stop growing.
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        x, weight, bias = (each.to(wide) for each in (x_TN.movedim(2, -1), self.weight, self.bias))
        y = nn.functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)
        return y.movedim(-1, 2).to(self.weight.dtype)


class RMSNorm(nn.RMSNorm):
    """Root mean square norm over the channels of each position of ``[T, N, C, H, W]`` or ``[T, N, F]``.

    The constructor takes PyTorch's arguments. The normalised shape is C or F.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return super().forward(x_TN.movedim(2, -1)).movedim(-1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm of every time-step of ``[T, N, C, H, W]`` or ``[T, N, F]``."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(super().forward, x_TN)


class PReLU(nn.PReLU):
    """max(x, 0) + weight · min(x, 0) of ``[T, N, *]``, with a scalar weight or one per channel.

    Args:
        slopes: Number of weights: 1 or C.
        start: Initial value of the weights.
    """

    def __init__(self, slopes: int, start: float = 0.25) -> None:
        super().__init__(slopes, start)

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(super().forward, x_TN)


class Scale(nn.Module):
    """Product with a scalar, which may be learnable.

    Args:
        value: The scalar, or its initial value.
        learn: Whether the scalar is a parameter, ``weight``.

    Shape: ``[T, N, *]``, unchanged.
    """

    def __init__(self, value: float, *, learn: bool) -> None:
        super().__init__()
        self.value = value
        self.weight = nn.Parameter(torch.tensor(value)) if learn else None

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN * (self.value if self.weight is None else self.weight)

    def extra_repr(self) -> str:
        return f"{self.value}, learn={self.weight is not None}"


class ChannelScale(nn.Module):
    """Product with a learnable factor of each channel.

    Args:
        value: Initial value of the factors.

    Shape: ``[T, N, C, *]``, unchanged.
    """

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), value))

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN * self.weight.reshape(-1, *[1] * (x_TN.ndim - 3))

    def extra_repr(self) -> str:
        return f"{len(self.weight)}"


class Flatten(nn.Module):
    """``[T, N, C, H, W]`` to ``[T, N, C·H·W]``."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.flatten(2)


class Reshaping(nn.Module):
    """Same values in another shape, ``[T, N, *]`` to ``[T, N, *shape]``."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.reshape(*x_TN.shape[:2], *self.shape)

    def extra_repr(self) -> str:
        return "x".join(map(str, self.shape))


class Slicing(nn.Module):
    """Consecutive channels, ``[T, N, C, *]`` to ``[T, N, C', *]``, or positions, to ``[T, N, C, L']``.

    Args:
        start: Index of the first element.
        stop: Index of the first element after the slice.
        over: ``channels`` or ``places``.
    """

    def __init__(self, start: int, stop: int, over: str) -> None:
        super().__init__()
        self.start, self.stop, self.over = start, stop, over

    def forward(self, x_TN: Tensor) -> Tensor:
        part = slice(self.start, self.stop)
        # A copy: other layers may read the whole input, and kernels may write to their inputs.
        return (x_TN.flatten(3)[..., part] if self.over == "places" else x_TN[:, :, part]).clone()

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}, over={self.over}"


class TimeSlice(nn.Module):
    """One time-step: ``[T, N, *]`` to ``[1, N, *]``.

    Args:
        index: Index of the time-step, or from the end if it is negative.
    """

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x_TN: Tensor) -> Tensor:
        if not -len(x_TN) <= self.index < len(x_TN):
            raise ValueError(f"the slice reads the time-step {self.index}, but the input has {len(x_TN)} time-steps")
        return x_TN[self.index][None]

    def extra_repr(self) -> str:
        return f"{self.index}"


class _RandomMask(nn.Module):
    """Base class of products with a random mask, drawn anew in every forward pass in training.

    Attributes:
        p: Probability of zeroing an element, or a sample, 0 <= p < 1. The others are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_RandomMask):
    """Dropout with one mask per sample for all time-steps."""

    def forward(self, x_TN: Tensor, mask_N: Tensor | None = None) -> Tensor:
        """Apply dropout to a sequence, or to one time-step of a loop with a mask drawn before."""
        if not self.training:
            return x_TN
        # One mask for all time-steps: the membrane potential would average out masks that change at each time-step.
        return x_TN * (self.draw_mask(x_TN) if mask_N is None else mask_N)

    def draw_mask(self, x_TN: Tensor) -> Tensor:
        """Return the scaled mask of all time-steps of an input ``[T, N, *]``."""
        return functional.dropout(x_TN.new_ones(x_TN.shape[1:]), self.p)


class StepDropout(_RandomMask):
    """Dropout with a mask for each sample and time-step."""

    def forward(self, x_TN: Tensor) -> Tensor:
        # A mask in row-major order does not depend on the memory format of the input.
        return x_TN * functional.dropout(x_TN.new_ones(x_TN.shape), self.p) if self.training else x_TN


class DropPath(Dropout):
    """Stochastic depth: zeros all time-steps of random samples."""

    def draw_mask(self, x_TN: Tensor) -> Tensor:
        """Return a mask with one scaled element per sample of an input ``[T, N, *]``."""
        return functional.dropout(x_TN.new_ones(x_TN.shape[1], *[1] * (x_TN.ndim - 2)), self.p)
