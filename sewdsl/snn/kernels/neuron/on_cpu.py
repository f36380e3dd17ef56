"""Neuron kernels on the CPU: torch's tensors in, torch's tensors out.

Nothing is kept but the input, numbers for each channel, and the join's other operand where its gradient needs it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import memory_layout, render_kernels
from sewdsl.snn.kernels.compile_kernel import compile_kernel
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall, LayerGradients
from sewdsl.snn.kernels.neuron.partition import MAX_GROUPS, Partition
from sewdsl.snn.kernels.neuron.plan_kernel import KernelVariant, LayerNeedsGrad
from sewdsl.snn.kernels.neuron.write_numba import Kernel, render_backward, render_forward

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Prepared(NamedTuple):
    """A kernel, and its arguments that do not change from call to call.

    Attributes:
        kernel: The kernel.
        arrays: First states, places of factors, and scalars, the learned ones still empty.
        learned: Places of the learned scalars among all, and of their values among the factors.
        places: Of each factor, where its numbers begin, and its time-steps and channels.
    """

    kernel: Kernel
    arrays: dict[str, NDArray[Any]]
    learned: tuple[list[int], list[int]]
    places: NDArray[np.int64]


def forward(call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Return the output, and the states after the last time-step; an empty tensor if these are not wanted."""
    strides = memory_layout.step_strides(call.x_TN)
    y_TN, after = call.given(), call.states_after() if final else call.nothing()
    variant = call.variant(states=final or call.start is not None, backward=False)
    prepared = _prepare(variant, None, call.program.axes)
    rows = {"x": (call.x_TN, "x_step"), "others": (call.other_TN, "other_step"), "y": (y_TN, "step")}
    lines = () if call.channels is None else call.channels.line()
    arrays = _rows(strides, rows, prepared.kernel.arguments)
    if variant.states:
        arrays |= _states(call, strides, start=call.start, final=after)
    _run(prepared, "forward", call, arrays, lines, Partition.of(call.x_TN, strides, MAX_GROUPS if lines else 0))
    return y_TN, after


