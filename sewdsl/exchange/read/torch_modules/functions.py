"""Functions of torch that a ``forward`` may call, and what each becomes."""

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
from sewdsl.ops.neurons.activations import ReLU

_HARMLESS = frozenset({
    "dim", "size", "numel", "__len__", "stride", "is_floating_point", "is_contiguous", "get_device", "__repr__",
    *(f"{name}.__get__" for name in (
        "shape", "ndim", "dtype", "device", "is_cuda", "requires_grad", "layout", "is_sparse", "is_meta", "names"
    )),
})  # fmt: skip
"""What only asks for the shape and the like."""


def pair(value: Any) -> tuple[int, int]:
    """Return height and width, or the same length twice for rows."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _add(trace: Trace, a: Any, b: Any, *, alpha: float = 1) -> TracedTensor:
    if isinstance(a, TracedTensor) and isinstance(b, TracedTensor) and alpha == 1:
        return trace.add(Add(), a, b)
    tensor, other = (a, b) if isinstance(a, TracedTensor) else (b, a)
    if type(other) is int and other == 0:  # what sum() begins with
        return _same(trace, tensor)
    raise trace.refusal("adds what is not computed from the input")


def _add_in_place(trace: Trace, a: TracedTensor, b: Any, *, alpha: float = 1) -> TracedTensor:
    return trace.overwritten(a, _add(trace, a, b, alpha=alpha))


def _complement(trace: Trace, a: TracedTensor, one: Any, *, alpha: float = 1) -> TracedTensor:
    """Return one - a."""
    if isinstance(one, TracedTensor) or one != 1 or alpha != 1 or a.complement:
        raise trace.refusal("subtracts, other than a spike from 1")
    return trace.tensor(a.checked().place, a.form, complement=True)


def _subtract(trace: Trace, one: Any, a: Any, *, alpha: float = 1) -> TracedTensor:
    if isinstance(one, TracedTensor):
        raise trace.refusal("subtracts, other than a spike from 1")
    return _complement(trace, a, one, alpha=alpha)


def _multiply(trace: Trace, a: Any, b: Any) -> TracedTensor:
    if not (isinstance(a, TracedTensor) and isinstance(b, TracedTensor)):
        tensor, factor = (a, b) if isinstance(a, TracedTensor) else (b, a)
        return _factor(trace, tensor, factor)
    if a.complement == b.complement:
        return trace.add(And(), a, b)
    branch, identity = (a, b) if a.complement else (b, a)
    spikes = trace.tensor(branch.checked().place, branch.form)
    spikes.read = branch.read
    return trace.add(IAnd(), spikes, identity)


def _multiply_in_place(trace: Trace, a: TracedTensor, b: Any) -> TracedTensor:
    return trace.overwritten(a, _multiply(trace, a, b))


def _divide(trace: Trace, a: Any, b: Any) -> TracedTensor:
    if not isinstance(a, TracedTensor) or not isinstance(b, int | float):
        raise trace.refusal("divides, other than by a number")
    return _factor(trace, a, 1 / b)


def _factor(trace: Trace, a: TracedTensor, factor: Any) -> TracedTensor:
    if isinstance(factor, torch.Tensor) and not factor.requires_grad and factor.numel() == 1:
        factor = factor.item()
    if not isinstance(factor, int | float):
        raise trace.refusal("multiplies by what is not computed from the input")
    return trace.add(ScaleOp(), a, factor=torch.tensor([factor], dtype=torch.float64))


def flatten(trace: Trace, a: TracedTensor, start_dim: int = 0, end_dim: int = -1) -> TracedTensor:
    """Flatten time-steps and samples into one axis, or a map into a vector."""
    first, last = (axis % a.ndim for axis in (start_dim, end_dim))
    if first == last:
        return a
    if (first, last) == (0, 1) and a.form is LeadingAxes.SEQUENCE:
        return trace.tensor(a.checked().place, LeadingAxes.FOLDED, like=a, complement=a.complement)
    if first == len(trace.lead(a.form)) and last == a.ndim - 1:
        return _sharing(a, trace.add(Flatten(), a))
    raise trace.refusal(f"flattens the axes {first} to {last} of {a.form.value}, which are not those of a map")


def _reshape(trace: Trace, a: TracedTensor, *sizes: Any, shape: Any = None) -> TracedTensor:
    """Reshape: time-steps and samples apart or in one axis, a map as a vector."""
    wanted = _one_by_one(sizes) if shape is None else tuple(shape)
    after = tuple(torch.empty(tuple(a.shape), device="meta").reshape(wanted).shape)
    own = trace.draft.shape(a.place)
    for form in (LeadingAxes.STEP,) if a.form is LeadingAxes.STEP else (LeadingAxes.SEQUENCE, LeadingAxes.FOLDED):
        lead = trace.lead(form)
        if after == (*lead, *own):
            return trace.tensor(a.checked().place, form, like=a, complement=a.complement)
        if after == (*lead, torch.Size(own).numel()):
            vector = trace.add(Flatten(), a)
            return _sharing(a, trace.tensor(vector.place, form))
    raise trace.refusal(f"reshapes {a.form.value} to {list(after)}, which mixes axes")


def _sharing(a: TracedTensor, made: TracedTensor) -> TracedTensor:
    return made.run.tensor(made.place, made.form, like=a)


def _unflatten(trace: Trace, a: TracedTensor, dim: int, sizes: Any) -> TracedTensor:
    if dim % a.ndim == 0 and a.form is LeadingAxes.FOLDED and tuple(sizes) == trace.sizes:
        return trace.tensor(a.checked().place, LeadingAxes.SEQUENCE, like=a, complement=a.complement)
    raise trace.refusal(f"parts the axis {dim} of {a.form.value}")


def _one_by_one(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sizes that are passed one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


class Unsqueezed:
    """A static tensor with an axis for time-steps, of length 1 as yet."""

    def __init__(self, inner: TracedTensor) -> None:
        self._inner = inner

    def repeat(self, *times: Any) -> TracedTensor:
        """Repeat the tensor over time."""
        return self._over(_one_by_one(times), 1)

    def expand(self, *sizes: Any) -> TracedTensor:
        """Repeat the tensor over time without a copy."""
        return self._over(_one_by_one(sizes), None)

    def _over(self, sizes: Sequence[Any], kept: int | None) -> TracedTensor:
        trace, (first, *rest) = self._inner.run, sizes
        same = [(kept,)] * len(rest) if kept is not None else [(-1, size) for size in self._inner.shape]
        if (
            first != trace.sizes[0]
            or len(rest) != self._inner.ndim
            or any(each not in allowed for each, allowed in zip(rest, same, strict=True))
        ):
            raise trace.refusal(f"repeats its input {first} times; the network has {trace.sizes[0]} time-steps")
        trace.repeated = True
        return trace.tensor(self._inner.checked().place, LeadingAxes.SEQUENCE)


def _unsqueeze(trace: Trace, a: TracedTensor, dim: int) -> Unsqueezed:
    if dim != 0:
        raise trace.refusal(f"puts an axis before the axis {dim} of {a.form.value}")
    return Unsqueezed(_step(trace, a))


def _step(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Return a tensor that can be repeated over time: it has no time-steps yet, and has not lost them."""
    if a.form is not LeadingAxes.STEP or a.complement or a.read or trace.repeated:
        raise trace.refusal(f"repeats {a.form.value}, which has had its time-steps")
    return a


