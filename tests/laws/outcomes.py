"""Results of a network (outputs, gradients, statistics) and their comparison."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sewdsl.ir.node import Node
from sewdsl.lower import SpikingNetwork, lower
from sewdsl.lower.inputs import map_inputs
from sewdsl.ops.layers.norms import Norm, _StepNorm
from sewdsl.passes import Program
from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.kernels.neuron import reference
from sewdsl.snn.pooling import MaxPool2d
from tests.laws.drawn import Drawn


class Numbers(NamedTuple):
    """Number formats of a computation.

    Attributes:
        dtype: Number format of input, weights and statistics.
        autocast: Whether torch uses 16 bits where it regards them as safe.
        rounded: Whether input, weights and statistics are numbers of bfloat16, whatever their format.
    """

    dtype: torch.dtype
    autocast: bool = False
    rounded: bool = False

    def of(self, values: Tensor) -> Tensor:
        """Return values in this format."""
        return (values.bfloat16() if self.rounded else values).to(self.dtype)


DOUBLE, SINGLE, HALF, MIXED = (
    Numbers(torch.float64),
    Numbers(torch.float32),
    Numbers(torch.bfloat16),
    Numbers(torch.float32, autocast=True),
)


class Outcome(NamedTuple):
    """All that a forward and a backward pass leave behind; or the error that stopped them.

    Attributes:
        y: The output at every time-step.
        gradients: Of the input and of all parameters, by name.
        state: What would be saved after it.
        error: What was said instead.
    """

    y: Tensor
    gradients: dict[str, Tensor | None]
    state: dict[str, Tensor]
    error: str = ""


def build(drawn: Drawn, program: Program, numbers: Numbers = DOUBLE) -> SpikingNetwork:
    """The module, with batch norms as they are after a while of training."""
    model = lower(program, seed=drawn.seed).to(torch.float32 if numbers.rounded else numbers.dtype)
    generator = torch.Generator().manual_seed(drawn.seed)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, BatchNorm):
                values_and_minima = ((norm.weight, -1.0), (norm.bias, -0.5), (norm.running_mean, -0.5))
                for values, low in ((values, low) for values, low in values_and_minima if values is not None):
                    values.copy_(low + 2 * torch.rand(values.shape, generator=generator))
                norm.running_var.copy_(0.3 + torch.rand(norm.running_var.shape, generator=generator))
    return model.bfloat16().to(numbers.dtype) if numbers.rounded else model


def run(model: SpikingNetwork, drawn: Drawn, numbers: Numbers) -> Outcome:
    """Forward and backward, for random gradients of the output."""
    x = map_inputs(lambda each: numbers.of(each).requires_grad_(), drawn.x)
    inputs = x if drawn.network.settings.inputs else {"the input": x}
    torch.manual_seed(drawn.seed)  # for dropout
    model.doubts_layout = False  # T is drawn apart from the network's steps
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=numbers.autocast):
            y = joined(model(x, return_sequence=True))
    except ValueError as error:
        return Outcome(torch.zeros(0), {}, {}, str(error))
    if y.requires_grad:
        y.backward(drawn.random(*y.shape, salt=2).to(y.dtype))  # type: ignore[no-untyped-call]
    gradients = {name: each.grad for name, each in (*inputs.items(), *model.named_parameters())}
    return Outcome(y.detach(), gradients, copy.deepcopy(model.state_dict()))


def joined(y: Tensor | dict[str, Tensor]) -> Tensor:
    """The output at every time-step; of several, ``[T, N, F]`` with the elements of all of them."""
    return y if isinstance(y, Tensor) else torch.cat([each.flatten(2) for each in y.values()], 2)


@lru_cache(300)
def expected(drawn: Drawn, numbers: Numbers, *, training: bool) -> tuple[Outcome, float]:
    """Return the results of the reference, node by node, and the smallest distance to another decision."""
    model = build(drawn, Program.of(drawn.network), numbers).train(training)
    with kernels.use_kernels("reference"), _margins(model) as margins:
        return run(model, drawn, numbers), min(margins, default=1.0)


@contextmanager
def _margins(model: nn.Module) -> Iterator[list[float]]:
    """Record the distance of each decision from the threshold: spikes, gradients, ReLU and maxima."""
    found: list[float] = []
    fire = reference.heaviside

    def noted(u: Tensor, surrogate: Any) -> Tensor:
        distance = u.detach().abs()
        found.extend((float(distance.min()), float((distance - getattr(surrogate, "width", 0) / 2).abs().min())))
        return fire(u, surrogate)

    def look(module: nn.Module, x: tuple[Tensor, ...], _: Tensor) -> None:
        if not torch.equal(x[0], x[0].round()):  # integers are the same numbers whatever the order of sums
            found.append(
                _gap(module, x[0].detach()) if isinstance(module, MaxPool2d) else float(x[0].detach().abs().min())
            )

    deciding = [module for module in model.modules() if isinstance(module, MaxPool2d | nn.ReLU)]
    handles = [module.register_forward_hook(look) for module in deciding]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "heaviside", noted)
        yield found
    for handle in handles:
        handle.remove()


def _gap(pool: MaxPool2d, x_TN: Tensor) -> float:
    """The least difference between the largest and the second largest value of a window."""
    kernel, stride, padding = (_pair(each) for each in (pool.kernel_size, pool.stride, pool.padding))
    lowest = float(x_TN.min()) - 1
    padded = nn.functional.pad(x_TN.flatten(0, 2), (padding[1], padding[1], padding[0], padding[0]), value=lowest)
    windows = padded.unfold(-2, kernel[0], stride[0]).unfold(-2, kernel[1], stride[1]).flatten(-2)
    if windows.shape[-1] == 1:
        return 1.0
    first, second = windows.topk(2).values.unbind(-1)
    return float((first - second).min())


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def differences(found: Outcome, wanted: Outcome, tolerance: float) -> Iterator[str]:
    """Return the differing results, with a tolerance relative to the largest finite number of each result.

    Infinities and NaN must be equal in both outcomes.
    """
    if found.error or wanted.error:
        if found.error != wanted.error:
            yield f"says {found.error!r}, not {wanted.error!r}"
        return
    if list(found.state) != list(wanted.state):
        yield "names"
    sizes = [_largest(g) for g in wanted.gradients.values() if g is not None]
    size = max(sizes, default=0.0) or 1.0  # where all of them are 0, no part of them is anything
    yield from _differ("output", found.y, wanted.y, tolerance * (1 + _largest(wanted.y)))
    for name, gradient in wanted.gradients.items():
        yield from _differ(f"gradient of {name}", found.gradients[name], gradient, tolerance * size)
    for name, value in wanted.state.items():
        yield from _differ(name, found.state[name], value, tolerance * (1 + _largest(value)))


def _largest(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _differ(name: str, found: Tensor | None, wanted: Tensor | None, tolerance: float) -> Iterator[str]:
    if found is None or wanted is None:
        # A constant does not depend on the input, and its gradient may be absent or 0.
        if any(value is not None and value.any() for value in (found, wanted)):
            yield f"{name}: {found}, not {wanted}"
        return
    if found.dtype is not wanted.dtype or found.shape != wanted.shape:
        yield f"{name}: {found.dtype} {list(found.shape)}, not {wanted.dtype} {list(wanted.shape)}"
        return
    finite = wanted.isfinite()
    if not found.isfinite().equal(finite):
        yield f"{name}: finite where it should not be, or not where it should"
    elif not bool(((found - wanted).abs() <= tolerance)[finite].all()):
        yield f"{name}: off by {_largest(found - wanted):.3g}, more than {tolerance:.3g}"


# --- rounding to 16 bits

UNIT = 2**-8
"""Largest relative error of rounding to bfloat16."""
ROUNDED = Numbers(torch.float64, rounded=True)
"""Exact computation with the input and the weights of a computation in bfloat16."""
FACTOR = 8
"""Largest ratio between the error of a gradient and that of the same network with rounded values."""
MIN_VALUES = 16
"""Least number of values of a channel: the gradient of a batch norm over few of them is a difference that cancels."""
SAMPLES, MAX_SAMPLES = 4, 40
"""Number of roundings, and their number if a gradient exceeds them: each may change other spikes."""


def rounding_faults(drawn: Drawn, found: Outcome, *, training: bool) -> Iterator[str]:
    """Yield the gradients in 16 bits that differ from those in 64 bits by more than rounding explains.

    The bound of a gradient is the error that it has if the values of all nodes, and their gradients, are rounded.
    """
    exact, _ = expected(drawn, ROUNDED, training=training)
    gradients = {name: g.double() for name, g in exact.gradients.items() if g is not None and g.numel()}
    if found.error or exact.error or not all(bool(g.isfinite().all()) for g in gradients.values()):
        return
    if any(isinstance(node.op, Norm) and _values_per_channel(drawn, node) < MIN_VALUES for node in drawn.network):
        return
    size = max((float(g.norm()) for g in gradients.values()), default=0.0)
    bounds = {name: UNIT * (float(g.norm()) + 0.1 * size) for name, g in gradients.items()}
    for sample in range(MAX_SAMPLES):
        rounded = _rounded(drawn, sample, training=training).gradients
        bounds = {name: max(bound, _distance(rounded[name], gradients[name])) for name, bound in bounds.items()}
        errors = {name: _distance(found.gradients[name], g) for name, g in gradients.items()}
        faults = [name for name, error in errors.items() if not error <= FACTOR * bounds[name]]
        if sample + 1 >= SAMPLES and not faults:
            return
    yield from (f"gradient of {name}: off by {errors[name]:.3g}, rounding by {bounds[name]:.3g}" for name in faults)


def _values_per_channel(drawn: Drawn, node: Node) -> int:
    """Return the number of values whose mean a batch norm computes."""
    return (1 if isinstance(node.op, _StepNorm) else drawn.T) * drawn.N * prod(node.output.shape[1:])


def _distance(one: Tensor | None, other: Tensor) -> float:
    return float((other if one is None else one.double() - other).norm())


@lru_cache(300)
def _rounded(drawn: Drawn, sample: int, *, training: bool) -> Outcome:
    """Return the results of the reference with all values of nodes, and their gradients, rounded in one of many ways.

    Sample 0 rounds to the nearest number.
    """
    generator = torch.Generator().manual_seed(sample)

    def rounded(values: Tensor) -> Tensor:
        if not sample:
            return values.bfloat16().to(values.dtype)
        noise = 2 * torch.rand(values.shape, generator=generator, dtype=values.dtype) - 1
        return values * (1 + UNIT * noise)

    def look(_module: nn.Module, _inputs: object, y: Tensor) -> Tensor:
        if y.requires_grad:
            y.register_hook(rounded)  # type: ignore[no-untyped-call]
        return y + (rounded(y.detach()) - y.detach())

    model = build(drawn, Program.of(drawn.network), ROUNDED).train(training)
    names = {node.name for node in drawn.network}
    for module in (module for name, module in model.named_modules() if name in names):
        module.register_forward_hook(look)
    with kernels.use_kernels("reference"):
        return run(model, drawn, ROUNDED)
