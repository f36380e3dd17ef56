"""Which kernel runs: the fastest that can, and the reference where no other can.

The environment variable ``SEWDSL_KERNELS=reference``, or ``with using("reference"):``, leaves everything to the
reference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from sewdsl.snn.kernels import operator, reference
from sewdsl.snn.kernels.law import Law
from sewdsl.snn.kernels.tracing import trace
from sewdsl.snn.specification import LinearSpec, NeuronSpec

Choice = Literal["fastest", "reference"]

FORMATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

_numba = find_spec("numba") is not None  # it is loaded when the first kernel is needed
_choice = os.environ.get("SEWDSL_KERNELS", "fastest")


@contextmanager
def using(choice: Choice) -> Iterator[None]:
    """Chooses the kernels for as long as it lasts, in all threads; backward passes go the way of their forwards."""
    global _choice  # noqa: PLW0603 -- one switch for the process, as the environment variable is
    before, _choice = _choice, _known(choice)
    try:
        yield
    finally:
        _choice = before


def spikes(spec: NeuronSpec, x_TN: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    """Runs neurons over a sequence, from rest.

    Args:
        spec: What they compute.
        x_TN: Input current, ``[T, N, *]``, T >= 1.
        learned: Values of the learnable scalars.

    Returns:
        Spikes ``[T, N, *]``.
    """
    return _run(spec, x_TN, None, learned, final=False)[0]


def integrate(
    spec: NeuronSpec, x_TN: Tensor, v_N: Tensor | None, learned: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Runs neurons over a sequence.

    Args:
        spec: What they compute.
        x_TN: Input current, ``[T, N, *]``, T >= 1.
        v_N: Membrane potential before the first step, ``[N, *]``; None: rest.
        learned: Values of the learnable scalars.

    Returns:
        Spikes ``[T, N, *]`` in the number format of the current, and the membrane potential after the last step
        ``[N, *]``, in float32 at least.
    """
    return _run(spec, x_TN, v_N, learned, final=True)


def _run(
    spec: NeuronSpec, x_TN: Tensor, v_N: Tensor | None, learned: Mapping[str, Tensor], *, final: bool
) -> tuple[Tensor, Tensor]:
    if isinstance(spec, LinearSpec) and _suits(x_TN, v_N):
        slope, factors = trace(spec.surrogate), spec.dynamics(**learned)
        if slope is not None and all(_scalar(factor) for factor in factors):
            tensors = [factor if isinstance(factor, Tensor) else None for factor in factors]
            fast: tuple[Tensor, Tensor] = operator.neuron(x_TN, v_N, *tensors, _law(spec, factors, slope), final=final)
            return fast
    return reference.integrate(spec, x_TN, v_N, learned)


def _suits(x_TN: Tensor, v_N: Tensor | None) -> bool:
    """Whether there is a kernel for such tensors."""
    if _known(_choice) == "reference" or x_TN.dtype not in FORMATS or x_TN.device.type != "cpu" or not _numba:
        return False
    wide = torch.promote_types(x_TN.dtype, torch.float32)
    return v_N is None or (v_N.dtype == wide and v_N.shape == x_TN.shape[1:] and v_N.device == x_TN.device)


def _scalar(factor: Any) -> bool:
    return factor.ndim == 0 if isinstance(factor, Tensor) else isinstance(factor, int | float)


def _law(spec: NeuronSpec, factors: tuple[Any, Any, Any], slope: str) -> str:
    decay, gain, drift = (0.0 if isinstance(factor, Tensor) else float(factor) for factor in factors)
    v_reset = None if spec.v_reset is None else float(spec.v_reset)
    rest, v_threshold, detach_reset = float(spec.rest), float(spec.v_threshold), bool(spec.detach_reset)
    return Law(decay, gain, drift, rest, v_threshold, v_reset, detach_reset, slope).text()


def _known(choice: str) -> str:
    if choice in {"fastest", "reference"}:
        return choice
    message = f"there are no kernels named {choice!r}: choose 'fastest' or 'reference' (SEWDSL_KERNELS)"
    raise ValueError(message)
