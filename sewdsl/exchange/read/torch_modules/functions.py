"""PyTorch functions that a ``forward`` may call, and their translation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.draft import ScaleOp, make_op
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, TorchVocabulary, Trace, TracedTensor
from sewdsl.ops.joins import Add, And, IAnd
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.merges import Product
from sewdsl.ops.neurons.activations import ReLU

_SHAPE_QUERIES = frozenset({
    "dim", "size", "numel", "__len__", "stride", "is_floating_point", "is_contiguous", "get_device", "__repr__",
    *(f"{name}.__get__" for name in (
        "shape", "ndim", "dtype", "device", "is_cuda", "requires_grad", "layout", "is_sparse", "is_meta", "names"
    )),
})  # fmt: skip
"""Functions that query shapes and properties only. They run unchanged."""


def pair(value: Any) -> tuple[int, int]:
    """Return height and width as integers, from a sequence or one value for both."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _add(trace: Trace, a: Any, b: Any, *, alpha: float = 1) -> TracedTensor:
    if isinstance(a, TracedTensor) and isinstance(b, TracedTensor) and alpha == 1:
        return trace.add(Add(), a, b)
    traced, other = (a, b) if isinstance(a, TracedTensor) else (b, a)
    if type(other) is int and other == 0:  # The start value of sum().
        return _alias(trace, traced)
    raise trace.refusal("adds a value that is not computed from the input")


def _in_place(
    function: Callable[..., TracedTensor], trace: Trace, a: TracedTensor, b: Any, **options: Any
) -> TracedTensor:
    return trace.overwritten(a, function(trace, a, b, **options))


def _complement(trace: Trace, a: TracedTensor, one: Any, *, alpha: float = 1) -> TracedTensor:
    """Translate one - a, with one = 1. Only products of spikes can read the result."""
    if isinstance(one, TracedTensor) or one != 1 or alpha != 1 or a.complement:
        raise trace.refusal("subtracts; only 1 - x of spikes is supported")
    return trace.tensor(a.checked().draft_index, a.form, complement=True)


def _multiply(trace: Trace, a: Any, b: Any) -> TracedTensor:
    """Translate a product: MUL, AND of two spikes, IAND with one complement, or a scale by a number."""
    if not (isinstance(a, TracedTensor) and isinstance(b, TracedTensor)):
        traced, factor = (a, b) if isinstance(a, TracedTensor) else (b, a)
        return _factor(trace, traced, factor)
    if a.complement == b.complement:
        first, second = (trace.draft.items[each.draft_index].output for each in (a, b))
        both_spike = a.complement or (first.values.binary and second.values.binary) or first.shape != second.shape
        return trace.add(And() if both_spike else Product(), a, b)
    branch, identity = (a, b) if a.complement else (b, a)
    # IAND negates its branch itself: pass the spikes without the complement.
    spikes = trace.tensor(branch.checked().draft_index, branch.form)
    spikes.is_read_out = branch.is_read_out
    return trace.add(IAnd(), spikes, identity)


def _divide(trace: Trace, a: Any, b: Any) -> TracedTensor:
    if not isinstance(a, TracedTensor) or not isinstance(b, int | float):
        raise trace.refusal("divides; only division by a number is supported")
    return _factor(trace, a, 1 / b)


def _factor(trace: Trace, a: TracedTensor, factor: Any) -> TracedTensor:
    if isinstance(factor, torch.Tensor) and not factor.requires_grad and factor.numel() == 1:
        factor = factor.item()
    if not isinstance(factor, int | float):
        raise trace.refusal("multiplies by a value that is not computed from the input")
    return trace.add(ScaleOp(), a, factor=torch.tensor([factor], dtype=torch.float64))


def flatten(trace: Trace, a: TracedTensor, start_dim: int = 0, end_dim: int = -1) -> TracedTensor:
    """Merge the axes of time-steps and samples, or flatten a feature map into a vector."""
    first, last = (axis % a.ndim for axis in (start_dim, end_dim))
    if first == last:
        return a
    if (first, last) == (0, 1) and a.form is LeadingAxes.SEQUENCE:
        return trace.tensor(a.checked().draft_index, LeadingAxes.FOLDED, like=a, complement=a.complement)
    if first == len(trace.lead(a.form)) and last == a.ndim - 1:
        return _share_memory(a, trace.add(Flatten(), a))
    raise trace.refusal(f"flattens axes {first} to {last} of {a.form.value}; expected all axes of a feature map")


