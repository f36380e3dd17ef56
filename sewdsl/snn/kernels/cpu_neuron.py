"""Neurons over time on the CPU: numba's kernels, and how torch's tensors get there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sewdsl.snn.kernels import compile_ahead, compile_cache, memory_layout, render_kernels, thread_blocks
from sewdsl.snn.kernels.neuron_call import NeuronCall, NeuronNeedsGrad

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kernel = Callable[..., None]

ROW_BYTES = 512
"""Bytes of a time-step of a block: so few that all its steps, and those of the next block, which are asked for
meanwhile, stay in the nearest cache."""

MIN_PARALLEL_STEPS = 1 << 17
"""Up to so many steps of neurons, waking a thread takes longer than the work."""

_lock = Lock()


def forward(work: NeuronCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Spikes, and the potential after the last step; where that is not wanted, an empty tensor takes its place."""
    strides, law = memory_layout.step_strides(work.x_TN), work.law
    spikes_TN = work.spikes()
    final_N = work.potential() if final else work.nothing(work.wide)
    arrays = (
        *(*memory_layout.step_rows(work.x_TN, strides), _step(work.v_N, strides, work)),
        *(*memory_layout.step_rows(spikes_TN, strides), memory_layout.flat_row(final_N)),
    )
    kernel = compile_kernel(render_kernels.render_neurons, "forward", work.stored, law.reset)
    _launch(kernel, work, arrays)
    return spikes_TN, final_N


def backward(
    work: NeuronCall, g_spikes_TN: Tensor | None, g_final_N: Tensor | None, wants: NeuronNeedsGrad
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input, of the first potential, and of the three factors; empty tensors for those not wanted.

    Args:
        work: That of the forward.
        g_spikes_TN: Gradient of the spikes; None: zeros.
        g_final_N: Gradient of the final potential; None: zeros.
        wants: Which gradients are wanted.
    """
    strides, law = memory_layout.step_strides(work.x_TN), work.law
    g_x_TN = work.spikes() if wants.x else work.nothing(work.x_TN.dtype)
    g_v_N = work.potential() if wants.v else work.nothing(work.wide)
    table = np.zeros((-(-work.neurons // block_size(work.x_TN)), 3) if wants.factors else (0, 3))
    if g_spikes_TN is None:
        g_spikes_TN = work.spikes().zero_()
    arrays = (
        *(*memory_layout.step_rows(work.x_TN, strides), _step(work.v_N, strides, work)),
        *(*memory_layout.step_rows(g_spikes_TN, strides), _step(g_final_N, strides, work)),
        *(*memory_layout.step_rows(g_x_TN, strides), memory_layout.flat_row(g_v_N), table),
    )
    variant = render_kernels.NeuronKernelVariant(
        work.stored, law.reset, law.detach_reset, law.slope, wants_x=wants.x, wants_factors=wants.factors
    )
    _launch(compile_kernel(render_kernels.render_neurons_backward, "backward", variant), work, arrays)
    return g_x_TN, g_v_N, torch.from_numpy(table.sum(0))


def _launch(kernel: Kernel, work: NeuronCall, arrays: tuple[Any, ...]) -> None:
    law, block = work.law, block_size(work.x_TN)
    scalars = work.T, block, law.rest, *work.numbers(), law.v_threshold, law.v_reset or 0.0

    def run(first: int, last: int) -> None:
        kernel(*arrays, first, last, *scalars)

    thread_blocks.run_in_blocks(run, work.neurons, block, parallel=work.neurons * work.T > MIN_PARALLEL_STEPS)


def block_size(x_TN: Tensor) -> int:
    """How many neurons are dealt with at once; it depends on nothing else, such as the number of threads."""
    return ROW_BYTES // x_TN.dtype.itemsize


def _step(y_N: Tensor | None, strides: memory_layout.Strides, work: NeuronCall) -> NDArray[Any]:
    """A step's memory, laid out as asked for; nothing for None."""
    return memory_layout.flat_row(work.nothing(work.wide) if y_N is None else memory_layout.with_strides(y_N, strides))


def compile_kernel(render: Callable[..., str], function: str, *arguments: object, **options: object) -> Kernel:
    """Return a function of a kernel's text, compiled when it is first asked for.

    In a rehearsal, the text is noted and the function computes nothing.

    Args:
        render: Gives the text, one of :mod:`sewdsl.snn.kernels.render_kernels`.
        function: Which of the text's functions.
        *arguments: Of ``render``.
        **options: The same, by name.
    """
    if compile_ahead.is_rehearsing():
        compile_ahead.request(_source(render(*arguments, **options)))
        return lambda *_: None
    return _compiled(render, function, *arguments, **options)


@cache
def _compiled(render: Callable[..., str], function: str, *arguments: object, **options: object) -> Kernel:
    source = _source(render(*arguments, **options))
    compile_ahead.provide(source)
    with _lock:
        module = compile_cache.load_source(*source)
    kernel: Kernel = getattr(module, function)
    return kernel


def _source(text: str) -> compile_ahead.KernelSource:
    """Return the text of a kernel with the versions that its compiled code depends on."""
    import llvmlite  # noqa: PLC0415 -- loaded only when a kernel is needed
    import numba  # noqa: PLC0415 -- as above

    return compile_ahead.KernelSource(text, f"numba {numba.__version__}, llvmlite {llvmlite.__version__}")
