"""Modules translated by their class, without tracing: layers of torch, layers and neurons of SpikingJelly."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.exchange.read.draft import ScaleOp, make_op
from sewdsl.exchange.read.torch_modules import layers
from sewdsl.exchange.read.torch_modules.functions import flatten
from sewdsl.exchange.read.torch_modules.trace import LeadingAxes, Leaf, Trace, TracedTensor
from sewdsl.ir.op import Activation, Neuron, Surrogate
from sewdsl.ops.neurons.activations import Logistic, ReLU, SiLU, Tanh
from sewdsl.ops.neurons.integrate_and_fire import IF, LIF, PLIF
from sewdsl.ops.surrogates import ATan, Constant, Rectangular, Sigmoid, Triangle

NEURONS = ("IFNode", "LIFNode", "ParametricLIFNode")

LIBRARIES = {
    "spikingjelly.": f"is not covered: of SpikingJelly's neurons, {', '.join(NEURONS[:-1])} and {NEURONS[-1]} are",
    "snntorch.": "is not covered: of snnTorch, what its export_to_nir writes can be imported",
}
"""What is said of a neuron of another library that is none of them, by what the names of its modules begin with."""


def unsupported_neuron_message(module: Any) -> str:
    """What is to be said of a module that is a neuron of another library; empty for one that is none."""
    for cls in type(module).__mro__:
        for library, said in LIBRARIES.items():
            if cls.__module__.startswith(library) and ".neuron" in cls.__module__.replace("._", "."):
                return said
    return ""


def neuron(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
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
    found = SURROGATES[name](function) if name in SURROGATES else None
    if found is None:
        raise trace.refusal(f"has the surrogate {name}, which the language does not have")
    kind, arguments = found
    return make_op(kind, trace.origin, **arguments)


Derivative = tuple[type[Surrogate], dict[str, float]]
"""One of ours, and its arguments."""
SURROGATES: dict[str, Callable[[Any], Derivative | None]] = {
    "ATan": lambda f: (ATan, {"alpha": float(f.alpha)}),
    "Sigmoid": lambda f: (Sigmoid, {"alpha": float(f.alpha)}),
    "PiecewiseQuadratic": lambda f: (Triangle, {"alpha": float(f.alpha)}),
    "Rect": lambda f: (Rectangular, {"width": 1 / float(f.alpha)}),
    "PiecewiseLeakyReLU": lambda f: None if f.c else (Rectangular, {"width": 2 * float(f.w)}),
    "LeakyKReLU": lambda f: (Constant, {"value": float(f.k)}) if f.k == f.leak else None,
    "DeterministicPass": lambda _: (Constant, {"value": 1.0}),
}
"""Of SpikingJelly, by name; None: with these arguments it is none of ours."""


SPIKINGJELLY = "spikingjelly."
"""What its modules' names begin with; it need not be installed."""
HARMLESS_METHODS = {"__init__", "extra_repr", "reset_parameters", "_check_input_dim"}
"""Methods that a class may have of its own and still compute what its parent does."""


def module_reader(module: nn.Module) -> Leaf | None:
    """What writes a module down; None: its class is not known, and its ``forward`` is followed."""
    for cls in type(module).__mro__:
        if cls in TORCH:
            return TORCH[cls]
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in LAYERS:
            leaf = LAYERS[cls.__name__]
            return leaf if cls.__name__ == "Linear" else _stepwise(leaf)
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in NEURONS:
            return neuron
        if any(callable(value) for name, value in vars(cls).items() if name not in HARMLESS_METHODS):
            return None
    return None


def _stepwise(leaf: Leaf) -> Leaf:
    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        return leaf(trace, module, layers.require_step_mode(trace, module, a))

    return write


def _of_samples(leaf: Leaf) -> Leaf:
    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        return leaf(trace, module, layers.require_batch_first(trace, a))

    return write


def _max_pool(trace: Trace, module: nn.MaxPool2d | nn.MaxPool1d, a: TracedTensor) -> TracedTensor:
    window = layers.PoolingWindow(
        module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode, module.return_indices
    )
    return layers.max_pool(trace, a, window)