def _reshape(trace: Trace, a: TracedTensor, *sizes: Any, shape: Any = None) -> TracedTensor:
    """Split or merge the axes of time-steps and samples, or flatten a feature map into a vector."""
    target = _as_tuple(sizes) if shape is None else tuple(shape)
    # Let PyTorch resolve -1 and check the number of elements.
    new_shape = tuple(torch.empty(tuple(a.shape), device="meta").reshape(target).shape)
    item_shape = trace.draft.shape(a.draft_index)
    for form in (LeadingAxes.STEP,) if a.form is LeadingAxes.STEP else (LeadingAxes.SEQUENCE, LeadingAxes.FOLDED):
        lead = trace.lead(form)
        if new_shape == (*lead, *item_shape):
            return trace.tensor(a.checked().draft_index, form, like=a, complement=a.complement)
        if new_shape == (*lead, torch.Size(item_shape).numel()):
            vector = trace.add(Flatten(), a)
            return _share_memory(a, trace.tensor(vector.draft_index, form))
    raise trace.refusal(f"reshapes {a.form.value} to {list(new_shape)}, which mixes axes")


def _share_memory(a: TracedTensor, result: TracedTensor) -> TracedTensor:
    """Return a tensor that shares its memory version with another one, as a view does."""
    return result.run.tensor(result.draft_index, result.form, like=a)


def _unflatten(trace: Trace, a: TracedTensor, dim: int, sizes: Any) -> TracedTensor:
    if dim % a.ndim == 0 and a.form is LeadingAxes.FOLDED and tuple(sizes) == trace.sizes:
        return trace.tensor(a.checked().draft_index, LeadingAxes.SEQUENCE, like=a, complement=a.complement)
    raise trace.refusal(f"unflattens axis {dim} of {a.form.value}; only [T·N, *] to [T, N, *] is supported")


