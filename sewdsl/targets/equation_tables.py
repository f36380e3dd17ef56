"""Equations of neurons in integers, without weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import needed
from sewdsl.integers.lower_equations import EquationLaw
from sewdsl.integers.value import ZERO, IntegerValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAINS = np.array([0.6180339887, 1e-9])
"""Factors of the inputs of two channels: one beyond and one below the size that limits the unit of potentials."""


def lower_without_weights(step: NeuronStep, threshold: float, drifting: Iterable[bool]) -> EquationLaw:
    """Return equations in integers with as many constants as any weights require, or raise NoEquationLaw.

    Args:
        threshold: Size of the potentials that matter.
        drifting: Whether each input has a gain and a drift per channel.
    """
    scales = ((GAINS, GAINS) if drifts else (GAINS[0], ZERO) for drifts in drifting)
    inputs = [IntegerValue((1, 1, 2), 0, 1, *scale) for scale in scales]
    return EquationLaw(step, _factors(step), inputs, threshold)


def _factors(step: NeuronStep) -> dict[int, NDArray[np.float64]]:
    """Return factors of two channels and time-steps in general position, so that no constant is saved."""
    random, factors = np.random.default_rng(0), {}
    for entry in step.factors:
        learned = [step.learned[leaf.leaf] for leaf in needed([entry]) if leaf.operation == "learned"]
        shape = 1 + any(each.per_step for each in learned), 1 + any(each.per_channel for each in learned)
        factors[entry.index] = random.uniform(0.5, 1, shape)
    return factors