def _expand(trace: Trace, a: TracedTensor, *sizes: Any) -> TracedTensor:
    """Repeat a static tensor over time, with an axis more."""
    wanted = _one_by_one(sizes)
    if wanted == tuple(a.shape) and not a.complement:
        return _same(trace, a)
    return Unsqueezed(_step(trace, a)).expand(*wanted)


def _mean(trace: Trace, a: TracedTensor, dim: Any = None, keepdim: bool = False, **_: Any) -> TracedTensor:
    axes = {axis % a.ndim for axis in ((dim,) if isinstance(dim, int) else dim or range(a.ndim))}
    places = {a.ndim - 2, a.ndim - 1}
    own = len(trace.draft.shape(a.place))
    if own == 3 and axes >= places:  # noqa: PLR2004 -- C, H, W
        pooled = average_whole(trace, a)
        a, axes = (pooled if keepdim else trace.add(Flatten(), pooled)), axes - places
    if axes == {0} and a.form is LeadingAxes.SEQUENCE and not keepdim:
        return _read(trace, a, "mean")
    if axes:
        raise trace.refusal("takes a mean over other axes than height and width, or time-steps")
    return a


def _sum(trace: Trace, a: TracedTensor, dim: Any = None, keepdim: bool = False, **_: Any) -> TracedTensor:
    if dim in (0, (0,), [0]) and a.form is LeadingAxes.SEQUENCE and not keepdim:
        return _read(trace, a, "sum")
    raise trace.refusal("takes a sum over other axes than time-steps")


def _item(trace: Trace, a: TracedTensor, index: Any) -> TracedTensor:
    if index == -1 and a.form is LeadingAxes.SEQUENCE:
        return _read(trace, a, "last")
    if isinstance(index, int):
        raise trace.looping()
    raise trace.refusal("takes a part of a tensor, other than the last time-step")


def _unbind(trace: Trace, *_: Any) -> TracedTensor:
    raise trace.looping()


def _read(trace: Trace, a: TracedTensor, how: str) -> TracedTensor:
    if trace.readout is not None or a.complement:
        raise trace.refusal("reads out the time-steps twice")
    trace.readout = how
    made = trace.tensor(a.checked().place, LeadingAxes.STEP)
    made.read = True
    return made


