"""Layers of torch and of SpikingJelly, as ours."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.draft import make_op
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Trace, TracedTensor
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.dropout import Dropout
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm, GroupNorm
from sewdsl.ops.layers.pool import AvgPool, MaxPool
from sewdsl.ops.layers.upsample import Upsample
from sewdsl.ops.neurons.activations import GELU, PReLU


class PoolingWindow(NamedTuple):
    """How a pooling slides; ``unusual``: it does something else in addition."""

    kernel: Any
    stride: Any
    padding: Any
    dilation: Any = 1
    ceil_mode: bool = False
    unusual: bool = False


def pair(value: Any) -> tuple[int, int]:
    """Height and width, or the same length twice, of what slides over rows."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""What a batch norm has learned."""


def copy_parameters(module: nn.Module, names: tuple[str, ...] = ("weight", "bias")) -> dict[str, Tensor]:
    """Weights and buffers of a layer as it computes with them, by torch's names."""
    found = {name: getattr(module, name) for name in names}
    return {name: value.detach().clone() for name, value in found.items() if value is not None}


def require_batch_first(trace: Trace, a: TracedTensor) -> TracedTensor:
    """What a layer of torch reads, if it takes the first axis for samples and the second for channels.

    Raises:
        UnsupportedPart: time-steps have an axis of their own.
    """
    if a.form is LeadingAxes.SEQUENCE:
        raise trace.refusal(f"would take time-steps for samples: it reads {a.form.value}")
    return a


