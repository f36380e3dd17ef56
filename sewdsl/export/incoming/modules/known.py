"""Modules that are known by their class, and not run: layers of torch, layers and neurons of SpikingJelly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sewdsl.export.incoming.modules import layers, neurons
from sewdsl.export.incoming.modules.functions import flatten
from sewdsl.export.incoming.modules.trace import LeadingAxes, Leaf, Trace, TracedTensor
from sewdsl.ops.neurons.relu import ReLU

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
        if cls.__module__.startswith(SPIKINGJELLY) and cls.__name__ in neurons.NEURONS:
            return neurons.neuron
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


def _max_pool(trace: Trace, module: nn.MaxPool2d, a: TracedTensor) -> TracedTensor:
    window = layers.PoolingWindow(
        module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode, module.return_indices
    )
    return layers.max_pool(trace, a, window)


def _avg_pool(trace: Trace, module: nn.AvgPool2d, a: TracedTensor) -> TracedTensor:
    padded = layers.pair(module.padding) != (0, 0) and not module.count_include_pad
    unusual = padded or module.divisor_override is not None
    return layers.avg_pool(
        trace, a, layers.PoolingWindow(module.kernel_size, module.stride, module.padding, 1, module.ceil_mode, unusual)
    )


def _adaptive(trace: Trace, module: nn.AdaptiveAvgPool2d, a: TracedTensor) -> TracedTensor:
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


def _same(trace: Trace, module: nn.Module, a: TracedTensor) -> TracedTensor:  # noqa: ARG001 -- as all of them
    return a


TORCH: dict[type, Leaf] = {
    nn.Conv2d: _of_samples(layers.conv),
    _BatchNorm: _of_samples(layers.batch_norm),
    nn.MaxPool2d: _of_samples(_max_pool),
    nn.AvgPool2d: _of_samples(_avg_pool),
    nn.AdaptiveAvgPool2d: _of_samples(_adaptive),
    nn.Linear: layers.linear,
    nn.Dropout: layers.dropout,
    nn.ReLU: _relu,
    nn.Flatten: _flatten,
    nn.Identity: _same,
}
LAYERS: dict[str, Callable[[Trace, Any, TracedTensor], TracedTensor]] = {
    "Conv2d": layers.conv,
    "BatchNorm1d": layers.batch_norm,
    "BatchNorm2d": layers.batch_norm,
    "_ThresholdDependentBatchNormBase": layers.batch_norm,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool2d": _adaptive,
    "Linear": layers.linear,
    "Flatten": _flatten_stepwise,
    "Dropout": layers.dropout,
    "VotingLayer": layers.voting,
}
"""Of SpikingJelly, by name."""
