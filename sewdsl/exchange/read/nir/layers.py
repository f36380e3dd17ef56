"""NIR primitives without state, as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from sewdsl.exchange.read.draft import Draft, make_op
from sewdsl.exchange.read.nir.open_hdf5 import read_value
from sewdsl.exchange.read.nir.primitives import Primitive
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool
from sewdsl.ops.layers.shapes import Flatten

if TYPE_CHECKING:
    from typing import TypeVar

    from torch import Tensor

    from sewdsl.ops.layers.pool import Pool

    Windowed = TypeVar("Windowed", bound=Pool)


def window(kind: type[Windowed], node: Primitive) -> Windowed:
    """Create a pooling with the window of a node."""
    sizes = {key: node.pair(name) for key, name in WINDOW.items()}
    return make_op(kind, node.origin, **sizes)


WINDOW = {"kernel": "kernel_size", "stride": "stride", "padding": "padding"}


def tensor(node: Primitive, key: str, ndim: int) -> Tensor:
    """Return an argument as a tensor of its own dtype, or fail unless it has ``ndim`` axes."""
    array = node.array(key)
    if array.ndim != ndim:
        raise node.origin.refusal(f"has a {key} with {array.ndim} axes, expected {ndim}")
    return torch.from_numpy(array.copy())


def _conv(draft: Draft, node: Primitive, source: int) -> int:
    axes = 1 if node.kind == "Conv1d" else 2
    weight, bias = tensor(node, "weight", 2 + axes), tensor(node, "bias", 1)
    kernel = weight.shape[2], weight.shape[-1]
    stride, dilation = node.pair("stride"), node.pair("dilation")
    groups, _ = node.pair("groups")
    # NIR requires a bias: zeros represent a convolution without one.
    op = make_op(
        Conv,
        node.origin,
        channels=len(weight),
        kernel=kernel,
        stride=stride,
        padding=_padding(node, kernel, stride, dilation),
        dilation=dilation,
        groups=groups,
        bias=bool(bias.any()),
    )
    shape = draft.shape(source)
    if 1 < len(shape) != 1 + axes:
        raise node.origin.refusal(f"has a {axes}-D kernel, but its input is {_size(shape)}")
    if node.fields.get("input_shape") is not None and len(shape) > 1:
        input_shape = node.pair("input_shape")[:axes]
        if input_shape != shape[1:]:
            input_kind = "rows" if axes == 1 else "maps"
            raise node.origin.refusal(
                f"expects {input_kind} of {'x'.join(map(str, input_shape))}, but its input is {_size(shape)}"
            )
    if shape[0] != weight.shape[1] * groups or len(bias) != len(weight):
        raise node.origin.refusal(
            f"has weights {list(weight.shape)} and {len(bias)} biases, but its input is {_size(shape)}"
        )
    return draft.add(op, (source,), node.origin, weight=weight, bias=bias if op.bias else None)


def _padding(
    node: Primitive, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    """Return the padding along both axes, given as numbers, ``valid`` or ``same``."""
    padding = read_value(node.fields.get("padding"))
    if not isinstance(padding, str):
        return node.pair("padding")
    if padding == "valid":
        return (0, 0)
    # An odd total would pad one side more than the other.
    reach = tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    if padding != "same" or stride != (1, 1) or any(each % 2 for each in reach):
        raise node.origin.refusal(
            f"has padding '{padding}'; expected 'valid', or 'same' with stride 1 and equal padding on both sides"
        )
    return reach[0] // 2, reach[1] // 2


def _linear(draft: Draft, node: Primitive, source: int) -> int:
    weight = tensor(node, "weight", 2)
    bias = tensor(node, "bias", 1) if node.kind == "Affine" else None
    shape = draft.shape(source)
    if shape != (weight.shape[1],) or (bias is not None and len(bias) != len(weight)):
        hint = "; add a Flatten before it" if len(shape) > 1 else ""
        raise node.origin.refusal(f"has weights {list(weight.shape)}, but its input is {_size(shape)}{hint}")
    group_size = shape[0] // len(weight)
    # sewdsl writes average pooling of features as Linear. "AP" alone would match global pooling too.
    if bias is None and node.written_for.startswith("APk"):
        averages = torch.kron(torch.eye(len(weight)), torch.full((1, group_size), 1 / group_size, dtype=torch.float64))
        if torch.equal(weight, averages.to(weight.dtype)):
            return draft.add(make_op(AvgPool, node.origin, kernel=(group_size, group_size)), (source,), node.origin)
    op = make_op(Linear, node.origin, features=len(weight), bias=bias is not None)
    return draft.add(op, (source,), node.origin, weight=weight, bias=bias)


def _total(draft: Draft, node: Primitive, source: int) -> int:
    """Add ``SumPool2d`` as a depthwise convolution with weights of 1."""
    kernel, stride, padding = (node.pair(key) for key in WINDOW.values())
    channels = draft.shape(source)[0]
    shape = {"channels": channels, "kernel": kernel, "stride": stride, "padding": padding, "groups": channels}
    op = make_op(Conv, node.origin, **shape, bias=False)
    # The weights take memory in proportion to the window: reject windows far larger than the input.
    if kernel[0] * kernel[1] > draft.items[source].output.elements * 4:
        raise node.origin.refusal(
            f"has a window of {_size(kernel)}, which is too large for its input {_size(draft.shape(source))}"
        )
    return draft.add(op, (source,), node.origin, weight=torch.ones(channels, 1, *kernel))


def _flatten(draft: Draft, node: Primitive, source: int) -> int:
    shape = draft.shape(source)
    (first, _), (last, _) = (node.pair(key) for key in ("start_dim", "end_dim"))
    first, last = (axis + len(shape) if axis < 0 else axis for axis in (first, last))
    # Flattening a single axis has no effect.
    if len(shape) == 1 or first == last:
        return source
    if (first, last) != (0, len(shape) - 1):
        raise node.origin.refusal(f"flattens axes {first} to {last} of {_size(shape)}; expected all axes")
    return draft.add(Flatten(), (source,), node.origin)


def _size(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


LAYERS: dict[str, Callable[[Draft, Primitive, int], int]] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "Affine": _linear,
    "Linear": _linear,
    "AvgPool2d": lambda draft, node, source: draft.add(window(AvgPool, node), (source,), node.origin),
    "SumPool2d": _total,
    "Flatten": _flatten,
}
"""Functions by primitive: each adds items that read ``source``, and returns the output item."""