def _as_tuple(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sizes as a tuple, passed as separate arguments or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


class Unsqueezed:
    """Constant tensor with a new time axis of length 1."""

    def __init__(self, inner: TracedTensor) -> None:
        self._inner = inner

    def repeat(self, *times: Any) -> TracedTensor:
        """Repeat the tensor T times along the time axis."""
        return self._repeat_over_time(_as_tuple(times), 1)

    def expand(self, *sizes: Any) -> TracedTensor:
        """Expand the time axis to T."""
        return self._repeat_over_time(_as_tuple(sizes), None)

    def _repeat_over_time(self, sizes: Sequence[Any], unchanged: int | None) -> TracedTensor:
        trace, (first, *rest) = self._inner.run, sizes
        # repeat() takes counts of 1 for the other axes, expand() takes -1 or the size.
        same = [(unchanged,)] * len(rest) if unchanged is not None else [(-1, size) for size in self._inner.shape]
        if (
            first != trace.sizes[0]
            or len(rest) != self._inner.ndim
            or any(each not in allowed for each, allowed in zip(rest, same, strict=True))
        ):
            raise trace.refusal(f"repeats its input {first} times, but the network has {trace.sizes[0]} time-steps")
        trace.repeated.add(self._inner.draft_index)
        return trace.tensor(self._inner.checked().draft_index, LeadingAxes.SEQUENCE)


def _unsqueeze(trace: Trace, a: TracedTensor, dim: int) -> Unsqueezed:
    if dim != 0:
        raise trace.refusal(f"inserts axis {dim} into {a.form.value}; only axis 0 is supported")
    return Unsqueezed(_require_constant(trace, a))


def _require_constant(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Return the tensor, or fail if it has, or had, a time axis."""
    again = a.draft_index in trace.repeated or (trace.repeated and not trace.draft.inputs)
    if a.form is not LeadingAxes.STEP or a.complement or a.is_read_out or again:
        raise trace.refusal(f"repeats {a.form.value}; only a constant input can be repeated, and only once")
    return a


def _expand(trace: Trace, a: TracedTensor, *sizes: Any) -> TracedTensor:
    """Translate ``expand`` that adds a time axis."""
    # Let PyTorch resolve -1.
    new_shape = tuple(torch.empty(tuple(a.shape), device="meta").expand(_as_tuple(sizes)).shape)
    # An expand to the same shape has no effect.
    if new_shape == tuple(a.shape) and not a.complement:
        return _alias(trace, a)
    return Unsqueezed(_require_constant(trace, a)).expand(*new_shape)


def _mean(trace: Trace, a: TracedTensor, dim: Any = None, keepdim: bool = False, **_: Any) -> TracedTensor:
    """Translate a mean over the whole feature map, over time-steps, or over both."""
    axes = {axis % a.ndim for axis in ((dim,) if isinstance(dim, int) else dim or range(a.ndim))}
    spatial_axes = {a.ndim - 2, a.ndim - 1}
    ndim = len(trace.draft.shape(a.draft_index))
    # Average the map first: the remaining axes can then only be that of time.
    if ndim == 3 and axes >= spatial_axes:  # noqa: PLR2004 -- C, H, W
        pooled = average_whole(trace, a)
        a, axes = (pooled if keepdim else trace.add(Flatten(), pooled)), axes - spatial_axes
    if axes == {0} and a.form is LeadingAxes.SEQUENCE and not keepdim:
        return _read_out(trace, a, "mean")
    if axes:
        raise trace.refusal("averages over unsupported axes; expected height and width, or time-steps")
    return a


def _sum(trace: Trace, a: TracedTensor, dim: Any = None, keepdim: bool = False, **_: Any) -> TracedTensor:
    if dim in (0, (0,), [0]) and a.form is LeadingAxes.SEQUENCE and not keepdim:
        return _read_out(trace, a, "sum")
    raise trace.refusal("sums over unsupported axes; expected time-steps")


def _item(trace: Trace, a: TracedTensor, index: Any) -> TracedTensor:
    if index == -1 and a.form is LeadingAxes.SEQUENCE:
        return _read_out(trace, a, "last")
    if isinstance(index, int):
        raise trace.looping()
    raise trace.refusal("indexes a tensor; only the last time-step, x[-1], is supported")


def _unbind(trace: Trace, *_: Any) -> TracedTensor:
    raise trace.looping()


def _read_out(trace: Trace, a: TracedTensor, readout: str) -> TracedTensor:
    if trace.readout is not None or a.complement:
        raise trace.refusal("reduces over time-steps twice, or reduces 1 - x")
    trace.readout = readout
    output = trace.tensor(a.checked().draft_index, LeadingAxes.STEP)
    output.is_read_out = True
    return output


def relu(trace: Trace, a: TracedTensor, inplace: bool = False) -> TracedTensor:
    """Add ReLU, optionally in place."""
    result = trace.add(ReLU(), a)
    return trace.overwritten(a, result) if inplace else result


def dropout(
    trace: Trace, a: TracedTensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> TracedTensor:
    """Add dropout."""
    # `training` has no effect, since dropout in sewdsl follows the mode of the network.
    return trace.add(make_op(Dropout, trace.origin, p=float(p)), a)


def _alias(trace: Trace, a: TracedTensor, *args: Any, **kwargs: Any) -> TracedTensor:
    return trace.tensor(a.checked().draft_index, a.form, like=a, complement=a.complement)


def max_pool(  # noqa: PLR0913 -- torch's signature
    trace: Trace,
    a: TracedTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> TracedTensor:
    """Add max pooling of feature maps or rows."""
    if pair(dilation) != (1, 1) or return_indices:
        raise trace.refusal("uses dilation or return_indices, which max pooling in sewdsl does not support")
    return _slide(trace, a, MaxPool, (kernel_size, stride or kernel_size, padding), ceil_mode=ceil_mode)


def avg_pool(  # noqa: PLR0913 -- torch's signature
    trace: Trace,
    a: TracedTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> TracedTensor:
    """Add average pooling of feature maps or rows."""
    if divisor_override is not None or (not count_include_pad and pair(padding) != (0, 0)):
        raise trace.refusal("does not divide by the full window size (divisor_override or count_include_pad)")
    return _slide(trace, a, AvgPool, (kernel_size, stride or kernel_size, padding), ceil_mode=ceil_mode)


def _slide(
    trace: Trace, a: TracedTensor, kind: type[MaxPool | AvgPool], window: tuple[Any, Any, Any], *, ceil_mode: bool
) -> TracedTensor:
    sizes = dict(zip(("kernel", "stride", "padding"), map(pair, window), strict=True))
    shape = trace.draft.shape(require_map(trace, a).draft_index)
    if ceil_mode and any((length + 2 * p - k) % s for length, k, s, p in zip(shape[1:], *sizes.values(), strict=False)):
        raise trace.refusal(f"rounds up the output size of {'x'.join(map(str, shape))}; sewdsl rounds down")
    return trace.add(make_op(kind, trace.origin, **sizes), a)


def require_map(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Return the tensor, or fail unless it is a feature map, ``[N, C, H, W]`` or ``[N, C, L]``."""
    if len(trace.draft.shape(a.draft_index)) == 1:
        raise trace.refusal("pools a vector; expected a feature map")
    return a


def average_whole(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Add an average over the whole map of each channel, which keeps axes of length 1."""
    _, *lengths = trace.draft.shape(a.draft_index)
    return trace.add(AvgPool(kernel=pair(lengths)), a)


def adaptive_avg_pool(trace: Trace, a: TracedTensor, output_size: Any) -> TracedTensor:
    """Add adaptive average pooling, if all windows have one size."""
    shape = trace.draft.shape(require_map(trace, a).draft_index)
    axes = len(shape) - 1
    sizes = (output_size,) * axes if isinstance(output_size, int | None) else output_size
    target = [length if size is None else size for size, length in zip(sizes, shape[1:], strict=True)]
    if any(length % size for size, length in zip(target, shape[1:], strict=True)):
        raise trace.refusal(
            f"pools {'x'.join(map(str, shape[1:]))} to {'x'.join(map(str, target))}, with windows of different sizes"
        )
    kernel = pair([length // size for size, length in zip(target, shape[1:], strict=True)])
    # Windows of one element have no effect.
    return a if kernel == (1, 1) else trace.add(make_op(AvgPool, trace.origin, kernel=kernel), a)


def linear_function(trace: Trace, a: TracedTensor, weight: Tensor, bias: Tensor | None = None) -> TracedTensor:
    """Add ``torch.nn.functional.linear`` with parameters of the current module."""
    if not all(isinstance(each, nn.Parameter) for each in (weight, bias) if each is not None):
        raise trace.refusal("multiplies by a computed matrix; expected a parameter")
    if len(trace.draft.shape(a.draft_index)) > 1:
        raise trace.refusal("applies a linear layer to a feature map; flatten it first")
    require_width(trace, a, weight.shape[1])
    op = make_op(Linear, trace.origin, features=len(weight), bias=bias is not None)
    tensors = {"weight": weight.detach().clone(), "bias": None if bias is None else bias.detach().clone()}
    return trace.share(trace.add(op, a, **tensors), weight, bias)


def require_width(trace: Trace, a: TracedTensor, expected: int) -> None:
    """Fail if the layer expects another number of channels or features."""
    actual = trace.draft.shape(a.draft_index)[0]
    if actual != expected:
        raise trace.refusal(f"expects {expected} channels or features, got {actual}")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "__add__", "__radd__"), _add),
    **dict.fromkeys(("add_", "__iadd__"), partial(_in_place, _add)),
    **dict.fromkeys(
        ("sub", "subtract", "__sub__"), lambda trace, one, a, **options: _complement(trace, a, one, **options)
    ),
    **dict.fromkeys(("rsub", "__rsub__"), _complement),
    **dict.fromkeys(("mul", "multiply", "__mul__", "__rmul__"), _multiply),
    **dict.fromkeys(("mul_", "__imul__"), partial(_in_place, _multiply)),
    **dict.fromkeys(("div", "true_divide", "__truediv__"), _divide),
    **dict.fromkeys(("reshape", "view"), _reshape),
    **dict.fromkeys(("max_pool2d", "boolean_dispatch"), max_pool),
    **dict.fromkeys(("contiguous", "clone"), _alias),
    "flatten": flatten,
    "unflatten": _unflatten,
    "unsqueeze": _unsqueeze,
    "mean": _mean,
    "sum": _sum,
    "__getitem__": _item,
    "unbind": _unbind,
    "relu": relu,
    "relu_": partial(relu, inplace=True),
    "dropout": dropout,
    "avg_pool2d": avg_pool,
    "adaptive_avg_pool2d": adaptive_avg_pool,
    "expand": _expand,
    "linear": linear_function,
}
"""Translations by function or method name."""

VOCABULARY = TorchVocabulary(_SHAPE_QUERIES, _FUNCTIONS)
