"""Layers without memory, each on a whole sequence ``[T, N, *]``.

Parameters carry torch's plain names (``weight``, ``bias``), so that checkpoints stay readable.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.convolution import DENSE, ConvRun, conv2d_low_memory, mask_padding_taps
from sewdsl.snn.time_steps import over_steps

SEQUENCE_OF_ROWS_NDIM = 4
"""Axes of ``[T, N, C, L]``."""
AVX2_FLOATS = 8
"""Numbers in single precision of a vector of AVX2."""


class Conv2d(nn.Conv2d):
    """2-D convolution of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``; torch's arguments.

    ``run`` says what is done to take less memory and time.
    """

    def forward(self, x_TN: Tensor, *, run: ConvRun = DENSE) -> Tensor:
        return self._slide(x_TN, self.weight, self.bias, run)

    def normalised(self, x_TN: Tensor, norm: BatchNorm, *, run: ConvRun = DENSE) -> Tensor:
        """The output as a batch norm in evaluation makes it, from weights that have the norm in them."""
        return self._slide(x_TN, *_folded(self, norm, (-1, 1, 1, 1)), run)

    def _slide(self, x_TN: Tensor, weight: Tensor, bias: Tensor | None, run: ConvRun) -> Tensor:
        window = ConvWindow.of(self)
        x_TN, weight = _prepared(window, x_TN, weight)
        if run != DENSE:
            return over_steps(partial(conv2d_low_memory, window, weight, bias, run=run), x_TN)
        return over_steps(lambda x: self._conv_forward(x, weight, bias), x_TN)


class Conv1d(nn.Conv1d):
    """1-D convolution of every time-step: ``[T, N, C, L]`` to ``[T, N, C', L']``; torch's arguments.

    It is computed as that of a map of one row, as torch does itself. ``run``: as in :class:`Conv2d`.
    """

    def forward(self, x_TN: Tensor, *, run: ConvRun = DENSE) -> Tensor:
        return self._slide(x_TN, self.weight, self.bias, run)

    def normalised(self, x_TN: Tensor, norm: BatchNorm, *, run: ConvRun = DENSE) -> Tensor:
        """The output as a batch norm in evaluation makes it, from weights that have the norm in them."""
        return self._slide(x_TN, *_folded(self, norm, (-1, 1, 1)), run)

    def _slide(self, x_TN: Tensor, weight: Tensor, bias: Tensor | None, run: ConvRun) -> Tensor:
        window = ConvWindow.of(self)
        x_TN, weight = _prepared(window, x_TN.unsqueeze(3), weight.unsqueeze(2))
        if run != DENSE:
            return over_steps(partial(conv2d_low_memory, window, weight, bias, run=run), x_TN).squeeze(3)
        _, stride, padding, dilation, groups = window
        return over_steps(
            lambda x: functional.conv2d(x, weight, bias, stride, padding, dilation, groups), x_TN
        ).squeeze(3)


def _prepared(window: ConvWindow, x_TN: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Maps ``[T, N, C, H, W]`` and a weight that torch convolves as they are."""
    weight = mask_padding_taps(window, x_TN, weight)
    if _misreads_channels_last(window, x_TN):
        return _row_by_row(x_TN), _row_by_row(weight)
    return x_TN, weight


def _misreads_channels_last(window: ConvWindow, x_TN: Tensor) -> bool:
    """Whether oneDNN in torch 2.13 goes wrong where the maps are stored channels last.

    Of one channel for each group, with a stride that is wider than high, it convolves another map. With a 1x1
    kernel that skips places, and fewer channels than the 8 floats of a vector of AVX2, the gradient of the weight
    in float32 is written beyond the memory that it has, which ends the process later on.
    """
    channels = x_TN.shape[2]
    if channels == window.groups and window.stride[1] > window.stride[0]:
        return True
    skips = window.kernel == (1, 1) and window.stride != (1, 1)
    return skips and channels < AVX2_FLOATS and x_TN.dtype == torch.float32


