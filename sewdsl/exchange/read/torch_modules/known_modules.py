"""Modules translated by class, without tracing: layers of PyTorch, and layers and neurons of SpikingJelly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import exp
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.exchange.read.draft import ScaleOp, make_op
from sewdsl.exchange.read.torch_modules import functions
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Leaf, Trace, TracedTensor
from sewdsl.exchange.spikingjelly_names import NEURONS, SURROGATES
from sewdsl.ir.op import Activation, Neuron, Surrogate
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm, GroupNorm
from sewdsl.ops.layers.pool import AvgPool
from sewdsl.ops.layers.shapes import Pad, Upsample
from sewdsl.ops.neurons.activations import GELU, Logistic, PReLU, SiLU, Tanh
from sewdsl.ops.neurons.integrate_and_fire import IF, LIF, PLIF

NODES = tuple(dict.fromkeys(NEURONS.values()))
"""SpikingJelly neuron classes that can be imported."""

LIBRARIES = {
    "spikingjelly.": f"is not supported; supported SpikingJelly neurons are {', '.join(NODES[:-1])} and {NODES[-1]}",
    "snntorch.": "is not supported; export snnTorch models with export_to_nir and import the NIR file",
}
"""Messages about unsupported neurons, by the prefix of their module name."""


def unsupported_neuron_message(module: Any) -> str:
    """Return the message about an unsupported neuron of another library, or an empty text for other modules."""
    for cls in type(module).__mro__:
        for library, message in LIBRARIES.items():
            if cls.__module__.startswith(library) and ".neuron" in cls.__module__.replace("._", "."):
                return message
    return ""


def _neuron(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Add ``IFNode``, ``LIFNode`` or ``ParametricLIFNode``."""
    _require_step_mode(trace, module, a, has_state=True)
    common = {
        "v_threshold": float(module.v_threshold),
        "v_reset": None if module.v_reset is None else float(module.v_reset),
        "detach_reset": bool(module.detach_reset),
        "surrogate": _surrogate(trace, module.surrogate_function),
    }
    learns, decays = hasattr(module, "w"), getattr(module, "decay_input", True)
    if learns and not decays:
        raise trace.refusal("has a learnable tau with decay_input=False, which sewdsl does not support")
    if learns:
        tau = float(f"{1 + exp(-float(module.w.detach())):.6g}")  # w is float32: further digits are rounding errors.
        op: Neuron = make_op(PLIF, trace.origin, tau=tau, **common)
        return trace.add(op, a, w=module.w.detach().clone().reshape(()))
    if not hasattr(module, "tau"):
        return trace.add(make_op(IF, trace.origin, **common), a)
    # LIF divides its input by tau, but a neuron with decay_input=False does not: multiply the input by tau.
    if not decays:
        a = trace.add(ScaleOp(), a, factor=torch.tensor([module.tau], dtype=torch.float64))
    return trace.add(make_op(LIF, trace.origin, tau=float(module.tau), **common), a)


