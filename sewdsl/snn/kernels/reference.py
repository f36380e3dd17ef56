"""The plain kernel: one loop over time in torch operations, for every neuron, device and dtype.

It is what faster kernels are measured against, and what compiles and exports anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sewdsl.snn.protocols import LinearSpec, NeuronSpec, SurrogateSpec


def heaviside(u: Tensor, surrogate: SurrogateSpec) -> Tensor:
    """1 where u >= 0, else 0 (Eq. 2), NaN where u is not finite; its gradient is the surrogate's derivative."""
    spikes = (u >= 0).to(u.dtype)
    if not torch.is_grad_enabled():
        return spikes + (u - u)
    u_value = u.detach()
    slope: Tensor | float = surrogate.derivative(u_value)
    if isinstance(slope, Tensor):
        slope = slope.to(u.dtype)  # a comparison gives bool, and bool / float float32
    return spikes + (u - u_value) * slope  # u - u_value is 0, so the value is exactly that of spikes


def fire(spec: NeuronSpec, h: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and the potential after them, from the charged potential H[t] (Eq. 2 and 3)."""
    spikes = heaviside(h - spec.v_threshold, spec.surrogate)
    resetting = spikes.detach() if spec.detach_reset else spikes
    if spec.v_reset is None:
        return spikes, h - spec.v_threshold * resetting
    return spikes, h * (1 - resetting) + spec.v_reset * resetting


def integrate(spec: NeuronSpec, x_TN: Tensor, v: Tensor | None, learned: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Runs neurons over a sequence.

    Args:
        spec: What they compute.
        x_TN: Input current, ``[T, N, *]``, T >= 1.
        v: Membrane potential before the first step, ``[N, *]``; None: rest.
        learned: Values of the learnable scalars.

    Returns:
        Spikes ``[T, N, *]`` in the dtype of the current, and the membrane potential after the last step
        ``[N, *]``, in float32 at least.
    """
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    v = torch.full_like(x_TN[0], spec.rest, dtype=wide) if v is None else v.to(torch.promote_types(v.dtype, wide))
    charge, drive_TN = charge_function(spec, x_TN.to(wide), learned)
    spikes = []
    for drive in drive_TN.unbind():
        s, v = fire(spec, charge(v, drive))
        spikes.append(s)
    return torch.stack(spikes).to(x_TN.dtype), v


def charge_function(
    spec: NeuronSpec, x_TN: Tensor, learned: Mapping[str, Tensor]
) -> tuple[Callable[[Tensor, Tensor], Tensor], Tensor]:
    """How to charge a step (Eq. 1), and with what: all that needs no V is done for all steps at once."""
    if not isinstance(spec, LinearSpec):
        return (lambda v, x: spec.charge(v, x, **learned)), x_TN
    decay, gain, drift = spec.dynamics(**learned)
    drive_TN = _scaled(gain, x_TN)
    if not _is(drift, 0):
        drive_TN = drive_TN + drift
    return (lambda v, drive: _scaled(decay, v) + drive), drive_TN


def _scaled(factor: Any, x: Tensor) -> Tensor:
    """``factor · x``, without a pass over the memory where it is 1."""
    return x if _is(factor, 1) else factor * x


def _is(factor: Any, number: int) -> bool:
    return not isinstance(factor, Tensor) and factor == number
