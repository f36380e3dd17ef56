"""The current that silences a neuron, and the least one that fires it at every time-step."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from sewdsl.ir.op import Activation, Neuron
from sewdsl.ir.signal import Signal
from sewdsl.lower.build_module import neutral_current
from sewdsl.ops import catalogue
from sewdsl.snn.runtime import Runtime
from tests.words import raises


def activation(kind: str, **arguments: Any) -> Activation:
    op = catalogue()[kind].model_validate(arguments)
    assert isinstance(op, Activation)
    return op


def response(op: Activation, current: float, dtype: torch.dtype) -> list[float]:
    """Distinct outputs over 500 time-steps of a constant current."""
    module = op.build(Runtime, Signal((1,))).to(dtype)
    with torch.no_grad():
        return sorted(set(module(torch.full((500, 1, 1), current, dtype=dtype)).flatten().tolist()))


@pytest.mark.parametrize("v_threshold", [0.5, 1.0, 1.5])
def test_the_if_neuron_needs_its_threshold(v_threshold: float) -> None:
    """Sec. 3.3."""
    assert neutral_current(activation("IF", v_threshold=v_threshold), 1) == v_threshold
    assert neutral_current(activation("IF", v_threshold=v_threshold), 0) == 0


@pytest.mark.parametrize(
    ("kind", "tau", "v_threshold", "v_reset"),
    [
        *product(["IF"], [None], [1.0, 0.7, 0.1], [0.0, -0.7, 0.05, None]),
        *product(["LIF", "PLIF"], [1.001, 1.5, 2.0, 3.0, 7.7, 100.0, 1e5], [1.0, 0.7], [0.0, -0.7, 0.3, None]),
    ],
)
def test_the_least_current_that_always_fires(
    kind: str, tau: float | None, v_threshold: float, v_reset: float | None
) -> None:
    op = activation(kind, v_threshold=v_threshold, v_reset=v_reset, **({} if tau is None else {"tau": tau}))
    current = neutral_current(op, 1)
    assert current == np.float32(current)
    for dtype in (torch.float32, torch.float64):
        assert response(op, current, dtype) == [1]
    assert response(op, current * (1 - 1e-5), torch.float32) != [1]
    assert response(op, neutral_current(op, 0), torch.float32) == [0]


@pytest.mark.parametrize("kind", ["IF", "LIF", "PLIF"])
def test_a_neuron_that_fires_by_itself_is_held_down(kind: str) -> None:
    op = activation(kind, v_reset=1.5)
    assert response(op, 0.0, torch.float32)[-1] == 1
    assert neutral_current(op, 1) == 0
    assert neutral_current(op, 0) < 0
    assert response(op, neutral_current(op, 0), torch.float32) == [0]


def test_without_a_neuron_the_current_is_the_value() -> None:
    assert neutral_current(None, 0) == 0
    assert neutral_current(None, 1) == 1
    assert neutral_current(activation("ReLU"), 0) == 0
    assert neutral_current(activation("ReLU"), 1) == 1


def test_a_neuron_that_cannot_be_made_to_fire() -> None:
    class Mute(Neuron):
        def charge(self, v: Any, x: Any) -> Any:
            return 0 * v + 0 * x

    Mute.kind = "Mute"
    with raises(ValueError):
        neutral_current(Mute(), 1)


@pytest.mark.parametrize("v_threshold", [0.6, 0.7, 1.0, 2.5])
@pytest.mark.parametrize("kind", ["PSN", "MaskedPSN", "SlidingPSN"])
def test_parallel_neurons_are_silent_without_current(kind: str, v_threshold: float) -> None:
    arguments = {} if kind == "SlidingPSN" else {"steps": 5}
    op = activation(kind, v_threshold=v_threshold, **arguments)
    assert neutral_current(op, 0) == 0
    if kind == "SlidingPSN":
        assert neutral_current(op, 1) == pytest.approx(v_threshold, rel=1e-6)
    else:  # whether a current fires them is for random weights to say
        with raises(ValueError):
            neutral_current(op, 1)
