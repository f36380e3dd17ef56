"""Calls of the CPU kernels of neurons with PyTorch tensors.

The backward pass needs the input, values per channel, and the second operand of the join if the gradient depends on
this operand.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout
from sewdsl.snn.kernels.compile_kernel import compile_kernel, compile_template
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall, LayerGradients
from sewdsl.snn.kernels.neuron.partition import MAX_GROUPS, Partition
from sewdsl.snn.kernels.neuron.plan_kernel import KernelVariant, LayerNeedsGrad
from sewdsl.snn.kernels.neuron.write_numba import Kernel, render_backward, render_forward

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Prepared(NamedTuple):
    """Kernel and its arguments that are equal in all calls."""

    kernel: Kernel
    arrays: dict[str, NDArray[Any]]
    """Initial states, places of factors, and scalars without the learnable ones."""
    learned: tuple[list[int], list[int]]
    """Indices of the learnable scalars among all scalars, and of their values among the factors."""
    places: NDArray[np.int64]
    """Offset, rows and channels of each factor, ``[F, 3]``: a row per time-step and number of a vector."""


def forward(call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Return the output, and the states after the last time-step (empty if ``final`` is false)."""
    strides = memory_layout.step_strides(call.x_TN)
    y_TN, after = call.empty_output(), call.states_after() if final else call.nothing()
    variant = call.variant(states=final or call.start is not None, backward=False)
    prepared = _prepare(variant, None, call.program.axes)
    rows = {"x": (call.x_TN, "x_step"), "others": (call.other_TN, "other_step"), "y": (y_TN, "step")}
    lines = () if call.channels is None else call.channels.line()
    arrays = _rows(strides, rows, prepared.kernel.arguments)
    if variant.states:
        arrays |= _states(call, strides, start=call.start, final=after)
    _run(prepared, "forward", call, arrays, lines, Partition.of(call.first_input, strides, MAX_GROUPS if lines else 0))
    return y_TN, after


