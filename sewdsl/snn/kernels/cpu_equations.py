"""Neurons as equations on the CPU: numba's kernels, and how torch's tensors get there."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import cpu_neuron, memory_layout, thread_blocks
from sewdsl.snn.kernels.cpu_norm_neuron import MAX_GROUPS
from sewdsl.snn.kernels.render_equations import (
    EquationKernel,
    EquationKernelVariant,
    FactorAxes,
    render_equations,
    render_equations_backward,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EquationCall(NamedTuple):
    """Neurons and their input.

    Attributes:
        x_TN: Input, ``[T, N, C, *]``.
        start: States before the first time-step, ``[S, N, C, *]``, in float32 at least; None: those of the law.
        factors: The numbers of all factors, one after the other.
        shapes: Time-steps and channels of each factor, one pair after the other.
        law: What is computed in a time-step.
        slope: Tape of the surrogate's derivative.
    """

    x_TN: Tensor
    start: Tensor | None
    factors: Tensor
    shapes: list[int]
    law: str
    slope: str

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.law.rpartition("; start")[2].split())

    @property
    def wide(self) -> torch.dtype:
        """The dtype of states: that of the input, and float32 at least."""
        return torch.promote_types(self.x_TN.dtype, torch.float32)

    def given(self) -> Tensor:
        """Room for what is given, or for the gradient of the input, laid out as the input is."""
        return memory_layout.empty(self.x_TN)

    def states_after(self) -> Tensor:
        """Room for states, each laid out as a time-step of the input is."""
        strides, neurons = memory_layout.step_strides(self.x_TN), prod(self.x_TN.shape[1:])
        return self.x_TN.new_empty_strided((self.states, *self.x_TN.shape[1:]), (neurons, *strides), dtype=self.wide)

    def nothing(self) -> Tensor:
        """An empty tensor in the dtype of states."""
        return self.x_TN.new_empty(0, dtype=self.wide)

    def places(self) -> NDArray[np.int64]:
        """Of each factor, where its numbers begin, and its time-steps and channels."""
        rows, offset = [], 0
        for steps, channels in zip(self.shapes[::2], self.shapes[1::2], strict=True):
            rows.append((offset, steps, channels))
            offset += steps * channels
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def variant(self, **wants: bool) -> EquationKernelVariant:
        """What distinguishes its kernel."""
        pairs = zip(self.shapes[::2], self.shapes[1::2], strict=True)
        axes = tuple(FactorAxes(channels=channels > 1, steps=steps > 1) for steps, channels in pairs)
        return EquationKernelVariant(memory_layout.dtype_name(self.x_TN), self.law, axes, self.slope, **wants)


def forward(call: EquationCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """What is given, and the states after the last time-step; where these are not wanted, an empty tensor."""
    strides = memory_layout.step_strides(call.x_TN)
    y_TN, after = call.given(), call.states_after() if final else call.nothing()
    arrays = (
        *memory_layout.step_rows(call.x_TN, strides),
        _states(call.start, call),
        *memory_layout.step_rows(y_TN, strides),
        memory_layout.flat_row(after),
    )
    _launch(render_equations(call.variant()._replace(slope="")), "forward", call, arrays)
    return y_TN, after


class EquationGradients(NamedTuple):
    """Gradients; those not wanted are empty.

    Attributes:
        x_TN: Of the input.
        start: Of the states before the first time-step.
        factors: Of all numbers of all factors, as float64.
    """

    x_TN: Tensor
    start: Tensor
    factors: Tensor


def backward(  # noqa: PLR0913 -- what flows back, and what is wanted
    call: EquationCall,
    g_given_TN: Tensor | None,
    g_after: Tensor | None,
    *,
    wants_x: bool,
    wants_start: bool,
    wants_factors: bool,
) -> EquationGradients:
    """The gradients of :func:`forward`, from those of what it gave; None: zeros."""
    strides = memory_layout.step_strides(call.x_TN)
    g_x_TN = call.given() if wants_x else call.x_TN.new_empty(0)
    g_start = call.states_after() if wants_start else call.nothing()
    g_given_TN = call.given().zero_() if g_given_TN is None else g_given_TN
    kernel = render_equations_backward(call.variant(wants_x=wants_x, wants_factors=wants_factors))
    share = _Share.of(call)
    sums = np.zeros((share.groups, call.factors.numel() if wants_factors else 0, 1))
    blocks = np.zeros((-(-share.neurons // share.block), len(kernel.summed)))
    arrays = (
        *memory_layout.step_rows(call.x_TN, strides),
        _states(call.start, call),
        *memory_layout.step_rows(g_given_TN, strides),
        _states(g_after, call),
        *memory_layout.step_rows(g_x_TN, strides),
        memory_layout.flat_row(g_start),
        sums,
        blocks,
    )
    _launch(kernel, "backward", call, arrays)
    found = sums.sum(0)[:, 0]
    places = call.places()
    for place, total in zip(kernel.summed, blocks.sum(0), strict=True):
        found[places[place, 0]] = total
    return EquationGradients(g_x_TN, g_start, torch.from_numpy(found))


class _Share(NamedTuple):
    """How neurons are shared out: groups of blocks, which depend on shape and dtype alone."""

    groups: int
    piece: int
    neurons: int
    block: int

    @classmethod
    def of(cls, call: EquationCall) -> _Share:
        neurons, block = prod(call.x_TN.shape[1:]), cpu_neuron.block_size(call.x_TN)
        piece = max(1, -(-neurons // (block * MAX_GROUPS))) * block
        return cls(-(-neurons // piece), piece, neurons, block)


def _launch(kernel: EquationKernel, function: str, call: EquationCall, arrays: tuple[Any, ...]) -> None:
    x_TN, share = call.x_TN, _Share.of(call)
    stride = memory_layout.step_strides(x_TN)[1] if x_TN.ndim > 2 else 1  # noqa: PLR2004 -- [T, N, C, *]
    dtype = np.float64 if call.wide == torch.float64 else np.float32
    constants = (
        np.array(kernel.start, dtype=dtype),
        np.array(kernel.numbers, dtype=dtype),
        memory_layout.flat_row(call.factors.to(call.wide).contiguous()),
        call.places(),
    )
    run = cpu_neuron.compile_kernel(str, function, kernel.text)  # as it is
    T, N = len(x_TN), share.neurons

    def work(first: int, last: int) -> None:
        run(*arrays, *constants, first, last, share.piece, T, N, share.block, stride)

    thread_blocks.run_in_blocks(work, share.groups, 1, parallel=N * T > cpu_neuron.MIN_PARALLEL_STEPS)


def _states(states: Tensor | None, call: EquationCall) -> NDArray[Any]:
    """The memory of states, each laid out as a time-step of the input; nothing for None."""
    if states is None or not states.numel():
        return memory_layout.flat_row(call.nothing())
    return memory_layout.flat_row(memory_layout.with_strides(states, memory_layout.step_strides(call.x_TN)))
