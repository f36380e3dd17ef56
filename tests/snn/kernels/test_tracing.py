"""Formulas become tapes, and tapes programs that compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from sewdsl.equations.tape import Tape, TapeEntry, evaluate, needed
from sewdsl.ops import catalogue
from sewdsl.snn.kernels.neuron.tapes import read_tape, trace_surrogate
from tests.snn.kernels.cases import SURROGATES, make


class Formula:
    """A surrogate of somebody's own."""

    def __init__(self, derivative: Callable[[Any], Any]) -> None:
        self.derivative = derivative


TRACEABLE: dict[str, Callable[[Any], Any]] = {
    "a number": lambda _u: 0.5,
    "a whole number": lambda _u: 1,
    "the argument": lambda u: +u,
    "powers": lambda u: 1 / (1 + u**2) + u**3 - u**0 + (u * u + 1) ** 0.5 + (1 + abs(u)) ** -2,
    "exponentials": lambda u: 2 ** (-abs(u)) + math.e**-u,
    "masks": lambda u: ((u > -1) & (u < 0.5)) * 2.0 + ((u <= -1) | (u >= 1)) * u + ~(u > 0) * 0.25,
    "a variable mask": lambda u: (u > u * u) * (u - 1),
    "an unused term": lambda u: (u * 3, u * 2)[0],
}
UNTRACEABLE: dict[str, Callable[[Any], Any]] = {
    "a branch": lambda u: 1.0 if u > 0 else 0.0,
    "a chain of comparisons": lambda u: (-1 < u < 1) * 1.0,
    "torch": torch.sigmoid,
    "a method": lambda u: u.sigmoid(),
    "math": math.exp,
    "a power of itself": lambda u: abs(u) ** u,
    "an odd power": lambda u: abs(u) ** 0.3,
    "a long power": lambda u: u**9,
    "a negative base": lambda u: (-2) ** u,
    "equality": lambda u: (u == 0) * 1.0,
    "a sum of masks": lambda u: ((u > 0) + (u < 1)) * 1.0,
    "a quotient of masks": lambda u: (u > 0) / (u < 1),
    "numbers as masks": lambda u: u & (u > 0),
    "infinity": lambda u: u * math.inf,
    "a set": lambda u: len({u}) * u,
    "nothing": lambda _u: None,
}


def evaluated(root: TapeEntry, **leaves: float) -> float:
    known: dict[int, float | tuple[float, ...]] = {root.tape.leaf(name).index: x for name, x in leaves.items()}
    result = evaluate(needed([root]), known)[root.index]
    assert isinstance(result, int | float)
    return result


@pytest.mark.parametrize("name", [*SURROGATES, *TRACEABLE])
def test_a_tape_computes_what_the_formula_does(name: str) -> None:
    surrogate: Any = catalogue()[name]() if name in SURROGATES else Formula(TRACEABLE[name])
    tape = trace_surrogate(surrogate)
    assert tape is not None
    for u in (-2.0, -1.0, -0.3, 0.0, 0.3, 0.5, 1.0, 2.0):
        assert evaluated(read_tape(Tape(), tape), u=u) == pytest.approx(
            float(surrogate.derivative(torch.tensor(u, dtype=torch.float64))), rel=1e-12
        )


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_is_no_plain_arithmetic_has_no_tape(name: str) -> None:
    assert trace_surrogate(Formula(UNTRACEABLE[name])) is None


def test_a_tape_is_the_same_in_every_process() -> None:
    assert trace_surrogate(make("IF").surrogate) == "mul u 3.141592653589793; mul t0 t0; add t1 1.0; div 1.0 t2"


class Changing:
    """A surrogate of one's own, which may change, with or without a hash."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def derivative(self, u: Any) -> Any:
        return self.alpha / (1 + u * u)


class Unhashable(Changing):
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Changing, Unhashable])
def test_a_surrogate_that_changes_is_traced_anew(kind: type[Changing]) -> None:
    surrogate = kind(2.0)
    before = trace_surrogate(surrogate)
    surrogate.alpha = 3.0
    assert before == "mul u u; add t0 1.0; div 2.0 t1"
    assert trace_surrogate(surrogate) == "mul u u; add t0 1.0; div 3.0 t1"


class One(NamedTuple):
    alpha: float

    def derivative(self, u: Any) -> Any:
        return self.alpha / (1 + u * u)


class Other(NamedTuple):
    alpha: float

    def derivative(self, u: Any) -> Any:
        return self.alpha * abs(u)


@dataclass(frozen=True)
class Weighted:
    weights: list[float]

    def derivative(self, u: Any) -> Any:
        return sum(self.weights) / (1 + u * u)


def test_equal_surrogates_of_two_classes_have_two_formulas() -> None:
    assert trace_surrogate(One(2.0)) == "mul u u; add t0 1.0; div 2.0 t1"
    assert trace_surrogate(Other(2.0)) == "abs u; mul t0 2.0"


def test_a_surrogate_whose_hash_raises() -> None:
    assert trace_surrogate(Weighted([1.0, 2.0])) == "mul u u; add t0 1.0; div 3.0 t1"
