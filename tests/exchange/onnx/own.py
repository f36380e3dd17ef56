"""Kinds of somebody's own, for as long as a test lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import log
from types import new_class
from typing import Any

import torch
from torch import Tensor, nn

from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.op import Join, Layer, LinearDynamics, LinearNeuron, Neuron
from sewdsl.ir.signal import BINARY, REAL, Signal, ValueRange
from sewdsl.snn.runtime import Runtime


class Forgetful(LinearNeuron):
    """Learns how much it forgets, and is charged by itself."""

    def learnable(self) -> Mapping[str, float]:
        return {"w": log(3.0)}

    def dynamics(self, w: Tensor) -> LinearDynamics:
        return LinearDynamics(decay=w.sigmoid(), gain=1.0, drift=0.125)


class Quadratic(Neuron):
    def charge(self, v: Any, x: Any, *_: Any, **__: Any) -> Any:
        return v + v * (v - 0.5) + x


class Spikes(Join):
    neutral_branch = 0

    def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # noqa: ARG002 -- spikes whatever the spikes
        return BINARY


class Either(Spikes):
    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return branch + identity - branch * identity


class Unlike(Spikes):
    """Every instruction that a join may have."""

    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return (1.0 - branch / 2) * identity + abs(-branch) * (identity < branch) * (branch >= 1)


class Largest(Spikes):
    def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
        return torch.maximum(branch, identity)


class Same(Layer):
    """Layer that preserves the shape."""

    def infer(self, *inputs: Signal) -> Signal:
        return Signal(inputs[0].shape, REAL, inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Conv2d(inputs[0].channels, inputs[0].channels, 3, padding="same")


class Depthwise(Same):
    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        c = inputs[0].channels
        return runtime.Conv2d(c, c, 3, 1, 1, groups=c, bias=False)


class Mish(Same):
    def build(self, *_: Any) -> nn.Module:
        return nn.Mish()


class Ceiling(Same):
    def build(self, runtime: type[Runtime], *_: Signal) -> nn.Module:
        return runtime.MaxPool2d(1, ceil_mode=True)


class Divided(Same):
    def build(self, runtime: type[Runtime], *_: Signal) -> nn.Module:
        return runtime.AvgPool2d(1, divisor_override=2)


class Balking(nn.Module):
    def forward(self, x_TN: Tensor) -> Tensor:
        return x_TN if x_TN.sum() > 0 else -x_TN


class Balks(Same):
    """Does one thing or another, by what it is given."""

    def build(self, *_: Any) -> nn.Module:
        return Balking()


KINDS = {
    "BALKS": Balks,
    "CEILING": Ceiling,
    "DIVIDED": Divided,
    "DW": Depthwise,
    "FIF": Forgetful,
    "LARGEST": Largest,
    "EITHER": Either,
    "QIF": Quadratic,
    "SAME": Same,
    "MISH": Mish,
    "UNLIKE": Unlike,
}


@contextmanager
def announced() -> Iterator[None]:
    """Register the kinds in the catalogue, and remove them afterwards."""
    for name, family in KINDS.items():
        new_class(name, (family,), {"kind": name})
    try:
        yield
    finally:
        for name in KINDS:
            del CATALOGUE[name]
