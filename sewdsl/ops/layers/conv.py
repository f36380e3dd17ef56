"""Convolution and transposed convolution in one and two dimensions: ``c32k3s1``, ``tc64k2s2``."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Annotated

from sewdsl.ir.init_rules import RuleArgument
from sewdsl.ir.kind import Letter, NaturalPair, Positive, PositivePair, Switch
from sewdsl.ir.op import Downstream, FanOut, ShapeMismatch, WeightedLayer
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.norms import Norm
from sewdsl.ops.windows import Lengths, Pair, along_axes, output_size, row_or_map_shape, window_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class _Convolution(WeightedLayer):
    """Base class of convolutions, with groups and an optional bias."""

    weights_for = "channels"
    on_grid = True

    channels: Annotated[Positive, Letter("")]
    kernel: Annotated[PositivePair, Letter("k")]
    stride: Annotated[PositivePair, Letter("s")] = (1, 1)
    padding: Annotated[NaturalPair | None, Letter("p")] = None

    if TYPE_CHECKING:
        groups: int
        bias: bool | None

    def _check_groups(self, channels: int) -> None:
        """Raise ShapeMismatch unless the groups divide the channels of input and output."""
        if channels % self.groups or self.channels % self.groups:
            # The input can be unknown yet, in a loop.
            sizes = f"{self.channels} output" if self.channels % self.groups else f"{channels} input"
            raise ShapeMismatch(
                "groups-mismatch",
                f"{self.groups} groups do not divide {sizes} channels",
                "use a number of groups that divides both input and output channels",
            )

    def _needs_bias(self, downstream: Downstream) -> bool:
        """Return whether the convolution has a bias: the argument, or by default whether no norm follows."""
        if self.bias is not None:
            return self.bias
        # The norm subtracts the mean, which cancels a constant.
        return not (downstream.next and all(isinstance(op, Norm) for op in downstream.next))

    def weight_shape(self, *inputs: Signal) -> tuple[int, ...]:
        return self.channels, inputs[0].channels // self.groups, *self._window(inputs[0])[0]

    @abstractmethod
    def _window(self, signal: Signal) -> list[Lengths]:
        """Return the kernel and further arguments along each axis of the input."""

    def _module(self, module_class: Callable[..., nn.Module], signal: Signal, **window: Lengths) -> nn.Module:
        return module_class(signal.channels, self.channels, **window, groups=self.groups, bias=bool(self.bias))


class Conv(_Convolution, kind="c", key="conv"):
    """Convolution of each time-step, 2-D for ``[C, H, W]`` and 1-D for ``[C, L]``.

    In a network: ``c32k3s1``, ``c64k7s2p3``, ``c32k3x5``, ``c32k3g32b1``.

    Attributes:
        channels: Number of output channels.
        kernel: Height and width of the kernel, or its length on ``[C, L]``. On ``[C, L]``, all arguments are single
            numbers.
        stride: Step of the window.
        padding: Zero padding on each side. None: dilation (kernel - 1) / 2, for odd kernels only.
        dilation: Distance between the kernel taps.
        groups: Number of groups of channels, which are not mixed.
        bias: Whether to add a learnable constant per channel. None: only if no batch norm follows.

    Shape: ``[C, H, W]`` to ``[channels, H', W']``, H' = floor((H + 2p - d(k-1) - 1) / s) + 1. ``[C, L]`` to
    ``[channels, L']``.
    """

    dilation: Annotated[PositivePair, Letter("d")] = (1, 1)
    groups: Annotated[Positive, Letter("g")] = 1
    bias: Annotated[Switch | None, Letter("b")] = None
    init: RuleArgument = None

    @property
    def pads(self) -> tuple[int, int]:
        """Padding in force. An even kernel without the argument ``padding`` raises ShapeMismatch."""
        if self.padding is not None:
            return self.padding
        if any(k % 2 == 0 for k in self.kernel):
            size = "x".join(map(str, dict.fromkeys(self.kernel)))
            raise ShapeMismatch(
                "even-kernel",
                f"an even kernel (k{size}) has no symmetric padding that keeps the size",
                self._paddings(),
            )
        height, width = (d * (k - 1) // 2 for k, d in zip(self.kernel, self.dilation, strict=True))
        return height, width

    def _paddings(self) -> str:
        """Return a help with a possible padding, which divides the size exactly by the stride."""
        if min(self.stride) == 1:
            return f"set the padding, e.g. p{min(self.kernel) // 2} or p0"
        each = zip(self.kernel, self.stride, self.dilation, strict=True)
        # The padding for which the output size is the input size divided by the stride.
        padding = dict.fromkeys(max(0, (d * (k - 1) + 2 - s) // 2) for k, s, d in each)
        stride = "x".join(map(str, dict.fromkeys(self.stride)))
        return f"set the padding, e.g. p{'x'.join(map(str, padding))}, which divides the size by {stride}"

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("a convolution", inputs[0])
        self._check_groups(c)
        name = f"convolution k{'x'.join(map(str, dict.fromkeys(self.kernel)))}"
        lengths = output_size(name, tuple(size), *self._window(inputs[0]))
        return Signal((self.channels, *lengths), varies=inputs[0].varies)

    def _window(self, signal: Signal) -> list[Lengths]:
        """Return kernel, stride, padding and dilation along each axis."""
        return along_axes("a convolution", signal, self.kernel, self.stride, self.pads, self.dilation)

    def macs(self, *inputs: Signal) -> int:
        """Return one operation per kernel tap and output element, padding included."""
        return self.kept_weights(*inputs) * self.infer(*inputs).elements

    def fan_out(self, *inputs: Signal) -> FanOut:
        """Return the windows that contain a position, times the output channels of a group, without padding."""
        # At the edges, fewer windows contain a position.
        windows = zip(inputs[0].shape[1:], *self._window(inputs[0]), strict=True)
        outputs = self.channels // self.groups * self.kept_fraction(*inputs)
        return FanOut.of_axes([window_counts(*window) for window in windows], outputs)

    @property
    def strided(self) -> bool:
        return self.stride != (1, 1)

    def settle(self, downstream: Downstream) -> Conv:
        return _with_arguments(self, bias=self._needs_bias(downstream))

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,), (signal,) = inputs, law.layer.inputs
        _, stride, padding, dilation = self._window(signal)
        return law.convolve(x, stride, padding, dilation, self.groups)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        kernel, stride, padding, dilation = self._window(inputs[0])
        module_class: Callable[..., nn.Module] = runtime.Conv2d if len(kernel) > 1 else runtime.Conv1d
        return self._module(
            module_class, inputs[0], kernel_size=kernel, stride=stride, padding=padding, dilation=dilation
        )


@lru_cache(maxsize=4096)
def _with_arguments(conv: Conv, *, bias: bool) -> Conv:
    """Return a convolution with explicit padding and bias."""
    # Cached, because many convolutions of a network are equal and validation is slow.
    return conv.replace(padding=conv.pads, bias=bias)


_KEEP_PLACES = "keep the feature map: use c64k1 instead of FC64, and MEAN(over=places) instead of GAP"


class TransposedConv(_Convolution, kind="tc", key="transposed_conv"):
    """Transposed convolution of each time-step: each value adds a window to the output.

    In a network: ``tc64k2s2``, which doubles height and width, ``tc64k3s2``, ``tc64k4s2p1``.

    Attributes:
        channels: Number of output channels.
        kernel: Height and width of the kernel, or its length on ``[C, L]``. On ``[C, L]``, all arguments are single
            numbers.
        stride: Distance between the windows of adjacent values in the output.
        padding: Rows and columns cropped on each side. None: padding for an output s times as large as the input.
        output_padding: Rows and columns added at the end, < s. None: output padding for an output s times as large as
            the input, otherwise 0.
        groups: Number of groups of channels, which are not mixed.
        bias: Whether to add a learnable constant per channel. None: only if no batch norm follows.

    Shape: ``[C, H, W]`` to ``[channels, H', W']``, H' = (H - 1) s - 2p + k + o, which is s·H with the default p and o.
    ``[C, L]`` to ``[channels, L']``.
    """

    upsamples = True
    output_padding: Annotated[NaturalPair | None, Letter("o")] = None
    groups: Annotated[Positive, Letter("g")] = 1
    bias: Annotated[Switch | None, Letter("b")] = None
    init: RuleArgument = None

    @property
    def pads(self) -> tuple[Pair, Pair]:
        """Padding and output padding in force.

        Raises:
            ShapeMismatch: If no padding makes the output s times as large, or if the output padding is not less than
                the stride.
        """
        each = [
            self._pads(k, s, self.padding and self.padding[axis], self.output_padding and self.output_padding[axis])
            for axis, (k, s) in enumerate(zip(self.kernel, self.stride, strict=True))
        ]
        (top, bottom), (left, right) = each
        return (top, left), (bottom, right)

    def _pads(self, k: int, s: int, p: int | None, o: int | None) -> Pair:
        """Return padding and output padding along one axis."""
        if p is not None:
            # The output padding for an output s times as large, given the padding.
            required_padding = s - k + 2 * p
            o = o if o is not None else required_padding if 0 <= required_padding < s else 0
        else:
            excess = k - s + (o or 0)
            if o is None:
                o = max(-excess, excess % 2)
            # The padding is symmetric, so the excess must be even.
            p, odd = divmod(max(0, k - s + o), 2)
            if odd or k - s + o < 0 or o >= s:
                raise ShapeMismatch(
                    "even-kernel",
                    f"no padding makes the output of transposed convolution k{k} s{s} {s} times as large as its input",
                    f"set the padding, e.g. p{k // 2} or p0",
                )
        if o >= s:
            raise ShapeMismatch(
                "invalid-argument",
                f"output padding o{o} of a transposed convolution must be less than its stride s{s}",
                f"use at most o{s - 1}",
            )
        return p, o

    def infer(self, *inputs: Signal) -> Signal:
        c, *size = row_or_map_shape("a transposed convolution", inputs[0], _KEEP_PLACES)
        self._check_groups(c)
        lengths = [
            (length - 1) * s - 2 * p + k + o for length, k, s, p, o in zip(size, *self._window(inputs[0]), strict=True)
        ]
        if min(lengths) < 1:
            height, width = self.pads[0]
            raise ShapeMismatch(
                "spatial-size-exhausted",
                f"a transposed convolution with padding p{height if height == width else f'{height}x{width}'} has no "
                f"output for a {'x'.join(map(str, size))} input",
                "use less padding, or a larger input",
            )
        return Signal((self.channels, *lengths), varies=inputs[0].varies)

    def _window(self, signal: Signal) -> list[Lengths]:
        """Return kernel, stride, padding and output padding along each axis."""
        return along_axes("a transposed convolution", signal, self.kernel, self.stride, *self.pads)

    def macs(self, *inputs: Signal) -> int:
        """Return one operation per kernel tap and input element, including products outside the cropped output."""
        return self.kept_weights(*inputs) * self.channels * prod(inputs[0].shape[1:])

    def fan_out(self, *inputs: Signal) -> FanOut:
        """Return the positions of a value's window inside the cropped output, times the output channels of a group."""
        sizes = inputs[0].shape[1:], self.infer(*inputs).shape[1:]
        axes = []
        for length, output_length, k, s, p in zip(*sizes, *self._window(inputs[0])[:3], strict=True):
            starts = (position * s - p for position in range(length))
            axes.append(tuple(max(0, min(start + k, output_length) - max(start, 0)) for start in starts))
        return FanOut.of_axes(axes, self.channels // self.groups * self.kept_fraction(*inputs))

    def settle(self, downstream: Downstream) -> TransposedConv:
        padding, output_padding = self.pads
        return self.replace(padding=padding, output_padding=output_padding, bias=self._needs_bias(downstream))

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,), (signal,) = inputs, law.layer.inputs
        _, stride, padding, output_padding = self._window(signal)
        return law.convolve_transposed(x, stride, padding, output_padding, self.groups)

    def build_layer(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        kernel, stride, padding, output_padding = self._window(inputs[0])
        module_class: Callable[..., nn.Module] = runtime.ConvTranspose2d if len(kernel) > 1 else runtime.ConvTranspose1d
        window = {"kernel_size": kernel, "stride": stride, "padding": padding, "output_padding": output_padding}
        return self._module(module_class, inputs[0], **window)
