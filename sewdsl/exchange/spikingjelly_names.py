"""Names of neurons and surrogates in SpikingJelly, for reading and writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sewdsl.ir.op import Neuron, Surrogate
from sewdsl.ops.neurons.integrate_and_fire import DLIF, IF, LIF, PLIF
from sewdsl.ops.surrogates import ATan, Constant, Rectangular, Sigmoid, Triangle

NEURONS: dict[type[Neuron], str] = {IF: "IFNode", LIF: "LIFNode", DLIF: "LIFNode", PLIF: "ParametricLIFNode"}
"""Classes of neurons: H[t] = V[t-1] + X[t], or V[t-1] + (X[t] - (V[t-1] - v_reset)) / tau, or the latter without a
division of X[t]: DLIF."""


class NamedSurrogate(NamedTuple):
    """A surrogate of SpikingJelly with the derivative of a kind.

    Attributes:
        name: Name of its class.
        kind: Kind of the same derivative.
        arguments: Arguments of the kind for a surrogate there; None if its derivative is another one.
        call: Arguments of the class for a surrogate of the kind, as text; None if it is read only.
    """

    name: str
    kind: type[Surrogate]
    arguments: Callable[[Any], dict[str, float] | None]
    call: Callable[[Any], str] | None = None


def _of_alpha(name: str, kind: type[Surrogate]) -> NamedSurrogate:
    return NamedSurrogate(name, kind, lambda there: {"alpha": float(there.alpha)}, lambda op: f"{op.alpha!r}")


SURROGATES = (
    _of_alpha("ATan", ATan),
    _of_alpha("Sigmoid", Sigmoid),
    _of_alpha("PiecewiseQuadratic", Triangle),  # alpha - alpha² |u| where |u| < 1 / alpha
    NamedSurrogate(  # 1 / (2 w) where |u| < w, else c
        "PiecewiseLeakyReLU",
        Rectangular,
        lambda there: None if there.c else {"width": 2 * float(there.w)},
        lambda op: f"w={op.width / 2!r}, c=0.0",
    ),
    NamedSurrogate(  # leak where u < 0, else k
        "LeakyKReLU",
        Constant,
        lambda there: {"value": float(there.k)} if there.k == there.leak else None,
        lambda op: f"leak={op.value!r}, k={op.value!r}",
    ),
    NamedSurrogate("Rect", Rectangular, lambda there: {"width": 1 / float(there.alpha)}),
    NamedSurrogate("DeterministicPass", Constant, lambda _: {"value": 1.0}),
)