def backward(
    call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, needs_grad: LayerNeedsGrad, *, batch: bool
) -> LayerGradients:
    """Return the gradients of :func:`forward`.

    Args:
        call: Arguments of the forward pass.
        g_TN: Gradient of the output, or None for zeros.
        g_after: Gradient of the states after the last time-step, or None for zeros.
        batch: Whether mean and rstd are computed from the input, and pass on gradients to it.
    """
    strides = memory_layout.step_strides(call.x_TN)
    channels, batch = call.channels, batch and needs_grad.x and call.channels is not None
    g_TN = call.empty_output().zero_() if g_TN is None else g_TN
    grads = LayerGradients.empty(call, needs_grad)
    variant = call.variant(states=call.start is not None or g_after is not None, backward=True)
    # The input gradient through the statistics is made of the same sums as the gradients of weight and bias.
    sums_needed = needs_grad._replace(channels=channels is not None and (needs_grad.channels or batch))
    prepared = _prepare(variant, sums_needed, call.program.axes)
    kernel, C = prepared.kernel, call.x_TN.shape[2] if call.x_TN.ndim > 2 else 1  # noqa: PLR2004 -- [T, N, C, *]
    each_channel = [each for each in kernel.plan.sums if each.channels]
    share = Partition.of(call.first_input, strides, MAX_GROUPS if channels is not None or each_channel else 0)
    columns = sum((share.T if each.steps else 1) * each.width for each in each_channel)
    sums = np.zeros((share.groups, C, columns))
    # Without batch norm, kernels write a total per block instead of per group.
    one_each = share.groups if channels is not None else -(-share.neurons // share.block)
    totals = np.zeros((one_each, len(kernel.plan.sums) - len(each_channel)))
    rows = {"x": (call.x_TN, "x_step"), "others": (call.other_TN, "other_step"), "g_y": (g_TN, "g_step")}
    rows |= {"g_others": (grads.other_TN, "g_other_step"), "g_x": (grads.x_TN, "step")}
    arrays = _rows(strides, rows, prepared.kernel.arguments)
    extra_arrays: dict[str, Any] = {"channel_sums": sums, "totals": totals}
    if variant.states:
        extra_arrays |= _states(call, strides, start=call.start, g_final=g_after, g_start=grads.start)
    gains = [_gain(call, prepared, each) for each in kernel.plan.gain]
    lines: tuple[Tensor, ...] = ()
    if channels is not None:
        lines = channels.line()
        # The loop omits gains that are equal for all neurons (see plan_kernel), so multiply by them here.
        scaled = lines[0]
        for gain in gains:
            scaled = scaled * gain
        lines = *lines, scaled
    _run(prepared, "backward", call, arrays | extra_arrays, lines, share)
    channel_sums = sums.sum(0) if columns else sums[:0]
    factors = np.zeros(call.factors.numel()) if needs_grad.factors and call.factors is not None else None
    if factors is not None:
        _fill_factors(factors, prepared, totals.sum(0), channel_sums)
    if channels is None:
        return grads if factors is None else grads._replace(factors=_in_dtype(factors, call))
    if not kernel.plan.sums:
        return grads._replace(weight=grads.weight.zero_(), bias=grads.bias.zero_())
    # Sums of core and of core · x over each channel.
    ones, products = torch.from_numpy(channel_sums)[:, :2].unbind(1)
    if factors is not None:
        for factor_index, current in kernel.plan.derived:
            each = lines[0] * products + lines[1] * ones if current else ones
            first, _, wide = prepared.places[factor_index]
            factors[first : first + wide] = each if wide > 1 else each.sum()
        grads = grads._replace(factors=_in_dtype(factors, call))
    for gain in gains:
        ones, products = gain * ones, gain * products
    pair = torch.stack([(products - channels.mean * ones) * channels.rstd, ones])
    if batch:
        _settle(call, channels, lines[0], pair, arrays, share)
    g_weight, g_bias = (part.to(channels.weight.dtype, copy=True) for part in pair)
    return grads._replace(weight=g_weight, bias=g_bias)


def _settle(  # noqa: PLR0913 -- all arguments of a kernel
    call: LayerCall, channels: KernelChannels, a: Tensor, pair: Tensor, arrays: dict[str, Any], share: Partition
) -> None:
    """Add the gradient through the statistics, ``p · x + q``, to the input gradient."""
    product, one = pair * (share.C / call.x_TN.numel())
    p = (-a * channels.rstd * product).to(a.dtype)
    q = (-a * one - p * channels.mean).to(a.dtype)
    rows = *(arrays[name] for name in ("x", "x_step", "g_x", "step")), *map(memory_layout.flat_row, (p, q))
    share.run(compile_template("statistics", "settle", memory_layout.dtype_name(call.x_TN)), rows)


def _fill_factors(
    factors: NDArray[np.float64], prepared: _Prepared, totals: NDArray[np.float64], sums: NDArray[np.float64]
) -> None:
    """Write the sums of a kernel into the gradients of the factors."""
    scalars, column = iter(totals), 0
    # Kernels write sums per time-step, and those of vectors, after all other columns.
    for each in sorted(prepared.kernel.plan.sums, key=lambda each: each.several):
        if each.factor is None:
            column += 1
            continue
        first, steps, channels = prepared.places[each.factor]
        count = steps if each.several else 1
        if each.channels:
            of_steps = sums[:, column : column + count].T
            of_steps = of_steps if channels > 1 else of_steps.sum(1, keepdims=True)
            factors[first : first + steps * channels] = of_steps.reshape(-1)
            column += count
        else:
            factors[first] = next(scalars)


def _in_dtype(factors: NDArray[np.float64], call: LayerCall) -> Tensor:
    """Return the gradients of factors in the dtype of the factors."""
    gradients = torch.from_numpy(factors)
    return gradients if call.factors is None else gradients.to(call.factors.dtype)


@lru_cache(maxsize=1024)
def _prepare(variant: KernelVariant, needs_grad: LayerNeedsGrad | None, axes: tuple[tuple[int, int], ...]) -> _Prepared:
    """Return the kernel of a variant, with all arguments that depend on the factors' shapes only."""
    # Rendering and these arrays depend on no tensor, so calls share them.
    kernel = render_forward(variant) if needs_grad is None else render_backward(variant, needs_grad)
    offset, rows = 0, list[tuple[int, int, int]]()
    for (steps, channels), each in zip(axes, variant.axes, strict=True):
        rows.append((offset, steps * each.width, channels))
        offset += steps * each.width * channels
    places = np.array(rows, dtype=np.int64).reshape(-1, 3)
    dtype = np.float64 if variant.stored == "float64" else np.float32
    learned = [index for index, each in enumerate(kernel.scalars) if isinstance(each, int)]
    values = [rows[int(kernel.scalars[index])][0] for index in learned]
    arrays = {
        "rest": np.array(kernel.start, dtype=dtype),
        "scalars": np.array([0.0 if isinstance(each, int) else each for each in kernel.scalars], dtype=dtype),
        "places": places,
    }
    return _Prepared(kernel, arrays, (learned, values), places)


def _run(  # noqa: PLR0913 -- all arguments of a kernel
    prepared: _Prepared,
    function: str,
    call: LayerCall,
    arrays: dict[str, Any],
    lines: tuple[Tensor, ...],
    share: Partition,
) -> None:
    kernel, constants = prepared.kernel, prepared.arrays
    arrays |= constants
    if call.factors is not None:
        arrays["factors"] = factors = memory_layout.flat_row(call.factors.to(call.wide).contiguous())
        indices, values = prepared.learned
        if indices:
            arrays["scalars"] = scalars = constants["scalars"].copy()
            for index, value in zip(indices, values, strict=True):
                scalars[index] = factors[value]
    for index, line in enumerate(lines):
        arrays[f"line{index}"] = memory_layout.flat_row(line)
    share.run(compile_kernel(function, kernel.text), tuple(arrays[name] for name in kernel.arguments))


def _gain(call: LayerCall, prepared: _Prepared, gain: float) -> Any:
    """Return a scalar, or the values of a factor: a scalar, or a tensor ``[C]``."""
    # An integer is the index of a factor, a float is a constant.
    if not isinstance(gain, int) or call.factors is None:
        return gain
    first, _, channels = prepared.places[gain]
    return call.factors[first : first + channels].to(call.wide) if channels > 1 else call.factors[first].item()


def _rows(
    strides: memory_layout.Strides, sequences: dict[str, tuple[Tensor | None, str]], arguments: tuple[str, ...]
) -> dict[str, Any]:
    """Return memory and stride of the sequences that a kernel uses, by argument name."""
    arrays: dict[str, Any] = {}
    for name, (tensor, step) in sequences.items():
        if tensor is not None and name in arguments:
            arrays[name], arrays[step] = memory_layout.step_rows(tensor, strides)
    return arrays


def _states(call: LayerCall, strides: memory_layout.Strides, **states: Tensor | None) -> dict[str, Any]:
    """Return the memory of states, laid out like a time-step of the input, or an empty row for None."""
    return {
        name: memory_layout.flat_row(
            call.nothing() if each is None or not each.numel() else memory_layout.with_strides(each, strides)
        )
        for name, each in states.items()
    }