def relu(trace: Trace, a: TracedTensor, inplace: bool = False) -> TracedTensor:
    """Add a rectifier, perhaps in place."""
    made = trace.add(ReLU(), a)
    return trace.overwritten(a, made) if inplace else made


def dropout(
    trace: Trace,
    a: TracedTensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> TracedTensor:
    """Add dropout."""
    return trace.add(make_op(Dropout, trace.origin, p=float(p)), a)


def _same(trace: Trace, a: TracedTensor, *args: Any, **kwargs: Any) -> TracedTensor:
    return trace.tensor(a.checked().place, a.form, like=a, complement=a.complement)


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
    """Add max pooling of maps or rows."""
    if pair(dilation) != (1, 1) or return_indices:
        raise trace.refusal("dilates its window, or gives indices too")
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
    """Add average pooling of maps or rows."""
    if divisor_override is not None or (not count_include_pad and pair(padding) != (0, 0)):
        raise trace.refusal("divides by another number than that of the window's elements")
    return _slide(trace, a, AvgPool, (kernel_size, stride or kernel_size, padding), ceil_mode=ceil_mode)


def _slide(
    trace: Trace, a: TracedTensor, kind: type[MaxPool | AvgPool], window: tuple[Any, Any, Any], *, ceil_mode: bool
) -> TracedTensor:
    sizes = dict(zip(("kernel", "stride", "padding"), map(pair, window), strict=True))
    shape = trace.draft.shape(require_map(trace, a).place)
    if ceil_mode and any((length + 2 * p - k) % s for length, k, s, p in zip(shape[1:], *sizes.values(), strict=False)):
        raise trace.refusal(f"rounds up the size of {'x'.join(map(str, shape))}; ours round down")
    return trace.add(make_op(kind, trace.origin, **sizes), a)


def require_map(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Return a map, ``[N, C, H, W]`` or ``[N, C, L]``."""
    if len(trace.draft.shape(a.place)) == 1:
        raise trace.refusal("pools what is no map")
    return a


def average_whole(trace: Trace, a: TracedTensor) -> TracedTensor:
    """Add the mean of each channel, as a map of one place."""
    _, *lengths = trace.draft.shape(a.place)
    return trace.add(AvgPool(kernel=pair(lengths)), a)


def adaptive_avg_pool(trace: Trace, a: TracedTensor, output_size: Any) -> TracedTensor:
    """Add ``AdaptiveAvgPool2d`` with windows of one size."""
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


def linear_function(trace: Trace, a: TracedTensor, weight: Tensor, bias: Tensor | None = None) -> TracedTensor:
    """Add the function that ``Linear`` calls, with parameters of the module at hand."""
    if not all(isinstance(each, nn.Parameter) for each in (weight, bias) if each is not None):
        raise trace.refusal("multiplies by a matrix that is computed")
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("multiplies the last axis of a map")
    trace.once(weight)
    require_width(trace, a, weight.shape[1])
    op = make_op(Linear, trace.origin, features=len(weight), bias=bias is not None)
    tensors = {"weight": weight.detach().clone(), "bias": None if bias is None else bias.detach().clone()}
    return trace.add(op, a, **tensors)


def require_width(trace: Trace, a: TracedTensor, wanted: int) -> None:
    """Refuse a layer that is made for another number of channels or features than its input has."""
    found = trace.draft.shape(a.place)[0]
    if found != wanted:
        raise trace.refusal(f"is made for {wanted} channels or features, but reads {found}")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "__add__": _add,
    "__radd__": _add,
    "add_": _add_in_place,
    "__iadd__": _add_in_place,
    "sub": _subtract,
    "subtract": _subtract,
    "__sub__": _subtract,
    "rsub": _complement,
    "__rsub__": _complement,
    "mul": _multiply,
    "multiply": _multiply,
    "__mul__": _multiply,
    "__rmul__": _multiply,
    "mul_": _multiply_in_place,
    "__imul__": _multiply_in_place,
    "div": _divide,
    "true_divide": _divide,
    "__truediv__": _divide,
    "flatten": flatten,
    "reshape": _reshape,
    "view": _reshape,
    "unflatten": _unflatten,
    "unsqueeze": _unsqueeze,
    "mean": _mean,
    "sum": _sum,
    "__getitem__": _item,
    "unbind": _unbind,
    "relu": relu,
    "relu_": partial(relu, inplace=True),
    "dropout": dropout,
    "max_pool2d": max_pool,
    "boolean_dispatch": max_pool,
    "avg_pool2d": avg_pool,
    "adaptive_avg_pool2d": adaptive_avg_pool,
    "contiguous": _same,
    "clone": _same,
    "expand": _expand,
    "linear": linear_function,
}
"""By their names, as functions and as methods."""

VOCABULARY = TorchVocabulary(_HARMLESS, _FUNCTIONS)
