"""Joins become tapes that compute what they do, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sewdsl.equations.tape import Tape
from sewdsl.ops import catalogue
from sewdsl.snn.kernels.neuron.tapes import join_slopes, read_tape, tape_text, trace_join
from sewdsl.snn.protocols import JoinSpec
from tests.snn.kernels.test_tracing import evaluated


class Formula:
    """A join of somebody's own."""

    def __init__(self, combine: Callable[[Any, Any], Any]) -> None:
        self._combine = combine

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        result: Tensor = self._combine(branch, identity)
        return result


def shipped(kind: str) -> JoinSpec:
    spec: Any = catalogue()[kind]()
    return spec  # type: ignore[no-any-return]


JOINS: dict[str, JoinSpec] = {
    **{kind: shipped(kind) for kind in ("ADD", "AND", "IAND")},
    "OR": Formula(lambda a, s: a + s - a * s),
}
OTHERS: dict[str, JoinSpec] = {
    "a quotient": Formula(lambda a, s: (a - 2 * s) / (3 + a * s)),
    "a quotient of the other": Formula(lambda a, s: s / (1 + a) + 1 / (s + 2)),
    "a difference": Formula(lambda a, s: abs(s - a) - -s),
    "a power": Formula(lambda a, s: 0.5 * a**3 + s**2),
    "the greater": Formula(lambda a, s: (a > s) * a + ~(a > s) * s),
}
UNTRACEABLE: dict[str, JoinSpec] = {
    "torch": Formula(torch.maximum),
    "a branch": Formula(lambda a, s: max(s, a)),
    "a mask": Formula(lambda a, s: a >= s),
    "a number": Formula(lambda _a, _s: 1.0),
    "one operand": Formula(lambda _a, s: s * 2),
    "a step": Formula(lambda a, s: (a > 0.5) * s),
    "no rule": Formula(lambda a, s: 2**a + s),
}


@pytest.mark.parametrize("branch", [True, False])
@pytest.mark.parametrize("name", [*JOINS, *OTHERS])
def test_a_tape_computes_what_the_join_does(name: str, *, branch: bool) -> None:
    spec = (JOINS | OTHERS)[name]
    tape = trace_join(spec, branch=branch)
    assert tape is not None
    slopes = join_slopes(tape)
    assert slopes is not None
    for numbers in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (1.0, 3.0), (0.0, -0.7), (1.0, 0.4)):
        s, z = (torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers)
        value = spec.combine(branch=s, identity=z) if branch else spec.combine(branch=z, identity=s)
        leaves = dict(zip("sz", numbers, strict=True))
        assert evaluated(read_tape(Tape(), tape), **leaves) == pytest.approx(value.item(), rel=1e-12)
        expected = [gradient.item() for gradient in torch.autograd.grad(value, [s, z])]
        assert [evaluated(slope, **leaves) for slope in slopes[:2]] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("branch", [True, False])
@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_has_no_tape_or_no_gradient(name: str, *, branch: bool) -> None:
    assert trace_join(UNTRACEABLE[name], branch=branch) is None


def test_what_the_derivatives_depend_on() -> None:
    """Nothing is computed, and no operand kept, that they do not need."""
    slopes = {name: join_slopes(trace_join(spec, branch=True) or "") for name, spec in JOINS.items()}
    texts = {name: found and [tape_text(slope) for slope in found[:2]] for name, found in slopes.items()}
    assert texts["ADD"] == ["set 1.0", "set 1.0"]
    assert texts["AND"] == ["set z", "set s"]
    assert texts["IAND"] == ["neg z", "sub 1.0 s"]
    assert {name: found and found.reads_other for name, found in slopes.items()} == {
        "ADD": False,
        "AND": True,
        "IAND": True,
        "OR": True,
    }
