"""Loops in ONNX: one operation around all that is in them, or unrolled."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.lower import SpikingNetwork
from tests.effort import examples
from tests.exchange.onnx.running import run
from tests.words import raises

TEXTS = [
    "FC8-LOOP[LIF | FC8]-FC3",
    "FC8-LOOP[LOOP[id | SCALE(value=0.75)]-IF(v_reset=none) | FC8-BN]-FC3",
    "FC6-BN-LOOP[DP-PLIF(v_reset=-0.5) | ADD[FC6 | id]]-LIF-FC3",
    "FC8-IF-DELAY-FC3",
    "FC8-DELAY2-IF-DELAY6-FC3",
    "FC8-LOOP[DELAY2-ALIF-FC8 | DELAY3-FC8]-FC3",
    "FC8-LOOP[MAX[SN | FC8-SN] | id or FC8]-FC3",
    "FC8-LOOP[ALIF(rho=0.7) | FC8]-FC3",
    "FC8-LOOP[GLIF-FC8-DELAY-KLIF | ADD[FC8 | DELAY]]-FC3",
    "FC8-LOOP[CUBA-BN-PLIFC | FC8-Tanh]-FC3",
]


EQUATIONS = sorted(name for name in shipped_neurons() if name not in {"IF", "LIF", "PLIF"})
FEEDBACKS = ("FC6", "id", "FC6-BN", "SCALE(value=0.5)", "DELAY-FC6", "FC6-ALIF-FC6")


def built(text: str, seed: int = 0) -> SpikingNetwork:
    model = sewdsl.compile(text, input=(6,), steps=4, neuron="LIF", seed=seed).double().eval()
    assert isinstance(model, SpikingNetwork)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize("text", TEXTS)
def test_it_gives_the_same(text: str, axis: type[TimeAxis]) -> None:
    model = built(text)
    x = 3 * torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        y = model(x, return_sequence=True)
    assert y.std() > 0
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], y, rtol=0, atol=1e-9)


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize("body", ["FC6-First-FC3", "FC6-LOOP[First | FC6]-FC3"])
def test_a_state_that_is_set_to_a_number(body: str, axis: type[TimeAxis]) -> None:
    """The state has the shape of the other states after the first time-step too."""
    neuron = "neuron First {\n state begun = 0\n m = x - begun*0.5\n begun = 1\n give m\n}\n"
    model = sewdsl.compile(f"sewdsl 1\ninput 6\nsteps 4\n{neuron}body {body}\n", seed=0).double().eval()
    x = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        y = model(x, return_sequence=True)
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], y, rtol=0, atol=1e-9)


def test_any_number_of_time_steps_is_one_scan() -> None:
    model = built(TEXTS[0])
    graph = to_onnx(model, ScannedTime)
    assert [node.op_type for node in graph.graph.node].count("Scan") == 1
    x = 3 * torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(run(graph, x)["sequence"], model(x, return_sequence=True), rtol=0, atol=1e-9)


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@examples(10)
@given(st.lists(st.sampled_from(EQUATIONS), min_size=1, max_size=2), st.sampled_from(FEEDBACKS), st.integers(0, 99))
def test_neurons_as_equations_give_the_same(axis: type[TimeAxis], neurons: list[str], feedback: str, seed: int) -> None:
    model = built(f"FC6-LOOP[{'-FC6-'.join(neurons)} | {feedback}]-FC3", seed)
    x = 3 * torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        y = model(x, return_sequence=True)
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], y, rtol=0, atol=1e-9)


def test_windows_in_a_loop_are_refused() -> None:
    with raises(UnsupportedLayer):
        to_onnx(built("FC8-LOOP[SlidingPSN | FC8]"), ScannedTime)