def _surrogate(trace: Trace, function: Any) -> Surrogate:
    name = type(function).__name__
    if not getattr(function, "spiking", True):
        raise trace.refusal(f"outputs the primitive function of {name} instead of spikes (spiking=False)")
    equivalent = next((equivalent for equivalent in SURROGATES if equivalent.name == name), None)
    arguments = equivalent and equivalent.arguments(function)
    if equivalent is None or arguments is None:
        raise trace.refusal(f"has the surrogate {name}, which has no equivalent in sewdsl")
    return make_op(equivalent.kind, trace.origin, **arguments)


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""Parameters and buffers of a batch norm."""


def _copy_parameters(module: nn.Module, names: tuple[str, ...] = ("weight", "bias")) -> dict[str, Tensor]:
    """Return copies of the named parameters and buffers, if set."""
    tensors = {name: getattr(module, name) for name in names}
    return {name: value.detach().clone() for name, value in tensors.items() if value is not None}


def _require_batch_first(trace: Trace, _: nn.Module, a: TracedTensor) -> TracedTensor:
    """Return the input of a PyTorch layer, or fail if its first axis is not that of samples."""
    if a.form is LeadingAxes.SEQUENCE:
        raise trace.refusal(f"requires [N, *], but its input is {a.form.value}")
    return a


def _require_step_mode(trace: Trace, module: Any, a: TracedTensor, *, has_state: bool = False) -> TracedTensor:
    """Return the input of a SpikingJelly module, or fail if it does not match the step mode."""
    if getattr(module, "step_mode", "m") == "m":
        mode, expected = "multi-step", {LeadingAxes.SEQUENCE}
    else:
        # To a layer without a state, all time-steps can be samples of one.
        mode, expected = "single-step", {LeadingAxes.STEP} if has_state else {LeadingAxes.STEP, LeadingAxes.FOLDED}
    if a.form not in expected:
        raise trace.refusal(f"is in {mode} mode, but its input is {a.form.value}")
    return a


def _conv(trace: Trace, module: nn.Conv2d | nn.Conv1d, a: TracedTensor) -> TracedTensor:
    _require_axes(trace, a, len(module.kernel_size))
    if module.padding_mode != "zeros":
        raise trace.refusal(f"has padding_mode '{module.padding_mode}', expected 'zeros'")
    # PyTorch pads an even kernel asymmetrically for 'same'.
    if isinstance(module.padding, str):
        reaches = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        if module.padding == "same" and any(reach % 2 for reach in reaches):
            raise trace.refusal("has padding 'same' that is larger on one side than on the other")
        padding = functions.pair([reach // 2 if module.padding == "same" else 0 for reach in reaches])
    else:
        padding = functions.pair(module.padding)
    return _convolution(trace, module, a, Conv, padding=padding, dilation=functions.pair(module.dilation))


def _transposed_conv(trace: Trace, module: nn.ConvTranspose2d | nn.ConvTranspose1d, a: TracedTensor) -> TracedTensor:
    _require_axes(trace, a, len(module.kernel_size))
    if functions.pair(module.dilation) != (1, 1):
        raise trace.refusal("has a dilation, which transposed convolutions in sewdsl do not support")
    pads = {"padding": functions.pair(module.padding), "output_padding": functions.pair(module.output_padding)}
    return _convolution(trace, module, a, TransposedConv, **pads)


def _convolution(
    trace: Trace, module: Any, a: TracedTensor, kind: type[Conv | TransposedConv], **own: tuple[int, int]
) -> TracedTensor:
    op = make_op(
        kind,
        trace.origin,
        channels=module.out_channels,
        kernel=functions.pair(module.kernel_size),
        stride=functions.pair(module.stride),
        groups=module.groups,
        bias=module.bias is not None,
        **own,
    )
    functions.require_width(trace, a, module.in_channels)
    return trace.add(op, a, **_copy_parameters(module))


def _upsample(trace: Trace, module: nn.Upsample, a: TracedTensor) -> TracedTensor:
    # nn.Upsample stores one factor, or one per axis.
    factors = module.scale_factor if isinstance(module.scale_factor, tuple) else (module.scale_factor,) * 2
    if module.size is not None or factors[0] != factors[-1] or factors[0] is None or factors[0] % 1:
        raise trace.refusal("upsamples to a size or by unequal or fractional factors; expected one integer factor")
    rows = len(trace.draft.shape(functions.require_map(trace, a).draft_index)) == len("CL")
    # PyTorch calls linear interpolation "linear" for rows, and "bilinear" for maps.
    if module.mode not in {"nearest", "linear" if rows else "bilinear"} or module.align_corners:
        raise trace.refusal(
            f"upsamples in mode '{module.mode}'{' with align_corners' if module.align_corners else ''}; "
            f"expected 'nearest' or '{'linear' if rows else 'bilinear'}' without align_corners"
        )
    mode = "nearest" if module.mode == "nearest" else "bilinear"
    return trace.add(make_op(Upsample, trace.origin, factor=int(factors[0]), mode=mode), a)


def _pad(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Add zero or reflection padding."""
    sides = tuple(module.padding)  # left, right, top, bottom
    _require_axes(trace, a, len(sides) // 2)
    if sides[::2] != sides[1::2] or min(sides) < 0:
        raise trace.refusal(f"has padding {sides}, expected equal padding on opposite sides, at least 0")
    mode = "reflect" if type(module).__name__.startswith("Reflection") else "zeros"
    return trace.add(
        make_op(Pad, trace.origin, p=functions.pair(sides[::-2]), mode=mode), functions.require_map(trace, a)
    )


def _group_norm(trace: Trace, module: nn.GroupNorm, a: TracedTensor) -> TracedTensor:
    functions.require_width(trace, a, module.num_channels)
    tensors = _copy_parameters(module)
    # sewdsl has affine group norm only. A weight of 1 and a bias of 0 have no effect.
    if not module.affine:
        tensors = {"weight": torch.ones(module.num_channels), "bias": torch.zeros(module.num_channels)}
    return trace.add(make_op(GroupNorm, trace.origin, groups=module.num_groups, eps=module.eps), a, **tensors)


def prelu(trace: Trace, module: nn.PReLU, a: TracedTensor) -> TracedTensor:
    """Add ``PReLU`` with one slope, or one for each channel."""
    shared = module.num_parameters == 1
    if not shared:
        functions.require_width(trace, _require_batch_first(trace, module, a), module.num_parameters)
    return trace.add(make_op(PReLU, trace.origin, shared=shared), a, **_copy_parameters(module, ("weight",)))


def _linear(trace: Trace, module: nn.Linear, a: TracedTensor) -> TracedTensor:
    if len(trace.draft.shape(a.draft_index)) > 1:
        raise trace.refusal("applies a linear layer to a feature map; flatten it first")
    functions.require_width(trace, a, module.in_features)
    op = make_op(Linear, trace.origin, features=module.out_features, bias=module.bias is not None)
    return trace.add(op, a, **_copy_parameters(module))


def _batch_norm(trace: Trace, module: nn.BatchNorm2d, a: TracedTensor) -> TracedTensor:
    if not module.track_running_stats or module.running_mean is None:
        raise trace.refusal("has no running statistics")
    if module.momentum is None:
        raise trace.refusal("has momentum=None, a cumulative average, which sewdsl does not support")
    functions.require_width(trace, a, module.num_features)
    tensors = _copy_parameters(module, NORM)
    # sewdsl has affine batch norm only. A weight of 1 and a bias of 0 have no effect.
    if not module.affine:
        tensors |= {"weight": torch.ones_like(module.running_mean), "bias": torch.zeros_like(module.running_mean)}
    return trace.add(make_op(BatchNorm, trace.origin, eps=module.eps, momentum=float(module.momentum)), a, **tensors)


def voting(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Add SpikingJelly's ``VotingLayer`` as average pooling."""
    if len(trace.draft.shape(a.draft_index)) > 1:
        raise trace.refusal("votes over a feature map; flatten it first")
    return trace.add(make_op(AvgPool, trace.origin, kernel=(module.voting_size,) * 2), a)


def _require_axes(trace: Trace, a: TracedTensor, axes: int) -> None:
    """Fail if the number of spatial axes of a feature map differs from that of the kernel."""
    shape = trace.draft.shape(a.draft_index)
    if 1 < len(shape) != 1 + axes:
        size = ", ".join(map(str, shape))
        raise trace.refusal(f"has a {axes}-D kernel, but its input is [{size}]")


SPIKINGJELLY = "spikingjelly."
"""Prefix of SpikingJelly's module names. Classes are recognised by name, without an import."""
HARMLESS_METHODS = {"__init__", "extra_repr", "reset_parameters", "_check_input_dim"}
"""Methods that a subclass may override without changing the result."""


def module_reader(module: nn.Module) -> Leaf | None:
    """Return the translation of a module, or None if its ``forward`` must be traced."""
    for cls in type(module).__mro__:
        if cls in TORCH:
            return TORCH[cls]
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in LAYERS:
            leaf = LAYERS[cls.__name__]
            return leaf if cls.__name__ == "Linear" else partial(_checked, _require_step_mode, leaf)
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in NODES:
            return _neuron
        # A subclass with methods of its own may compute something else.
        if any(callable(value) for name, value in vars(cls).items() if name not in HARMLESS_METHODS):
            return None
    return None


def _checked(
    require: Callable[[Trace, Any, TracedTensor], TracedTensor], leaf: Leaf, trace: Trace, module: Any, a: TracedTensor
) -> TracedTensor:
    """Translate a module after a check of its input."""
    return leaf(trace, module, require(trace, module, a))


def _flatten_stepwise(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Add SpikingJelly's ``Flatten``, whose axes do not count that of time-steps in multi-step mode."""
    if a.form is not LeadingAxes.SEQUENCE:
        return functions.flatten(trace, a, module.start_dim, module.end_dim)
    start, end = (axis + 1 if axis >= 0 else axis for axis in (module.start_dim, module.end_dim))
    return functions.flatten(trace, a, start, end)


def _activation(kind: type[Activation], trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """Add an activation without arguments."""
    if getattr(module, "inplace", False):
        raise trace.refusal("works in place, which is supported for ReLU only")
    if getattr(module, "approximate", "none") != "none":
        raise trace.refusal(f"uses approximate='{module.approximate}', expected 'none'")
    return trace.add(make_op(kind, trace.origin), a)


def _calling(function: Callable[..., TracedTensor], *attributes: str) -> Leaf:
    """Return a translation that calls a function with the input and some attributes of the module."""
    return lambda trace, module, a: function(trace, a, *(getattr(module, name, None) for name in attributes))


_SLIDING = ("kernel_size", "stride", "padding")
_max_pool = _calling(functions.max_pool, *_SLIDING, "dilation", "ceil_mode", "return_indices")
_avg_pool = _calling(functions.avg_pool, *_SLIDING, "ceil_mode", "count_include_pad", "divisor_override")
_adaptive = _calling(functions.adaptive_avg_pool, "output_size")
_dropout = _calling(functions.dropout, "p")
OF_MAPS: dict[str, Leaf] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "ConvTranspose1d": _transposed_conv,
    "ConvTranspose2d": _transposed_conv,
    "Upsample": _upsample,
    **{f"{name}Pad{axes}d": _pad for name in ("Zero", "Reflection") for axes in (1, 2)},
    "GroupNorm": _group_norm,
    "MaxPool1d": _max_pool,
    "MaxPool2d": _max_pool,
    "AvgPool1d": _avg_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool1d": _adaptive,
    "AdaptiveAvgPool2d": _adaptive,
}
"""PyTorch layers whose second axis is that of channels, by name. SpikingJelly uses the same names."""
TORCH: dict[type, Leaf] = {
    **{getattr(nn, name): partial(_checked, _require_batch_first, leaf) for name, leaf in OF_MAPS.items()},
    _BatchNorm: partial(_checked, _require_batch_first, _batch_norm),
    nn.Linear: _linear,
    nn.Dropout: _dropout,
    nn.ReLU: _calling(functions.relu, "inplace"),
    nn.PReLU: prelu,
    nn.GELU: partial(_activation, GELU),
    nn.SiLU: partial(_activation, SiLU),
    nn.Sigmoid: partial(_activation, Logistic),
    nn.Tanh: partial(_activation, Tanh),
    nn.Flatten: _calling(functions.flatten, "start_dim", "end_dim"),
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
"""SpikingJelly layers by class name."""
