"""A sequence whose batch is the first axis: a warning, once for each module."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.lower import SpikingNetwork
from tests.effort import examples

TEXT = "the input [2, 4, 1, 3, 3] is read as T=2 time-steps of N=4 samples, but network has 4 time-steps; if"


def network(steps: int = 4) -> SpikingNetwork:
    return sewdsl.compile("c1k3-IF-FC2", input="1x3x3", steps=steps, seed=0)


def warned(call: Any, *inputs: torch.Tensor) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for x in inputs:
            call(x)
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
@examples(20)
def test_where_n_is_steps_and_t_is_not(steps: int, T: int, N: int) -> None:
    model, x = network(steps), torch.rand(T, N, 1, 3, 3)
    said = warned(model, x, x)
    assert len(said) == int(N == steps != T and steps > 1)
    assert warned(network(steps), x[0]) == [], "a static input has no time axis"


def test_once_for_each_module() -> None:
    x, model = torch.rand(2, 4, 1, 3, 3), network()
    fresh = copy.deepcopy(model)
    (said,) = warned(model, x, x, x)
    assert said.startswith(TEXT)
    assert warned(model.at("conv1"), x) == [], "it is a view of the module"
    assert len(warned(fresh.at("conv1"), x)) == 1
    assert warned(fresh, x) == []


def test_compiled_without_a_break() -> None:
    x, model = torch.rand(2, 4, 1, 3, 3), network()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the input")
        found = compiled(x)
    assert model.doubts_layout, "a graph warns of nothing"
    (_,) = warned(lambda sequence: torch.testing.assert_close(model(sequence), found), x)
