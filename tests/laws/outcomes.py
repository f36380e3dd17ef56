"""Results of a network (outputs, gradients, statistics) and their comparison."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sewdsl.lower import SpikingNetwork, lower
from sewdsl.lower.inputs import map_inputs
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
    """

    dtype: torch.dtype
    autocast: bool = False


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
    model = lower(program, seed=drawn.seed).to(numbers.dtype)
    generator = torch.Generator().manual_seed(drawn.seed)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, BatchNorm):
                values_and_minima = ((norm.weight, -1.0), (norm.bias, -0.5), (norm.running_mean, -0.5))
                for values, low in ((values, low) for values, low in values_and_minima if values is not None):
                    values.copy_(low + 2 * torch.rand(values.shape, generator=generator))
                norm.running_var.copy_(0.3 + torch.rand(norm.running_var.shape, generator=generator))
    return model


def run(model: SpikingNetwork, drawn: Drawn, numbers: Numbers) -> Outcome:
    """Forward and backward, for random gradients of the output."""
    x = map_inputs(lambda each: each.to(numbers.dtype).requires_grad_(), drawn.x)
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
