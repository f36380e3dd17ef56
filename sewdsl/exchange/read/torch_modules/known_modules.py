"""Modules translated by their class, without tracing: layers of torch, layers and neurons of SpikingJelly."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.exchange.read.draft import ScaleOp, make_op
from sewdsl.exchange.read.torch_modules.functions import (
    adaptive_avg_pool,
    avg_pool,
    dropout,
    flatten,
    max_pool,
    pair,
    relu,
    require_map,
    require_width,
)
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Leaf, Trace, TracedTensor
from sewdsl.exchange.spikingjelly_names import NEURONS, SURROGATES
from sewdsl.ir.op import Activation, Neuron, Surrogate
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm, GroupNorm
from sewdsl.ops.layers.pool import AvgPool
from sewdsl.ops.layers.shapes import Upsample
from sewdsl.ops.neurons.activations import GELU, Logistic, PReLU, SiLU, Tanh
from sewdsl.ops.neurons.integrate_and_fire import IF, LIF, PLIF

NODES = tuple(dict.fromkeys(NEURONS.values()))
"""Classes of SpikingJelly's neurons that are read."""

LIBRARIES = {
    "spikingjelly.": f"is not covered: of SpikingJelly's neurons, {', '.join(NODES[:-1])} and {NODES[-1]} are",
    "snntorch.": "is not covered: of snnTorch, what its export_to_nir writes can be imported",
}
"""What is said of a neuron of another library that is none of them, by what the names of its modules begin with."""


def unsupported_neuron_message(module: Any) -> str:
    """Return the message about a module that is a neuron of another library; empty for other modules."""
    for cls in type(module).__mro__:
        for library, said in LIBRARIES.items():
            if cls.__module__.startswith(library) and ".neuron" in cls.__module__.replace("._", "."):
                return said
    return ""


