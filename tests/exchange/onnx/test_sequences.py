"""Kinds that know time, as ONNX, give what they give here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import sewdsl
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from tests.exchange.onnx.running import run

if TYPE_CHECKING:
    from onnx import ModelProto

T, N = 5, 3
BODIES = (
    *("TA(r=2)", "CA(r=2)", "SA(k=3)", "SA(k=5)", "TCJA(kernel_t=4, kernel_c=3)", "TCJA(kernel_t=1, kernel_c=2)"),
    *("PSN", "MaskedPSN(order=3)", "SlidingPSN(order=3)", "SlidingPSN(order=9)", "TEBN", "c3k3-TEBN-PSN"),
    *("POS(per=step)", "FC6-POS(per=step)", "MEAN(over=time)", "c3k3-SUM(over=time)-IF", "MEAN(over=time)-POS"),
    *("BNTT", "TAB", "FC6-TAB(eps=0.1)-BNTT-IF"),
    *("Swap", "Swap(heads=2)-IF", "Swap[c30k1-IF]", "c4k3-Swap(heads=2)[c5k1-c30k1x1]-FC3"),
    *(
        "TOK3-IF",
        "CAT[TOK2-Swap | Swap]-Swap-Slice(start=-1, over=places)",
        "Slice(stop=2)",
        "UP2x3-IF",
        "PAD1x2",
        "PAD(p=2, mode=reflect)-IF",
        "DP(per=step)-IF",
        "MUL[AMAX(over=places) | id]-MUL[AMAX(over=channels, groups=2) | id]",
        "Reshape(8x15)-AMAX(over=places)-FC8-AMAX(over=channels)",
        "PAD(p=1)-UP2-FFT-c4k1-FFT(inverse=on)",
        "UP2-Reshape(4x120)-FFT-IF-FFT(inverse=on)",
    ),
    *("Slice(start=-1, over=time)", "c3k3-IF-Slice(start=1, stop=2, over=time)"),
    *("RMS", "FC6-RMS(eps=0.1)", "FC24-Reshape(2x3x4)-Reshape(6x4)-Reshape(24)"),
    *("FC6-TA(r=2)", "FC6-CA(r=3)", "FC6-TEBN-SlidingPSN", "FC6-PSN-FC4-MaskedPSN", "c4k3-CA(r=2)-SA(k=3)-TA(r=5)-IF"),
)


def free(model: ModelProto) -> bool:
    return bool(model.graph.input[0].type.tensor_type.shape.dim[0].dim_param)


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("body", BODIES)
def test_the_same_outputs(body: str, encode: str, axis: type[TimeAxis]) -> None:
    model = sewdsl.compile(body, input="4x5x6", steps=T, set={"encode": encode}, seed=1)
    x = torch.randn(*([] if encode == "direct" else [T]), N, 4, 5, 6, generator=torch.Generator().manual_seed(0)) + 0.3
    for _ in range(2):
        model(x)
    model.eval()
    with torch.no_grad():
        expected = model(x, return_sequence=True)
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "any_length"),
    [("CA(r=2)-SA(k=3)-SlidingPSN", True), ("PSN", False), ("TEBN", False), ("POS-MEAN(over=time)", True)],
)
def test_weights_of_one_number_of_time_steps_fix_it(body: str, *, any_length: bool) -> None:
    model = sewdsl.compile(body, input="4x5x6", steps=T, seed=1).eval()
    written = to_onnx(model, ScannedTime)
    assert free(written) == any_length
    if any_length:
        x = torch.randn(T + 3, N, 4, 5, 6)
        with torch.no_grad():
            torch.testing.assert_close(run(written, x)["sequence"], model(x, return_sequence=True))


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
def test_numbers_of_each_time_step_without_a_state(axis: type[TimeAxis]) -> None:
    text = f"sewdsl 1\ninput 4x5x6\nsteps {T}\nneuron Mix {{ learn w per channel, step = normal(0, 1)   give w*x }}\n"
    model = sewdsl.compile(f"{text}body c4k3-Mix-FC3\n", seed=1).eval()
    x = torch.randn(T, N, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x, return_sequence=True)
    torch.testing.assert_close(run(to_onnx(model, axis), x)["sequence"], expected, rtol=1e-5, atol=1e-6)
