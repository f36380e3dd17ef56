"""Loops in ONNX: one operation around all that is in them, or unrolled."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.lower import SpikingNetwork
from tests.exchange.onnx.running import run

TEXTS = [
    "FC8-LOOP[LIF | FC8]-FC3",
    "FC8-LOOP[LOOP[id | SCALE(value=0.75)]-IF(v_reset=none) | FC8-BN]-FC3",
    "FC6-BN-LOOP[DP-PLIF(v_reset=-0.5) | ADD[FC6 | id]]-LIF-FC3",
    "FC8-IF-DELAY-FC3",
    "FC8-LOOP[MAX[SN | FC8-SN] | id or FC8]-FC3",
]


def built(text: str) -> SpikingNetwork:
    model = sewdsl.compile(text, input=(6,), steps=4, neuron="LIF", seed=0).double().eval()
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


def test_any_number_of_time_steps_is_one_scan() -> None:
    model = built(TEXTS[0])
    graph = to_onnx(model, ScannedTime)
    assert [node.op_type for node in graph.graph.node].count("Scan") == 1
    x = 3 * torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(run(graph, x)["sequence"], model(x, return_sequence=True), rtol=0, atol=1e-9)


def test_windows_in_a_loop_are_refused() -> None:
    with pytest.raises(UnsupportedLayer, match=r"body\.slidingpsn1 \(SlidingPSN\) reads several time-steps in a loop"):
        to_onnx(built("FC8-LOOP[SlidingPSN | FC8]"), ScannedTime)
