"""Names of neurons and surrogates in SpikingJelly, for reading and writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sewdsl.ir.op import Neuron, Surrogate
from sewdsl.ops.neurons.integrate_and_fire import DLIF, IF, LIF, PLIF
from sewdsl.ops.surrogates import ATan, Constant, Rectangular, Sigmoid, Triangle

NEURONS: dict[type[Neuron], str] = {IF: "IFNode", LIF: "LIFNode", DLIF: "LIFNode", PLIF: "ParametricLIFNode"}
"""SpikingJelly classes. IF: H[t] = V[t-1] + X[t]. LIF and PLIF: V[t-1] + (X[t] - (V[t-1] - v_reset)) / tau. DLIF: the
same, but X[t] is not divided by tau."""


class NamedSurrogate(NamedTuple):
    """SpikingJelly surrogate and the kind with the same derivative."""

    name: str
    """Class name in SpikingJelly."""
    kind: type[Surrogate]
    arguments: Callable[[Any], dict[str, float] | None]
    """Maps an instance to the arguments of the kind, or to None if no arguments give the same derivative."""
    call: Callable[[Any], str] | None = None
    """Maps the kind to the constructor arguments of the class, as text. None if the class is only read."""


def _of_alpha(name: str, kind: type[Surrogate]) -> NamedSurrogate:
    return NamedSurrogate(name, kind, lambda surrogate: {"alpha": float(surrogate.alpha)}, lambda op: f"{op.alpha!r}")


SURROGATES = (
    _of_alpha("ATan", ATan),
    _of_alpha("Sigmoid", Sigmoid),
    _of_alpha("PiecewiseQuadratic", Triangle),  # alpha - alpha² |u| where |u| < 1 / alpha
    NamedSurrogate(  # 1 / (2 w) where |u| < w, else c
        "PiecewiseLeakyReLU",
        Rectangular,
        lambda surrogate: None if surrogate.c else {"width": 2 * float(surrogate.w)},
        lambda op: f"w={op.width / 2!r}, c=0.0",
    ),
    NamedSurrogate(  # leak where u < 0, else k
        "LeakyKReLU",
        Constant,
        lambda surrogate: {"value": float(surrogate.k)} if surrogate.k == surrogate.leak else None,
        lambda op: f"leak={op.value!r}, k={op.value!r}",
    ),
    NamedSurrogate("Rect", Rectangular, lambda surrogate: {"width": 1 / float(surrogate.alpha)}),
    NamedSurrogate("DeterministicPass", Constant, lambda _: {"value": 1.0}),
)
