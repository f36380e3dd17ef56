"""Kernel dispatch: the fastest applicable kernel, else the reference.

The environment variable ``SEWDSL_KERNELS=reference``, or ``with use_kernels("reference"):``, disables all kernels.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.equations.step import LinearConstants, NeuronStep
from sewdsl.snn.kernels.neuron import on_cuda, operators, reference, tapes
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels, LayerCall, LayerProgram
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.packed_bits import cuda_packed_bits
from sewdsl.snn.kernels.pooling import cuda_max_pool
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES, MAX_REGISTER_STEPS
from sewdsl.snn.protocols import EquationSpec, JoinSpec, LinearSpec, NeuronSpec, SurrogateSpec, step_of
from sewdsl.snn.unsupported import needs_plain_torch

Choice = Literal["fastest", "reference"]

_FORMATS = (torch.float32, torch.bfloat16, torch.float16)
_KERNELS = {
    device: formats
    for device, package, formats in (("cpu", "numba", (*_FORMATS, torch.float64)), ("cuda", "triton", _FORMATS))
    if find_spec(package) is not None  # The package is imported when the first kernel is needed.
}
"""Dtypes with kernels, by device type."""

CHANNEL_AXIS = 2
"""Index of C in ``[T, N, C, *]``."""

_choice = os.environ.get("SEWDSL_KERNELS", "fastest")


@contextmanager
def use_kernels(choice: Choice) -> Iterator[None]:
    """Select kernels within a context, in all threads.

    A backward pass uses the kernels that its forward pass was run with.
    """
    global _choice  # noqa: PLW0603 -- one switch for the process, as the environment variable is
    before, _choice = _choice, _validated(choice)
    try:
        yield
    finally:
        _choice = before


def may_run() -> bool:
    """Return whether kernels are enabled and support the active transforms and modes of PyTorch."""
    return _validated(_choice) != "reference" and not needs_plain_torch()


def kernels_run_on(device: torch.device) -> bool:
    """Return whether kernels exist, are enabled and work on a device."""
    if device.type not in _KERNELS or not may_run():
        return False
    # The trial launches kernels, which torch.compile cannot trace.
    return device.type != "cuda" or torch.compiler.is_compiling() or _triton_runs(device)


def kernels_apply(x: Tensor) -> bool:
    """Return whether kernels exist for the dtype of a tensor and work on its device."""
    return x.dtype in _KERNELS.get(x.device.type, ()) and kernels_run_on(x.device)


def run_neurons(spec: NeuronSpec | EquationSpec, x_TN: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    """Return the output of neurons for a sequence, from rest. The arguments are those of :func:`run_neurons_from`."""
    return _run(spec, x_TN, None, learned, final=False)[0]


class Joint(NamedTuple):
    """Join that can be fused with neurons."""

    tape: str
    """Text of the join."""
    other: Tensor
    """Other operand, ``[T, N, C, *]``."""


class StepKernel(NamedTuple):
    """Kernel of neurons for inputs of one dtype, shape and device."""

    factors: Tensor | None
    """Learnable values of the time-step, concatenated, or None for fixed values only."""
    program: LayerProgram


def find_norm_kernel(spec: NeuronSpec | EquationSpec, x_TN: Tensor, learned: Mapping[str, Tensor]) -> StepKernel | None:
    """Return the fused kernel of batch norm and neurons, or None if none applies.

    The kernel normalises each element once in the forward pass and twice in the backward pass, and stores none.

    Args:
        x_TN: Input of the batch norm, ``[T, N, C, *]``.
        learned: Learnable values by name, see :func:`run_neurons_from`.
    """
    # On a GPU, all time-steps of a neuron have to fit in registers.
    can_fuse = x_TN.numel() > 0 and (x_TN.device.type == "cpu" or len(x_TN) <= MAX_REGISTER_STEPS)
    return _find_kernel(spec, x_TN, None, learned) if can_fuse else None


def fusible_join(spec: JoinSpec, x_TN: Tensor, other: Tensor, *, branch: bool) -> Joint | None:
    """Return the join for :func:`run_norm_neurons`, or None if it cannot be fused.

    Args:
        x_TN: Input of the batch norm, ``[T, N, C, *]``.
        branch: Whether the spikes are the branch. Otherwise, they are the identity.
    """
    alike = other.shape == x_TN.shape and other.device == x_TN.device
    # A wider operand would widen the result, but the kernel stores it in the dtype of the input.
    if not alike or torch.promote_types(other.dtype, x_TN.dtype) != x_TN.dtype:
        return None
    tape = tapes.trace_join(spec, branch=branch)
    return None if tape is None else Joint(tape, other.to(x_TN.dtype))


def run_norm_neurons(
    kernel: StepKernel, x_TN: Tensor, channels: KernelChannels, joint: Joint | None = None, *, batch: bool
) -> Tensor:
    """Normalise the input and run neurons over it, from their initial states.

    Args:
        x_TN: Input of the batch norm, ``[T, N, C, *]``.
        batch: Whether mean and rstd are computed from the input itself.

    Returns:
        Output ``[T, N, C, *]`` of the neurons, or of the join.
    """
    tape, other = joint or ("", None)
    text = kernel.program._replace(join=tape).text()
    y_TN: Tensor = operators.norm_neurons(x_TN, other, *channels, kernel.factors, text, batch=batch)
    return y_TN


def run_neurons_from(
    spec: NeuronSpec | EquationSpec, x_TN: Tensor, start: Tensor | None, learned: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Run neurons over a sequence, and return their final states too.

    Args:
        x_TN: Input, ``[T, N, C, *]``, T >= 1. Several inputs follow each other along time, ``[I·T, N, C, *]``.
        start: Membrane potential before the first time-step, ``[N, *]``, or states of equations, ``[S, N, C, *]``. None
            for rest, or for initial states of the equations.
        learned: Learnable values by name: ``[]``, and for equations also ``[C]``, ``[T]`` or ``[T, C]``.

    Returns:
        Output ``[T, N, C, *]`` in the dtype of the input, and the potential or the states after the last time-step, in
        float32 or wider.
    """
    return _run(spec, x_TN, start, learned, final=True)


