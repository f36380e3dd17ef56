"""Upsampling and transposed convolution: sizes, ranges, and what does not fit."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.ir.signal import BINARY, REAL, Signal, ValueRange
from sewdsl.ops.layers.conv import TransposedConv
from sewdsl.ops.layers.scaling import Scale
from sewdsl.ops.layers.shapes import Upsample


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("tc4k2s2", "tc4k2s2p0o0g1b1"),
        ("tc4k3s2", "tc4k3s2p1o1g1b1"),
        ("tc4k4s2", "tc4k4s2p1o0g1b1"),
        ("tc4k2s3", "tc4k2s3p0o1g1b1"),
        ("tc4k3", "tc4k3s1p1o0g1b1"),
        ("tc4k3s2p1", "tc4k3s2p1o1g1b1"),
        ("tc4k5s2p0", "tc4k5s2p0o0g1b1"),
        ("tc4k3s2p1o0", "tc4k3s2p1o0g1b1"),
        ("tc4k3x2s1x2", "tc4k3x2s1x2p1x0o0g1b1"),
    ],
)
def test_padding_makes_the_map_as_many_times_as_large_as_the_stride(text: str, settled: str) -> None:
    node = sewdsl.load(text, input="2x5x6").nodes[-1]
    assert str(node.op) == settled
    assert isinstance(node.op, TransposedConv)
    if "p" not in text:
        assert node.output.shape == (4, 5 * node.op.stride[0], 6 * node.op.stride[1])


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("tc4k2", "even-kernel", "no padding makes the output of transposed convolution k2 s1 1 times as large"),
        ("tc4k3s2o2", "even-kernel", "2 times as large"),
        ("tc4k3s2p1o2", "invalid-argument", "output padding o2 of a transposed convolution must be less"),
        ("tc4k3s2p9", "spatial-size-exhausted", "has no output for a 5x6 input"),
        ("tc4k2s2g3", "groups-mismatch", "3 groups do not divide 4 output channels"),
        ("FC4-tc4k2s2", "wrong-rank", "requires a [C, H, W] or [C, L] input"),
        ("FC4-UP2", "wrong-rank", "upsampling requires a [C, H, W] or [C, L] input"),
        ("GN3", "groups-mismatch", "2 channels cannot be divided into 3 equal groups"),
    ],
)
def test_what_does_not_fit_is_said(text: str, code: str, says: str) -> None:
    (found,) = sewdsl.read(text, input="2x5x6").diagnostics
    assert (found.code, says in found.message) == (code, True)


def test_a_transposed_convolution_before_a_norm_has_no_bias() -> None:
    network = sewdsl.load("tc4k2s2-BN-tc4k2s2-FC2", input="2x5x6")
    assert [node.op.bias for node in network if isinstance(node.op, TransposedConv)] == [False, True]
    assert [network.parameters(node) for node in network][1] == 2 * 4 * 4


def test_nearest_neighbours_stay_spikes() -> None:
    spikes = Signal((3, 4, 5), BINARY)
    assert Upsample(factor=2).infer(spikes) == Signal((3, 8, 10), BINARY)
    assert Upsample(factor=3, mode="bilinear").infer(spikes) == Signal((3, 12, 15), REAL)


def test_a_factor_is_a_unit() -> None:
    assert Scale(value=0.5).infer(Signal((3,), ValueRange(4))).values == ValueRange(4, 0.5)
    assert Scale(value=-0.5).infer(Signal((3,), ValueRange(4))).values == ValueRange(0, 0.5, -4)
    assert Scale(value=-2.0).infer(Signal((3,), ValueRange(1, 0.5, -3))).values == ValueRange(3, 1.0, -1)
    assert Scale(value=0.5, learn=True).infer(Signal((3,), BINARY)).values == REAL
    assert Scale(value=0.5).infer(Signal((3,), REAL)).values == REAL
