"""A small network with everything in it, and frames for it."""

from __future__ import annotations

from typing import Protocol

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.lower import SpikingNetwork, lower

TINY = "c4k3-BN-SN-MPk2-{SEW Block (c4)-SEW Block (c6s2)}*2-DP0.25-FC5"


class Build(Protocol):
    def __call__(
        self, text: str = TINY, *, size: str = "2x16x16", neuron: str = "PLIF", **settings: str
    ) -> SpikingNetwork:
        """The module of a compact string, with busy neurons, in evaluation mode."""


@pytest.fixture
def build() -> Build:
    def _build(text: str = TINY, *, size: str = "2x16x16", neuron: str = "PLIF", **settings: str) -> SpikingNetwork:
        network = sewdsl.load(text, input=size, steps=4, neuron=neuron, set=settings)
        model = lower(network, seed=0)
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and ".bn" in f".{name}" and "zero" not in settings.get("init", ""):
                torch.nn.init.constant_(parameter, 1.5)
        return model.eval()

    return _build


@pytest.fixture
def frames() -> Tensor:
    """A sequence for the input 2x16x16: T = 4, N = 3."""
    return torch.randn(4, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