def _neuron(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """``IFNode``, ``LIFNode`` and ``ParametricLIFNode``.

    One that does not divide its input by tau reads tau times as much.
    """
    if a.form is not (LeadingAxes.SEQUENCE if module.step_mode == "m" else LeadingAxes.STEP):
        raise trace.refusal(f"is in step mode '{module.step_mode}', but reads {a.form.value}")
    common = {
        "v_threshold": float(module.v_threshold),
        "v_reset": None if module.v_reset is None else float(module.v_reset),
        "detach_reset": bool(module.detach_reset),
        "surrogate": _surrogate(trace, module.surrogate_function),
    }
    learns, decays = hasattr(module, "w"), getattr(module, "decay_input", True)
    if learns and not decays:
        raise trace.refusal("learns tau, and does not divide its input by it (decay_input=False)")
    if learns:
        tau = float(f"{1 + exp(-float(module.w.detach())):.6g}")  # w is in float32: more digits would say nothing
        op: Neuron = make_op(PLIF, trace.origin, tau=tau, **common)
        return trace.add(op, a, w=module.w.detach().clone().reshape(()))
    if not hasattr(module, "tau"):
        return trace.add(make_op(IF, trace.origin, **common), a)
    if not decays:
        a = trace.add(ScaleOp(), a, factor=torch.tensor([module.tau], dtype=torch.float64))
    return trace.add(make_op(LIF, trace.origin, tau=float(module.tau), **common), a)


def _surrogate(trace: Trace, function: Any) -> Surrogate:
    name = type(function).__name__
    if not getattr(function, "spiking", True):
        raise trace.refusal(f"gives no spikes, but what {name} is the derivative of (spiking=False)")
    known = next((known for known in SURROGATES if known.name == name), None)
    arguments = known and known.arguments(function)
    if known is None or arguments is None:
        raise trace.refusal(f"has the surrogate {name}, which the language does not have")
    return make_op(known.kind, trace.origin, **arguments)


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""What a batch norm has learned."""


def _copy_parameters(module: nn.Module, names: tuple[str, ...] = ("weight", "bias")) -> dict[str, Tensor]:
    """Return weights and buffers of a layer as it computes with them, by torch's names."""
    found = {name: getattr(module, name) for name in names}
    return {name: value.detach().clone() for name, value in found.items() if value is not None}


def _require_batch_first(trace: Trace, _: nn.Module, a: TracedTensor) -> TracedTensor:
    """Return the input of a layer of torch that takes the first axis for samples and the second for channels."""
    if a.form is LeadingAxes.SEQUENCE:
        raise trace.refusal(f"would take time-steps for samples: it reads {a.form.value}")
    return a


def _require_step_mode(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Return the input of a layer of SpikingJelly, if it has the form of the step mode."""
    wanted = LeadingAxes.SEQUENCE if getattr(module, "step_mode", "m") == "m" else LeadingAxes.STEP
    if a.form is not wanted and not (wanted is LeadingAxes.STEP and a.form is LeadingAxes.FOLDED):
        mode = "multi-step" if wanted is LeadingAxes.SEQUENCE else "single-step"
        raise trace.refusal(f"is in {mode} mode, but reads {a.form.value}")
    return a


def _conv(trace: Trace, module: nn.Conv2d | nn.Conv1d, a: TracedTensor) -> TracedTensor:
    """``Conv2d`` and ``Conv1d``."""
    _require_axes(trace, a, len(module.kernel_size))
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


def _transposed_conv(trace: Trace, module: nn.ConvTranspose2d | nn.ConvTranspose1d, a: TracedTensor) -> TracedTensor:
    """``ConvTranspose2d`` and ``ConvTranspose1d``."""
    _require_axes(trace, a, len(module.kernel_size))
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
    require_width(trace, a, module.in_channels)
    return trace.add(op, a, **_copy_parameters(module))


def _upsample(trace: Trace, module: nn.Upsample, a: TracedTensor) -> TracedTensor:
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


def _group_norm(trace: Trace, module: nn.GroupNorm, a: TracedTensor) -> TracedTensor:
    """``GroupNorm``."""
    require_width(trace, a, module.num_channels)
    tensors = _copy_parameters(module)
    if not module.affine:
        tensors = {"weight": torch.ones(module.num_channels), "bias": torch.zeros(module.num_channels)}
    return trace.add(make_op(GroupNorm, trace.origin, groups=module.num_groups, eps=module.eps), a, **tensors)


def prelu(trace: Trace, module: nn.PReLU, a: TracedTensor) -> TracedTensor:
    """``PReLU``, with one slope; one for each channel needs channels on its second axis."""
    shared = module.num_parameters == 1
    if not shared:
        require_width(trace, _require_batch_first(trace, module, a), module.num_parameters)
    return trace.add(make_op(PReLU, trace.origin, shared=shared), a, **_copy_parameters(module, ("weight",)))


def _linear(trace: Trace, module: nn.Linear, a: TracedTensor) -> TracedTensor:
    """``Linear``, of vectors."""
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("multiplies the last axis of a map")
    require_width(trace, a, module.in_features)
    op = make_op(Linear, trace.origin, features=module.out_features, bias=module.bias is not None)
    return trace.add(op, a, **_copy_parameters(module))


def _batch_norm(trace: Trace, module: nn.BatchNorm2d, a: TracedTensor) -> TracedTensor:
    """``BatchNorm1d`` of vectors and rows, ``BatchNorm2d`` of maps."""
    if not module.track_running_stats or module.running_mean is None:
        raise trace.refusal("has no running statistics")
    if module.momentum is None:
        raise trace.refusal("has no momentum: it weighs all batches equally")
    require_width(trace, a, module.num_features)
    tensors = _copy_parameters(module, NORM)
    if not module.affine:
        tensors |= {"weight": torch.ones_like(module.running_mean), "bias": torch.zeros_like(module.running_mean)}
    return trace.add(make_op(BatchNorm, trace.origin, eps=module.eps, momentum=float(module.momentum)), a, **tensors)


def voting(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """SpikingJelly's ``VotingLayer``."""
    if len(trace.draft.shape(a.place)) > 1:
        raise trace.refusal("votes over a map")
    return trace.add(make_op(AvgPool, trace.origin, kernel=(module.voting_size,) * 2), a)


def _require_axes(trace: Trace, a: TracedTensor, axes: int) -> None:
    """Refuse a layer that slides over another number of axes than its input has, unless that is a vector."""
    shape = trace.draft.shape(a.place)
    if 1 < len(shape) != 1 + axes:
        size = ", ".join(map(str, shape))
        raise trace.refusal(f"slides over {axes} {'axis' if axes == 1 else 'axes'}, but reads [{size}]")


SPIKINGJELLY = "spikingjelly."
"""What its modules' names begin with; it need not be installed."""
HARMLESS_METHODS = {"__init__", "extra_repr", "reset_parameters", "_check_input_dim"}
"""Methods that a class may have of its own and still compute what its parent does."""


def module_reader(module: nn.Module) -> Leaf | None:
    """Return the reader of a module; None if its class is unknown, and its ``forward`` is followed."""
    for cls in type(module).__mro__:
        if cls in TORCH:
            return TORCH[cls]
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in LAYERS:
            leaf = LAYERS[cls.__name__]
            return leaf if cls.__name__ == "Linear" else _checked(_require_step_mode, leaf)
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in NODES:
            return _neuron
        if any(callable(value) for name, value in vars(cls).items() if name not in HARMLESS_METHODS):
            return None
    return None


def _checked(require: Callable[[Trace, Any, TracedTensor], TracedTensor], leaf: Leaf) -> Leaf:
    """Return a layer that reads what a check lets through."""

    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        return leaf(trace, module, require(trace, module, a))

    return write


def _flatten_stepwise(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """SpikingJelly's: in multi-step mode, axes are counted without that of time-steps."""
    if a.form is not LeadingAxes.SEQUENCE:
        return flatten(trace, a, module.start_dim, module.end_dim)
    start, end = (axis + 1 if axis >= 0 else axis for axis in (module.start_dim, module.end_dim))
    return flatten(trace, a, start, end)


def _activation(kind: type[Activation]) -> Leaf:
    """Return the reader of an activation without arguments, neither in place nor approximated."""

    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        if getattr(module, "inplace", False):
            raise trace.refusal("works in place, which is read of ReLU only")
        if getattr(module, "approximate", "none") != "none":
            raise trace.refusal(f"approximates by {module.approximate}, and ours does not")
        return trace.add(make_op(kind, trace.origin), a)

    return write


def _calling(function: Callable[..., TracedTensor], *attributes: str) -> Leaf:
    """Return the reader of a module that calls a function with its input and some of its attributes."""

    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        return function(trace, a, *(getattr(module, name, None) for name in attributes))

    return write


_SLIDING = ("kernel_size", "stride", "padding")
_max_pool = _calling(max_pool, *_SLIDING, "dilation", "ceil_mode", "return_indices")
_avg_pool = _calling(avg_pool, *_SLIDING, "ceil_mode", "count_include_pad", "divisor_override")
_adaptive = _calling(adaptive_avg_pool, "output_size")
_dropout = _calling(dropout, "p")
OF_MAPS: dict[str, Leaf] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "ConvTranspose1d": _transposed_conv,
    "ConvTranspose2d": _transposed_conv,
    "Upsample": _upsample,
    "GroupNorm": _group_norm,
    "MaxPool1d": _max_pool,
    "MaxPool2d": _max_pool,
    "AvgPool1d": _avg_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool1d": _adaptive,
    "AdaptiveAvgPool2d": _adaptive,
}
"""Layers of torch that take the second axis for channels, by name; SpikingJelly calls its own alike."""
TORCH: dict[type, Leaf] = {
    **{getattr(nn, name): _checked(_require_batch_first, leaf) for name, leaf in OF_MAPS.items()},
    _BatchNorm: _checked(_require_batch_first, _batch_norm),
    nn.Linear: _linear,
    nn.Dropout: _dropout,
    nn.ReLU: _calling(relu, "inplace"),
    nn.PReLU: prelu,
    nn.GELU: _activation(GELU),
    nn.SiLU: _activation(SiLU),
    nn.Sigmoid: _activation(Logistic),
    nn.Tanh: _activation(Tanh),
    nn.Flatten: _calling(flatten, "start_dim", "end_dim"),
    nn.Identity: lambda _trace, _module, a: a,
}
LAYERS: dict[str, Leaf] = {
    **OF_MAPS,
    "_ThresholdDependentBatchNormBase": _batch_norm,
    "Linear": _linear,
    "Flatten": _flatten_stepwise,
    "Dropout": _dropout,
    "VotingLayer": voting,
}
"""Of SpikingJelly, by name."""