def backward(
    call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, wanted: LayerNeedsGrad, *, batch: bool
) -> LayerGradients:
    """Return the gradients of :func:`forward`.

    Args:
        call: That of the forward.
        g_TN: Gradient of the output; None: zeros.
        g_after: Gradient of the states after the last time-step; None: zeros.
        wanted: Gradients to compute.
        batch: Whether mean and rstd are those of the input, so that it has a gradient through them.
    """
    strides = memory_layout.step_strides(call.x_TN)
    channels, batch = call.channels, batch and wanted.x and call.channels is not None
    g_TN = call.given().zero_() if g_TN is None else g_TN
    found = LayerGradients.empty(call, wanted)
    variant = call.variant(states=call.start is not None or g_after is not None, backward=True)
    sums_wanted = wanted._replace(channels=channels is not None and (wanted.channels or batch))
    prepared = _prepare(variant, sums_wanted, call.program.axes)
    kernel, C = prepared.kernel, call.x_TN.shape[2] if call.x_TN.ndim > 2 else 1  # noqa: PLR2004 -- [T, N, C, *]
    each_channel = [each for each in kernel.sums if each.channels]
    share = Partition.of(call.x_TN, strides, MAX_GROUPS if channels is not None or each_channel else 0)
    columns = sum(len(call.x_TN) if each.steps else 1 for each in each_channel)
    sums = np.zeros((share.groups, C, columns))
    one_each = share.groups if channels is not None else -(-share.neurons // share.block)
    totals = np.zeros((one_each, len(kernel.sums) - len(each_channel)))
    rows = {"x": (call.x_TN, "x_step"), "others": (call.other_TN, "other_step"), "g_y": (g_TN, "g_step")}
    rows |= {"g_others": (found.other_TN, "g_other_step"), "g_x": (found.x_TN, "step")}
    arrays = _rows(strides, rows, prepared.kernel.arguments)
    more: dict[str, Any] = {"channel_sums": sums, "totals": totals}
    if variant.states:
        more |= _states(call, strides, start=call.start, g_final=g_after, g_start=found.start)
    gains = [_gain(call, prepared, each) for each in kernel.gain]
    lines: tuple[Tensor, ...] = ()
    if channels is not None:
        lines = channels.line()
        scaled = lines[0]
        for gain in gains:
            scaled = scaled * gain
        lines = *lines, scaled
    _run(prepared, "backward", call, arrays | more, lines, share)
    found_sums = sums.sum(0) if columns else sums[:0]
    factors = np.zeros(call.factors.numel()) if wanted.factors and call.factors is not None else None
    if factors is not None:
        _fill_factors(factors, prepared, totals.sum(0), found_sums)
    if channels is None:
        return found if factors is None else found._replace(factors=_in_dtype(factors, call))
    if not kernel.sums:
        return found._replace(weight=found.weight.zero_(), bias=found.bias.zero_())
    ones, products = torch.from_numpy(found_sums)[:, :2].unbind(1)
    if factors is not None:
        for place, current in kernel.derived:
            each = lines[0] * products + lines[1] * ones if current else ones
            first, _, wide = prepared.places[place]
            factors[first : first + wide] = each if wide > 1 else each.sum()
        found = found._replace(factors=_in_dtype(factors, call))
    for gain in gains:
        ones, products = gain * ones, gain * products
    pair = torch.stack([(products - channels.mean * ones) * channels.rstd, ones])
    if batch:
        _settle(call, channels, lines[0], pair, arrays, share)
    g_weight, g_bias = (part.to(channels.weight.dtype, copy=True) for part in pair)
    return found._replace(weight=g_weight, bias=g_bias)


def _settle(  # noqa: PLR0913 -- everything that a kernel is given
    call: LayerCall, channels: KernelChannels, a: Tensor, pair: Tensor, arrays: dict[str, Any], share: Partition
) -> None:
    """Add the terms of the statistics to the gradient of the input, which is ``a · g + p · x + q``."""
    product, one = pair * (share.C / call.x_TN.numel())
    p = (-a * channels.rstd * product).to(a.dtype)
    q = (-a * one - p * channels.mean).to(a.dtype)
    rows = *(arrays[name] for name in ("x", "x_step", "g_x", "step")), *map(memory_layout.flat_row, (p, q))
    share.run(
        compile_kernel(render_kernels.render_statistics_terms, "settle", memory_layout.dtype_name(call.x_TN)), rows
    )


def _fill_factors(
    factors: NDArray[np.float64], prepared: _Prepared, totals: NDArray[np.float64], sums: NDArray[np.float64]
) -> None:
    """Put the sums that a kernel took into the gradients of the factors."""
    numbers, column = iter(totals), 0
    for each in sorted(prepared.kernel.sums, key=lambda each: each.steps):
        if each.place is None:
            column += 1
            continue
        first, steps, channels = prepared.places[each.place]
        count = steps if each.steps else 1
        if each.channels:
            of_steps = sums[:, column : column + count].T
            of_steps = of_steps if channels > 1 else of_steps.sum(1, keepdims=True)
            factors[first : first + steps * channels] = of_steps.reshape(-1)
            column += count
        else:
            factors[first] = next(numbers)


def _in_dtype(factors: NDArray[np.float64], call: LayerCall) -> Tensor:
    """Return the gradients of factors in the dtype of the factors."""
    found = torch.from_numpy(factors)
    return found if call.factors is None else found.to(call.factors.dtype)


@lru_cache(maxsize=1024)
def _prepare(variant: KernelVariant, wanted: LayerNeedsGrad | None, axes: tuple[tuple[int, int], ...]) -> _Prepared:
    """Return the kernel of a variant with everything that depends on the shapes of factors only."""
    kernel = render_forward(variant) if wanted is None else render_backward(variant, wanted)
    offset, rows = 0, list[tuple[int, int, int]]()
    for steps, channels in axes:
        rows.append((offset, steps, channels))
        offset += steps * channels
    places = np.array(rows, dtype=np.int64).reshape(-1, 3)
    dtype = np.float64 if variant.stored == "float64" else np.float32
    learned = [number for number, each in enumerate(kernel.scalars) if isinstance(each, int)]
    values = [rows[int(kernel.scalars[number])][0] for number in learned]
    arrays = {
        "rest": np.array(kernel.start, dtype=dtype),
        "scalars": np.array([0.0 if isinstance(each, int) else each for each in kernel.scalars], dtype=dtype),
        "places": places,
    }
    return _Prepared(kernel, arrays, (learned, values), places)


def _run(  # noqa: PLR0913 -- everything that a kernel is given
    prepared: _Prepared,
    function: str,
    call: LayerCall,
    arrays: dict[str, Any],
    lines: tuple[Tensor, ...],
    share: Partition,
) -> None:
    """Call a kernel."""
    kernel, constants = prepared.kernel, prepared.arrays
    arrays |= constants
    if call.factors is not None:
        arrays["factors"] = factors = memory_layout.flat_row(call.factors.to(call.wide).contiguous())
        where, values = prepared.learned
        if where:
            arrays["scalars"] = scalars = constants["scalars"].copy()
            for number, value in zip(where, values, strict=True):
                scalars[number] = factors[value]
    for number, line in enumerate(lines):
        arrays[f"line{number}"] = memory_layout.flat_row(line)
    share.run(compile_kernel(str, function, kernel.text), tuple(arrays[name] for name in kernel.arguments))


def _gain(call: LayerCall, prepared: _Prepared, gain: float) -> Any:
    """Return a number, or the values of a factor: a number for all, or a tensor ``[C]``."""
    if not isinstance(gain, int) or call.factors is None:
        return gain
    first, _, channels = prepared.places[gain]
    return call.factors[first : first + channels].to(call.wide) if channels > 1 else call.factors[first].item()


def _rows(
    strides: memory_layout.Strides, sequences: dict[str, tuple[Tensor | None, str]], arguments: tuple[str, ...]
) -> dict[str, Any]:
    """Return memory and step of those sequences that a kernel reads or writes, by the names of arguments."""
    found: dict[str, Any] = {}
    for name, (tensor, step) in sequences.items():
        if tensor is not None and name in arguments:
            found[name], found[step] = memory_layout.step_rows(tensor, strides)
    return found


def _states(call: LayerCall, strides: memory_layout.Strides, **states: Tensor | None) -> dict[str, Any]:
    """Return the memory of states, each laid out as a time-step of the input; empty for None."""
    return {
        name: memory_layout.flat_row(
            call.nothing() if each is None or not each.numel() else memory_layout.with_strides(each, strides)
        )
        for name, each in states.items()
    }