def _run(
    spec: NeuronSpec | EquationSpec,
    x_TN: Tensor,
    start: Tensor | None,
    learned: Mapping[str, Tensor],
    *,
    final: bool,
) -> tuple[Tensor, Tensor]:
    kernel = _find_kernel(spec, x_TN, start, learned)
    if kernel is None:
        return reference.integrate(spec, x_TN, start, learned)
    outputs: tuple[Tensor, Tensor] = operators.neurons(x_TN, start, kernel.factors, kernel.program.text(), final=final)
    return outputs


def _find_kernel(
    spec: NeuronSpec | EquationSpec, x_TN: Tensor, start: Tensor | None, learned: Mapping[str, Tensor]
) -> StepKernel | None:
    step = step_of(spec)
    if step is None:
        return _linear_kernel(cast("NeuronSpec", spec), x_TN, start, learned)
    return _equation_kernel(step, spec.surrogate, x_TN, start, reference.factor_values(step, learned, spec.surrogate))


def _equation_kernel(
    step: NeuronStep, surrogate: SurrogateSpec, x_TN: Tensor, start: Tensor | None, factors: Sequence[Tensor]
) -> StepKernel | None:
    slope = tapes.trace_surrogate(surrogate)
    first = None if start is None or not len(start) else start[0]
    if slope is None or x_TN.ndim <= CHANNEL_AXIS or not _suits(x_TN, first):
        return None
    alike = all(
        factor.shape[-2] in {1, x_TN.shape[0] // step.inputs}
        and factor.shape[-1] in {1, x_TN.shape[CHANNEL_AXIS]}
        and factor.device == x_TN.device
        for factor in factors
    )
    # The CUDA kernels have no loops over the numbers of a vector.
    if not alike or step.entries > MAX_KERNEL_ENTRIES or (step.law.has_vectors and x_TN.device.type == "cuda"):
        return None
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    # Kernels read a row of channels for each time-step and number of a vector, in this order.
    rows = [factor.movedim(0, -2).reshape(-1) for factor in factors]
    values = torch.cat(rows).to(wide) if factors else None
    axes = tuple((factor.shape[-2], factor.shape[-1]) for factor in factors)
    return StepKernel(values, LayerProgram(axes, step.text, slope))


def _linear_kernel(
    spec: NeuronSpec, x_TN: Tensor, v_N: Tensor | None, learned: Mapping[str, Tensor]
) -> StepKernel | None:
    if not isinstance(spec, LinearSpec) or not _suits(x_TN, v_N):
        return None
    dynamics, slope = spec.dynamics(**learned), tapes.trace_surrogate(spec.surrogate)
    if slope is None or not all(_scalar(value, x_TN.device) for value in dynamics):
        return None
    tensors = [value for value in dynamics if isinstance(value, Tensor)]
    decay, gain, drift = (None if isinstance(value, Tensor) else float(value) for value in dynamics)
    v_reset = None if spec.v_reset is None else float(spec.v_reset)
    rest, v_threshold, detach_reset = float(spec.rest), float(spec.v_threshold), bool(spec.detach_reset)
    law = LinearConstants(decay, gain, drift, rest, v_threshold, v_reset, detach_reset).text()
    factors = torch.stack(tensors) if tensors else None
    return StepKernel(factors, LayerProgram(((1, 1),) * len(tensors), law, slope))


def _suits(x_TN: Tensor, v_N: Tensor | None) -> bool:
    """Return whether kernels exist for an input and a membrane potential."""
    if not kernels_apply(x_TN):
        return False
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    return v_N is None or (v_N.dtype == wide and v_N.shape == x_TN.shape[1:] and v_N.device == x_TN.device)


@cache
def _triton_runs(device: torch.device) -> bool:
    """Return whether Triton kernels work on a device and agree with PyTorch, and warn once if not."""
    # An installed Triton may be unusable: it needs a C compiler and a recent driver.
    try:
        wrong = wrong_kernels(device)
        if not wrong:
            return True
        reason = f"{' and '.join(wrong)}: results differ from PyTorch"
    except Exception as error:  # noqa: BLE001 -- compilers and drivers raise many kinds of errors
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
    warnings.warn(
        f"Triton kernels do not work on {device} ({reason}); neurons run in plain PyTorch, which is many times slower",
        stacklevel=2,
    )
    return False


def wrong_kernels(device: torch.device) -> list[str]:
    """Return the names of the Triton kernels whose results differ from PyTorch on a device.

    Each kernel is run on a small input. No random numbers are drawn.
    """
    # The trial needs gradients and float32, whatever modes the caller is in.
    with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
        return _compare_kernels(device)


def _compare_kernels(device: torch.device) -> list[str]:
    law = LinearConstants(0.5, 1.0, 0.25, 0.0, 1.0, 0.0, detach_reset=False).text()
    # In this order, all potentials differ from the threshold by at least 0.02: rounding cannot flip a spike.
    x_TN = torch.linspace(-1, 2, 512, device=device).reshape(8, 64)[[2, 0, 1, 4, 6, 5, 3, 7]]
    x_TN = x_TN.reshape(4, 2, 4, 4, 4).movedim(-1, 2)  # channels-last, the usual layout of convolutions
    other_TN = (x_TN > 0).to(x_TN.dtype)
    weight, bias = torch.linspace(0.5, 2, 4, device=device), torch.linspace(-0.5, 0.5, 4, device=device)

    def fire(current_TN: Tensor) -> Tensor:
        v_N, spikes = torch.zeros_like(current_TN[0]), []
        for x_N in current_TN:
            h_N = 0.5 * v_N + x_N + 0.25
            s_N = (h_N >= 1).to(h_N.dtype) + (h_N - h_N.detach())
            v_N = h_N * (1 - s_N)
            spikes.append(s_N)
        return torch.stack(spikes)

    def close(actual: Tensor, expected: Tensor) -> bool:
        return torch.allclose(actual, expected, rtol=1e-4, atol=1e-5)

    with torch.no_grad():
        text = LayerProgram((), law, "set 1.0").text()
        call = LayerCall(x_TN, text)
        needs_grad = LayerNeedsGrad(x=True, start=False, channels=False, factors=False, other=False)
        spikes_TN, _ = on_cuda.forward(call, final=False)
        g_TN, *_ = on_cuda.backward(call, torch.ones_like(spikes_TN), None, needs_grad, batch=False)
        octets = cuda_packed_bits.pack(spikes_TN, 1)
        cuda_packed_bits.unpack(octets, back_TN := torch.empty_like(spikes_TN), 1)
        maps, window = x_TN.flatten(0, 1), (3, 3, 2, 2, 1, 1)
        maxima, positions = cuda_max_pool.forward(maps, window)
        g_maps = cuda_max_pool.backward(torch.ones_like(maxima), positions, maps.shape, window)
    with torch.enable_grad():
        expected_TN = fire(x := x_TN.detach().requires_grad_())
        (g_expected_TN,) = torch.autograd.grad(expected_TN.sum(), x)
        pooled = functional.max_pool2d(pooled_input := maps.detach().requires_grad_(), 3, 2, 1)
        (g_pooled,) = torch.autograd.grad(pooled.sum(), pooled_input)
    matches = {
        "neurons": torch.equal(spikes_TN, expected_TN.detach()) and close(g_TN, g_expected_TN),
        "bit packing": torch.equal(back_TN, spikes_TN),
        "max pooling": torch.equal(maxima, pooled.detach()) and torch.equal(g_maps, g_pooled),
    }
    with torch.no_grad():
        mean, rstd = on_cuda.statistics(x_TN, None, 1e-5)
        text = LayerProgram((), law, "set 1.0", "add s z").text()
        call = LayerCall(x_TN, text, other_TN=other_TN, channels=KernelChannels(weight, bias, mean, rstd))
        y_TN, _ = on_cuda.forward(call, final=False)
        fused = on_cuda.backward(call, other_TN, None, needs_grad._replace(channels=True), batch=True)
    with torch.enable_grad():
        leaves = [each.detach().requires_grad_() for each in (x_TN, weight, bias)]
        axes, view = (0, 1, 3, 4), (1, 1, 4, 1, 1)
        deviation = leaves[0] - leaves[0].mean(axes).reshape(view)
        scale = (deviation.square().mean(axes) + 1e-5).rsqrt().reshape(view)
        sum_TN = fire(deviation * scale * leaves[1].reshape(view) + leaves[2].reshape(view)) + other_TN
        expected = torch.autograd.grad(sum_TN, leaves, other_TN)
    gradients = fused.x_TN, fused.weight, fused.bias
    matches["batch norm and neurons"] = torch.equal(y_TN, sum_TN.detach()) and all(map(close, gradients, expected))
    return [name for name, matched in matches.items() if not matched]


def _scalar(factor: Any, device: torch.device) -> bool:
    """Return whether a factor is a single number, on the device of the neurons if it is a tensor."""
    if isinstance(factor, Tensor):
        return factor.ndim == 0 and factor.device == device
    return isinstance(factor, int | float)


def _validated(choice: str) -> str:
    if choice in {"fastest", "reference"}:
        return choice
    raise ValueError(f"unknown kernels {choice!r}; expected 'fastest' or 'reference' (SEWDSL_KERNELS)")
