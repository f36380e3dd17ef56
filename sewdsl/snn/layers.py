"""Layers without memory, each on a whole sequence ``[T, N, *]``.

Parameters carry torch's plain names (``weight``, ``bias``), so that checkpoints stay readable.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.convolution import conv2d_low_memory, mask_padding_taps
from sewdsl.snn.time_steps import over_steps

AVX2_FLOATS = 8
"""Numbers in single precision of a vector of AVX2."""


class Conv2d(nn.Conv2d):
    """2-D convolution of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``; torch's arguments.

    With ``frees_input``, the backward pass gives up the input before there is room for its gradient.
    """

    def forward(self, x_TN: Tensor, *, frees_input: bool = False) -> Tensor:  # noqa: D102 -- the class says it
        return self._slide(x_TN, self.weight, self.bias, frees_input=frees_input)

    def normalised(self, x_TN: Tensor, norm: BatchNorm, *, frees_input: bool = False) -> Tensor:
        """The output as a batch norm in evaluation makes it, from weights that have the norm in them."""
        return self._slide(x_TN, *_folded(self, norm, (-1, 1, 1, 1)), frees_input=frees_input)

    def _slide(self, x_TN: Tensor, weight: Tensor, bias: Tensor | None, *, frees_input: bool) -> Tensor:
        weight = mask_padding_taps(self, x_TN, weight)
        if self._misreads_channels_last(x_TN):
            x_TN, weight = _row_by_row(x_TN), _row_by_row(weight)
        if frees_input:
            return over_steps(partial(conv2d_low_memory, self, weight, bias), x_TN)
        return over_steps(lambda x: self._conv_forward(x, weight, bias), x_TN)

    def _misreads_channels_last(self, x_TN: Tensor) -> bool:
        """Whether oneDNN in torch 2.13 goes wrong where the maps are stored channels last.

        Of one channel for each group, with a stride that is wider than high, it convolves another map. With a 1x1
        kernel that skips places, and fewer channels than the 8 floats of a vector of AVX2, the gradient of the weight
        in float32 is written beyond the memory that it has, which ends the process later on.
        """
        if self.in_channels == self.groups and self.stride[1] > self.stride[0]:
            return True
        skips = self.kernel_size == (1, 1) and self.stride != (1, 1)
        return skips and self.in_channels < AVX2_FLOATS and x_TN.dtype == torch.float32


class Linear(nn.Linear):
    """``[T, N, C, H, W]`` (flattened first) or ``[T, N, F]`` to ``[T, N, F']``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return super().forward(x_TN.flatten(2))

    def normalised(self, x_TN: Tensor, norm: BatchNorm) -> Tensor:
        """The output as a batch norm in evaluation makes it, from weights that have the norm in them."""
        return functional.linear(x_TN.flatten(2), *_folded(self, norm, (-1, 1)))


def _row_by_row(x: Tensor) -> Tensor:
    """Maps stored row by row, and with the strides that say so.

    Of one channel a map is stored the same either way, but for the strides.
    """
    return x.contiguous().reshape(-1).reshape(x.shape)


def _folded(layer: Conv2d | Linear, norm: BatchNorm, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Weight and bias with what the norm does to each channel in them."""
    scale, shift = norm.scale_and_shift
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return layer.weight * scale.reshape(shape), bias


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution of every time-step: ``[T, N, C, H, W]`` to ``[T, N, C', H', W']``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:  # type: ignore[override]  # noqa: D102 -- the class says it
        return over_steps(super().forward, x_TN)


class Upsample(nn.Module):
    """Enlarges every map by a whole factor: ``[T, N, C, H, W]`` to ``[T, N, C, factor·H, factor·W]``.

    Args:
        factor: How many times as high and wide.
        mode: torch's: ``nearest`` or ``bilinear``, which does not align corners.
    """

    def __init__(self, factor: int, mode: str = "nearest") -> None:
        super().__init__()
        self.factor, self.mode = factor, mode

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return over_steps(lambda x: functional.interpolate(x, scale_factor=self.factor, mode=self.mode), x_TN)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        return f"factor={self.factor}, mode={self.mode}"


class LayerNorm(nn.LayerNorm):
    """Normalises the channels of each place of ``[T, N, C, H, W]``, or ``[T, N, F]``, then scales and shifts each.

    Args:
        channels: C or F.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps)

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return super().forward(x_TN.movedim(2, -1)).movedim(-1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm of every time-step of ``[T, N, C, H, W]``, or ``[T, N, F]``; torch's arguments."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return over_steps(super().forward, x_TN)


class PReLU(nn.PReLU):
    """max(x, 0) + weight · min(x, 0) of ``[T, N, *]``, with one weight or one for each channel.

    Args:
        slopes: How many weights: 1, or C.
        start: Where they start.
    """

    def __init__(self, slopes: int, start: float = 0.25) -> None:
        super().__init__(slopes, start)

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return over_steps(super().forward, x_TN)


class Scale(nn.Module):
    """``[T, N, *]`` times one number.

    Args:
        value: The number, or where it starts.
        learn: Whether it is a parameter, ``weight``.
    """

    def __init__(self, value: float, *, learn: bool) -> None:
        super().__init__()
        self.value = value
        self.weight = nn.Parameter(torch.tensor(value)) if learn else None

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        return x_TN * (self.value if self.weight is None else self.weight)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        return f"{self.value}, learn={self.weight is not None}"


class Flatten(nn.Module):
    """``[T, N, C, H, W]`` to ``[T, N, C·H·W]``."""

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
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

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        if not self.training:
            return x_TN
        mask_N = functional.dropout(x_TN.new_ones(x_TN.shape[1:]), self.p)
        return x_TN * mask_N

    def extra_repr(self) -> str:  # noqa: D102
        return f"p={self.p}"


class DropPath(Dropout):
    """Silences all of a sample, at all its time-steps, drawn again in every forward.

    Attributes:
        p: Probability that a sample is silenced in training, 0 <= p < 1; the others are scaled by 1 / (1 - p).
    """

    def forward(self, x_TN: Tensor) -> Tensor:  # noqa: D102
        if not self.training:
            return x_TN
        mask_N = functional.dropout(x_TN.new_ones(x_TN.shape[1], *[1] * (x_TN.ndim - 2)), self.p)
        return x_TN * mask_N
