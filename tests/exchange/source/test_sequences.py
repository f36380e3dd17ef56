"""Kinds that know time as files have them: outputs, gradients and names of weights are those of the module."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.python.layer_classes import runtime_class
from sewdsl.ir.network import Network
from tests.exchange.source.files import DOUBLE, SOURCES, made, outcome, same
from tests.words import raises

BODIES = (
    "c6k3-BN-TA(r=2)-CA(r=3)-SA(k=3)-ReLU-IF-FC8-TEBN-TA(r=5)-LIF-FC3",
    "c6k3-TEBN-PSN-TCJA(kernel_t=4, kernel_c=3)-c4k3-tdBN-MaskedPSN(order=3)-FC5-SlidingPSN(order=2)-FC3",
    "{c6k3-TEBN(momentum=0.3)-PSN-CA(r=2)}*2-c4k3-TEBN(eps=0.01)-SlidingPSN(order=9, surrogate=Sigmoid(alpha=3.0))-FC3",
    "c6k3-RMS(eps=0.1)-POS-IF-POS(per=step)-FC36-Reshape(4x3x3)-MEAN(over=time)-LIF-Reshape(6x6)-SUM(over=time)-FC3",
    "c6k3-Swap[c5k1-LIF-c42k3]-IF-ADD[Swap(heads=3)[c42k1x3p0x1] | id]-Swap-BN-Swap(to=21x2)-Flatten-FC3",
    "c6k3-IF-CAT[TOK2-Swap | Swap]-Swap-Slice(stop=9, over=places)-IF-Slice(start=1, stop=5)-FC3",
    "c6k3-IF-APk2-UP2x3-Slice(start=-2, stop=-1, over=time)-c4k3-ADD[TOK54-Reshape(4x6x9) | id]-FC3",
    "c6k3-PAD1x2-BN-IF-PAD(p=2, mode=reflect)-c4k3-APk2-Reshape(4x42)-PAD1-IF-PAD(p=3, mode=reflect)-FC3",
    "c6k3-DP(p=0.3, per=step)-IF-LOOP[DP(per=step)-IF | c6k3]-DP-FC3",
    "c6k3-MUL[AMAX(over=places) | id]-MUL[AMAX(over=channels, groups=3) | id]-IF-Reshape(6x42)-AMAX(over=places)-FC3",
    "c6k3-UP2-FFT-c8k1-BN-ReLU-FFT(inverse=on)-IF-Reshape(4x168)-FFT-FFT(inverse=on)-FC3",
    "c6k3-PReLU-c4k3-PReLU(shared=on)-GELU-IF-OR[c4k3-IF | c4k1-IF | id]-FC3",
    "c6k3-BNTT-IF-c4k3-TAB(momentum=0.3)-LIF-FC5-BNTT(eps=0.1)-TAB-FC3",
    "c6k3-IF-MEAN(over=time)-tdBN-MUL[c6k1-BN(weight=0.5)-Logistic | id]-c4k3-TEBN-ADD[IF | id]-FC5-BN-IF-FC3",
    "{c6k3-BN-ReLU}*2-IF-SUM(over=time)-{c6k3-BN-ReLU}*2-FC4-BN(weight=2.0)-ReLU-FC3",
    "FC6-PSN(surrogate=Triangle(alpha=0.7))-FC6-IF-FC5-MaskedPSN-FC5-CA(r=2)-FC3",
)


def check(network: Network, dialect: str) -> None:
    """The outputs, gradients and running statistics of a file are those of the module."""
    ours = sewdsl.compile(network, seed=3, optimize=0).to(DOUBLE)
    theirs = made(SOURCES[dialect](network), ours)
    x = 2 * torch.randn(5, 2, *network.settings.input, dtype=DOUBLE, generator=torch.Generator().manual_seed(4))
    wanted = outcome(ours, x)
    assert wanted.y.std() > 0
    same(outcome(theirs, x), wanted)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("body", BODIES)
def test_the_same(body: str, dialect: str) -> None:
    check(sewdsl.load(body, input="2x6x7", steps=5), dialect)


def test_a_threshold_that_spikingjelly_does_not_begin_at() -> None:
    network = sewdsl.load("FC6-PSN(v_threshold=0.5)-FC3", input="4", steps=5)
    check(network, "python")
    with raises(UnsupportedLayer):
        SOURCES["spikingjelly"](network)


def test_classes_of_the_runtime() -> None:
    """Suffixes of shapes, methods for printing and further lines of the docstring are left out."""
    expected = '''\
class Scale(nn.Module):
    """Product with a scalar, which may be learnable."""

    def __init__(self, value: float, *, learn: bool) -> None:
        super().__init__()
        self.value = value
        self.weight = nn.Parameter(torch.tensor(value)) if learn else None

    def forward(self, x: Tensor) -> Tensor:
        """Process all time-steps."""
        return x * (self.value if self.weight is None else self.weight)
'''
    assert runtime_class("layers", "Scale") == expected