def _avg_pool(trace: Trace, module: nn.AvgPool2d | nn.AvgPool1d, a: TracedTensor) -> TracedTensor:
    padded = layers.pair(module.padding) != (0, 0) and not module.count_include_pad
    unusual = padded or getattr(module, "divisor_override", None) is not None
    return layers.avg_pool(
        trace, a, layers.PoolingWindow(module.kernel_size, module.stride, module.padding, 1, module.ceil_mode, unusual)
    )


def _adaptive(trace: Trace, module: nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool1d, a: TracedTensor) -> TracedTensor:
    return layers.adaptive_avg_pool(trace, a, module.output_size)


def _relu(trace: Trace, module: nn.ReLU, a: TracedTensor) -> TracedTensor:
    made = trace.add(ReLU(), a)
    return trace.overwritten(a, made) if module.inplace else made


def _flatten(trace: Trace, module: nn.Flatten, a: TracedTensor) -> TracedTensor:
    return flatten(trace, a, module.start_dim, module.end_dim)


def _flatten_stepwise(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """SpikingJelly's: in multi-step mode, axes are counted without that of time-steps."""
    if a.form is not LeadingAxes.SEQUENCE:
        return _flatten(trace, module, a)
    start, end = (axis + 1 if axis >= 0 else axis for axis in (module.start_dim, module.end_dim))
    return flatten(trace, a, start, end)


def _activation(kind: type[Activation]) -> Leaf:
    """One without arguments, element by element, but not in place."""

    def write(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
        if getattr(module, "inplace", False):
            raise trace.refusal("works in place, which is read of ReLU only")
        return trace.add(make_op(kind, trace.origin), a)

    return write


TORCH: dict[type, Leaf] = {
    nn.Conv1d: _of_samples(layers.conv),
    nn.Conv2d: _of_samples(layers.conv),
    _BatchNorm: _of_samples(layers.batch_norm),
    nn.MaxPool1d: _of_samples(_max_pool),
    nn.MaxPool2d: _of_samples(_max_pool),
    nn.AvgPool1d: _of_samples(_avg_pool),
    nn.AvgPool2d: _of_samples(_avg_pool),
    nn.AdaptiveAvgPool1d: _of_samples(_adaptive),
    nn.AdaptiveAvgPool2d: _of_samples(_adaptive),
    nn.Linear: layers.linear,
    nn.Dropout: layers.dropout,
    nn.ConvTranspose1d: _of_samples(layers.transposed_conv),
    nn.ConvTranspose2d: _of_samples(layers.transposed_conv),
    nn.Upsample: _of_samples(layers.upsample),
    nn.GroupNorm: _of_samples(layers.group_norm),
    nn.ReLU: _relu,
    nn.PReLU: layers.prelu,
    nn.GELU: layers.gelu,
    nn.SiLU: _activation(SiLU),
    nn.Sigmoid: _activation(Logistic),
    nn.Tanh: _activation(Tanh),
    nn.Flatten: _flatten,
    nn.Identity: lambda _trace, _module, a: a,
}
LAYERS: dict[str, Callable[[Trace, Any, TracedTensor], TracedTensor]] = {
    "Conv1d": layers.conv,
    "Conv2d": layers.conv,
    "BatchNorm1d": layers.batch_norm,
    "BatchNorm2d": layers.batch_norm,
    "_ThresholdDependentBatchNormBase": layers.batch_norm,
    "ConvTranspose1d": layers.transposed_conv,
    "ConvTranspose2d": layers.transposed_conv,
    "Upsample": layers.upsample,
    "GroupNorm": layers.group_norm,
    "MaxPool1d": _max_pool,
    "MaxPool2d": _max_pool,
    "AvgPool1d": _avg_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool1d": _adaptive,
    "AdaptiveAvgPool2d": _adaptive,
    "Linear": layers.linear,
    "Flatten": _flatten_stepwise,
    "Dropout": layers.dropout,
    "VotingLayer": layers.voting,
}
"""Of SpikingJelly, by name."""