class Linear(nn.Linear):
    """A linear layer on maps: ``[T, N, C, H, W]`` to ``[T, N, F]``.

    Vectors ``[T, N, F]`` are not flattened. The arguments are torch's.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return super().forward(x_TN.flatten(2))

    def normalised(self, x_TN: Tensor, norm: BatchNorm) -> Tensor:
        """The output as a batch norm in evaluation makes it, from weights that have the norm in them."""
        return functional.linear(x_TN.flatten(2), *_folded(self, norm, (-1, 1)))


def _row_by_row(x: Tensor) -> Tensor:
    """Maps stored row by row, and with the strides that say so.

    Of one channel a map is stored the same either way, but for the strides.
    """
    return x.contiguous().reshape(-1).reshape(x.shape)


def _folded(layer: Conv2d | Conv1d | Linear, norm: BatchNorm, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Weight and bias with what the norm does to each channel in them."""
    scale, shift = norm.scale_and_shift
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return layer.weight * scale.reshape(shape), bias


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:  # type: ignore[override]
        return over_steps(super().forward, x_TN)


class ConvTranspose1d(nn.ConvTranspose1d):
    """Transposed convolution of every time-step: ``[T, N, C, L]`` to ``[T, N, C', L']``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:  # type: ignore[override]
        return over_steps(super().forward, x_TN)


class Upsample(nn.Module):
    """Enlarges every map by a whole factor: ``[T, N, C, H, W]`` to ``[T, N, C, factor·H, factor·W]``, or its length.

    Args:
        factor: How many times as high and wide, or as long.
        mode: torch's: ``nearest`` or ``bilinear``, which does not align corners; of one axis torch calls it linear.
    """

    def __init__(self, factor: int, mode: str = "nearest") -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x_TN: Tensor) -> Tensor:
        mode = "linear" if self.mode == "bilinear" and x_TN.ndim == SEQUENCE_OF_ROWS_NDIM else self.mode
        return over_steps(lambda x: functional.interpolate(x, scale_factor=self.factor, mode=mode), x_TN)

    def extra_repr(self) -> str:
        return f"factor={self.factor}, mode={self.mode}"


class LayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each place: ``[T, N, C, H, W]`` or ``[T, N, F]``, unchanged.

    The arguments are torch's; the normalised shape is C or F.
    """

    def forward(self, x_TN: Tensor) -> Tensor:
        return super().forward(x_TN.movedim(2, -1)).movedim(-1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm of every time-step of ``[T, N, C, H, W]``, or ``[T, N, F]``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(super().forward, x_TN)


class PReLU(nn.PReLU):
    """max(x, 0) + weight · min(x, 0) of ``[T, N, *]``, with one weight or one for each channel.

    Args:
        slopes: How many weights: 1, or C.
        start: Where they start.
    """

    def __init__(self, slopes: int, start: float = 0.25) -> None:
        super().__init__(slopes, start)

    def forward(self, x_TN: Tensor) -> Tensor:
        return over_steps(super().forward, x_TN)


class Scale(nn.Module):
    """Everything times one number, which may be learned.

    Args:
        value: The number, or where it starts.
        learn: Whether it is a parameter, ``weight``.

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


class Flatten(nn.Module):
    """``[T, N, C, H, W]`` to ``[T, N, C·H·W]``."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN.flatten(2)


class Dropout(nn.Module):
    """Dropout with one mask for all time-steps of a sample, drawn again in every forward.

    A mask that changed from step to step would be averaged away by the membrane potential.

    Attributes:
        p: Probability that an element is zeroed in training, 0 <= p < 1; the others are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_TN: Tensor, mask_N: Tensor | None = None) -> Tensor:
        """What is left of a sequence, or of a time-step in a loop, whose mask was drawn before."""
        if not self.training:
            return x_TN
        return x_TN * (self.draw_mask(x_TN) if mask_N is None else mask_N)

    def draw_mask(self, x_TN: Tensor) -> Tensor:
        """What all time-steps are multiplied by in training, for an input ``[T, N, *]``."""
        return functional.dropout(x_TN.new_ones(x_TN.shape[1:]), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class DropPath(Dropout):
    """Silences all of a sample, at all its time-steps, drawn again in every forward.

    Attributes:
        p: Probability that a sample is silenced in training, 0 <= p < 1; the others are scaled by 1 / (1 - p).
    """

    def draw_mask(self, x_TN: Tensor) -> Tensor:
        """One number for each sample, for an input ``[T, N, *]``."""
        return functional.dropout(x_TN.new_ones(x_TN.shape[1], *[1] * (x_TN.ndim - 2)), self.p)
