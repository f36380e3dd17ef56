"""The constant current that makes a neuron say the same at every time-step: what a neutral branch needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

from sewdsl.ir.op import Activation, Neuron
from sewdsl.ir.signal import Signal
from sewdsl.snn.runtime import Runtime

MAX_CURRENT = 2.0**64
"""No current is tried beyond it."""
MAX_STEPS = 64
"""How many time-steps a current is tried for."""


@cache
def neutral_current(activation: Activation | None, neutral: int) -> float:
    """The input that makes an activation give ``neutral`` at every time-step, from rest.

    Args:
        activation: What ends the branch; None: nothing does, so the input itself is the branch.
        neutral: 0 (never fire) or 1 (always fire).

    Returns:
        A number that float32 holds: 0 where that does it; for firing, the least that fires in float32 and float64
        alike. That is v_threshold for the IF neuron (Sec. 3.3), up to the last digit.

    Raises:
        ValueError: no current does it.
    """
    if activation is None:
        return float(neutral)
    for current in _candidates(activation, neutral):
        if all(_gives(activation, current, neutral, dtype) for dtype in (torch.float32, torch.float64)):
            return current
    message = f"no constant current makes {activation} give {neutral} at every time-step"
    raise ValueError(message)


def _candidates(activation: Activation, neutral: int) -> Iterator[float]:
    yield float(neutral) if not isinstance(activation, Neuron) else 0.0
    if not isinstance(activation, Neuron):
        return
    if neutral == 0:  # a neuron that fires by itself has to be held down
        yield from (-activation.v_threshold * 2.0**k for k in range(-8, 24))
    else:
        least = np.float32(_least_firing(activation))
        yield float(least)
        step = np.spacing(np.abs(least))
        yield from (float(least + step * np.float32(2.0**k)) for k in range(22))


def _least_firing(neuron: Neuron) -> float:
    """The least current that fires a resting neuron, found by halving the interval: any dynamics will do."""
    learned = {name: torch.tensor(value, dtype=torch.float64) for name, value in neuron.learnable().items()}
    rest = torch.tensor(neuron.rest, dtype=torch.float64)

    def fires(current: float) -> bool:
        h = neuron.charge(rest, torch.tensor(current, dtype=torch.float64), **learned)
        return bool(h >= neuron.v_threshold)

    silent, firing = 0.0, neuron.v_threshold
    while not fires(firing) and firing < MAX_CURRENT:
        silent, firing = firing, 2 * firing
    while silent < (middle := (silent + firing) / 2) < firing:
        silent, firing = (silent, middle) if fires(middle) else (middle, firing)
    return firing


def _gives(activation: Activation, current: float, neutral: int, dtype: torch.dtype) -> bool:
    module = activation.build(Runtime, Signal((1,))).to(device="cpu", dtype=dtype)
    with torch.no_grad():
        return bool((module(torch.full((MAX_STEPS, 1, 1), current, dtype=dtype)) == neutral).all())