def require_step_mode(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """What a layer of SpikingJelly reads, as its step mode says."""
    wanted = LeadingAxes.SEQUENCE if getattr(module, "step_mode", "m") == "m" else LeadingAxes.STEP
    if a.form is not wanted and not (wanted is LeadingAxes.STEP and a.form is LeadingAxes.FOLDED):
        mode = "multi-step" if wanted is LeadingAxes.SEQUENCE else "single-step"
        raise trace.refusal(f"is in {mode} mode, but reads {a.form.value}")
    return a


def conv(trace: Trace, module: nn.Conv2d | nn.Conv1d, a: TracedTensor) -> TracedTensor:
    """``Conv2d`` and ``Conv1d``."""
    require_axes(trace, a, len(module.kernel_size))
    if module.padding_mode != "zeros":
        raise trace.refusal(f"pads with '{module.padding_mode}'")
    if isinstance(module.padding, str):
        reach = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        if module.padding == "same" and any(each % 2 for each in reach):
            raise trace.refusal("pads more on one side than on the other")
        padding = pair([each // 2 if module.padding == "same" else 0 for each in reach])
    else:
        padding = pair(module.padding)
    return _convolution(trace, module, a, Conv, padding=padding, dilation=pair(module.dilation))


def transposed_conv(trace: Trace, module: nn.ConvTranspose2d | nn.ConvTranspose1d, a: TracedTensor) -> TracedTensor:
    """``ConvTranspose2d`` and ``ConvTranspose1d``."""
    require_axes(trace, a, len(module.kernel_size))
    if pair(module.dilation) != (1, 1):
        raise trace.refusal("dilates its kernel, which no transposed convolution here does")
    pads = {"padding": pair(module.padding), "output_padding": pair(module.output_padding)}
    return _convolution(trace, module, a, TransposedConv, **pads)


def _convolution(
    trace: Trace, module: Any, a: TracedTensor, kind: type[Conv | TransposedConv], **own: tuple[int, int]
) -> TracedTensor:
    op = make_op(
        kind,
        trace.origin,
        channels=module.out_channels,
        kernel=pair(module.kernel_size),
        stride=pair(module.stride),
        groups=module.groups,
        bias=module.bias is not None,
        **own,
    )
    _width(trace, a, module.in_channels)
    return trace.add(op, a, **copy_parameters(module))


def upsample(trace: Trace, module: nn.Upsample, a: TracedTensor) -> TracedTensor:
    """``Upsample`` by a whole factor."""
    factors = module.scale_factor if isinstance(module.scale_factor, tuple) else (module.scale_factor,) * 2
    if module.size is not None or factors[0] != factors[-1] or factors[0] is None or factors[0] % 1:
        raise trace.refusal("enlarges to a size, or by a factor that is not whole or not the same for both sides")
    rows = len(trace.draft.shape(require_map(trace, a).place)) == len("CL")
    if module.mode not in {"nearest", "linear" if rows else "bilinear"} or module.align_corners:
        raise trace.refusal(
            f"enlarges in mode '{module.mode}'{' with aligned corners' if module.align_corners else ''}"
        )
    mode = "nearest" if module.mode == "nearest" else "bilinear"
    return trace.add(make_op(Upsample, trace.origin, factor=int(factors[0]), mode=mode), a)


def group_norm(trace: Trace, module: nn.GroupNorm, a: TracedTensor) -> TracedTensor:
    """``GroupNorm``."""
    _width(trace, a, module.num_channels)
    tensors = copy_parameters(module)
    if not module.affine:
        tensors = {"weight": torch.ones(module.num_channels), "bias": torch.zeros(module.num_channels)}
    return trace.add(make_op(GroupNorm, trace.origin, groups=module.num_groups, eps=module.eps), a, **tensors)


def prelu(trace: Trace, module: nn.PReLU, a: TracedTensor) -> TracedTensor:
    """``PReLU``, with one slope; one for each channel needs channels on its second axis."""
    shared = module.num_parameters == 1
    if not shared:
        _width(trace, require_batch_first(trace, a), module.num_parameters)
    return trace.add(make_op(PReLU, trace.origin, shared=shared), a, **copy_parameters(module, ("weight",)))


def gelu(trace: Trace, module: nn.GELU, a: TracedTensor) -> TracedTensor:
    """``GELU``, not approximated."""
    if module.approximate != "none":
        raise trace.refusal(f"approximates by {module.approximate}, and ours does not")
    return trace.add(make_op(GELU, trace.origin), a)


def linear(trace: Trace, module: nn.Linear, a: TracedTensor) -> TracedTensor:
    """``Linear``, of vectors."""
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("multiplies the last axis of a map")
    _width(trace, a, module.in_features)
    op = make_op(Linear, trace.origin, features=module.out_features, bias=module.bias is not None)
    return trace.add(op, a, **copy_parameters(module))


def linear_function(trace: Trace, a: TracedTensor, weight: Tensor, bias: Tensor | None = None) -> TracedTensor:
    """The function that ``Linear`` calls, with parameters of the module at hand."""
    if not all(isinstance(each, nn.Parameter) for each in (weight, bias) if each is not None):
        raise trace.refusal("multiplies by a matrix that is computed")
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("multiplies the last axis of a map")
    trace.once(weight)
    _width(trace, a, weight.shape[1])
    op = make_op(Linear, trace.origin, features=len(weight), bias=bias is not None)
    tensors = {"weight": weight.detach().clone(), "bias": None if bias is None else bias.detach().clone()}
    return trace.add(op, a, **tensors)


def batch_norm(trace: Trace, module: nn.BatchNorm2d, a: TracedTensor) -> TracedTensor:
    """``BatchNorm1d`` of vectors and rows, ``BatchNorm2d`` of maps."""
    if not module.track_running_stats or module.running_mean is None:
        raise trace.refusal("has no running statistics")
    if module.momentum is None:
        raise trace.refusal("has no momentum: it weighs all batches equally")
    _width(trace, a, module.num_features)
    tensors = copy_parameters(module, NORM)
    if not module.affine:
        tensors |= {"weight": torch.ones_like(module.running_mean), "bias": torch.zeros_like(module.running_mean)}
    return trace.add(make_op(BatchNorm, trace.origin, eps=module.eps, momentum=float(module.momentum)), a, **tensors)


def max_pool(trace: Trace, a: TracedTensor, window: PoolingWindow) -> TracedTensor:
    """``MaxPool2d``."""
    if pair(window.dilation) != (1, 1) or window.unusual:
        raise trace.refusal("dilates its window, or gives indices too")
    return _slide(trace, a, MaxPool, window)


def avg_pool(trace: Trace, a: TracedTensor, window: PoolingWindow) -> TracedTensor:
    """``AvgPool2d``."""
    if window.unusual:
        raise trace.refusal("divides by another number than that of the window's elements")
    return _slide(trace, a, AvgPool, window)


def _slide(trace: Trace, a: TracedTensor, kind: type[MaxPool | AvgPool], window: PoolingWindow) -> TracedTensor:
    sizes = {"kernel": pair(window.kernel), "stride": pair(window.stride), "padding": pair(window.padding)}
    shape = trace.draft.shape(require_map(trace, a).place)
    if window.ceil_mode and any(
        (length + 2 * p - k) % s for length, k, s, p in zip(shape[1:], *sizes.values(), strict=False)
    ):
        raise trace.refusal(f"rounds up the size of {'x'.join(map(str, shape))}; ours round down")
    return trace.add(make_op(kind, trace.origin, **sizes), a)


def require_map(trace: Trace, a: TracedTensor) -> TracedTensor:
    """A map, ``[N, C, H, W]`` or ``[N, C, L]``."""
    if len(trace.draft.shape(a.place)) == 1:
        raise trace.refusal("pools what is no map")
    return a


def require_axes(trace: Trace, a: TracedTensor, axes: int) -> None:
    """Refuses a layer that slides over another number of axes than its input has, unless that is a vector."""
    shape = trace.draft.shape(a.place)
    if 1 < len(shape) != 1 + axes:
        size = ", ".join(map(str, shape))
        raise trace.refusal(f"slides over {axes} {'axis' if axes == 1 else 'axes'}, but reads [{size}]")


def average_whole(trace: Trace, a: TracedTensor) -> TracedTensor:
    """The mean of each channel, as a map of one place."""
    _, *lengths = trace.draft.shape(a.place)
    return trace.add(AvgPool(kernel=pair(lengths)), a)


def adaptive_avg_pool(trace: Trace, a: TracedTensor, output_size: Any) -> TracedTensor:
    """``AdaptiveAvgPool2d``, where all windows have one size."""
    shape = trace.draft.shape(require_map(trace, a).place)
    axes = len(shape) - 1
    sizes = (output_size,) * axes if isinstance(output_size, int | None) else output_size
    wanted = [have if want is None else want for want, have in zip(sizes, shape[1:], strict=True)]
    if any(have % want for want, have in zip(wanted, shape[1:], strict=True)):
        raise trace.refusal(
            f"pools {'x'.join(map(str, shape[1:]))} to {'x'.join(map(str, wanted))}, in windows of several sizes"
        )
    kernel = pair([have // want for want, have in zip(wanted, shape[1:], strict=True)])
    return a if kernel == (1, 1) else trace.add(make_op(AvgPool, trace.origin, kernel=kernel), a)


def dropout(trace: Trace, module: nn.Dropout, a: TracedTensor) -> TracedTensor:
    """``Dropout``."""
    return trace.add(make_op(Dropout, trace.origin, p=float(module.p)), a)


def voting(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """SpikingJelly's ``VotingLayer``."""
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("votes over a map")
    return trace.add(make_op(AvgPool, trace.origin, kernel=(module.voting_size,) * 2), a)


def _width(trace: Trace, a: TracedTensor, wanted: int) -> None:
    found = trace.draft.shape(a.place)[0]
    if found != wanted:
        raise trace.refusal(f"is made for {wanted} channels or features, but reads {found}")
