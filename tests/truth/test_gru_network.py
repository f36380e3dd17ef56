"""The shipped EV-FlowNet with ConvGRUs against its own loop over time in plain PyTorch, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

import sewdsl
from sewdsl.lower import SpikingNetwork


class Reference:
    """Network that computes one time-step after the other.

    Args:
        weights: Weights of the shipped network.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights
        self.hidden: dict[str, Tensor] = {}

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return conv2d(x, weight, bias, stride, weight.shape[-1] // 2)

    def gru(self, name: str, x: Tensor) -> Tensor:
        h = self.hidden.get(name, torch.zeros_like(x))
        z, r = (self.conv(f"{name}.{gate}.conv1", torch.cat((x, h), 1)).sigmoid() for gate in "zr")
        n = self.conv(f"{name}.n.conv1", torch.cat((x, r * h), 1)).tanh()
        self.hidden[name] = (1 - z) * h + z * n
        return self.hidden[name]

    def down(self, name: str, x: Tensor) -> Tensor:
        return self.gru(f"{name}.down1.gru1", self.conv(f"{name}.down1.conv1", x, 2).relu())

    def up(self, name: str, deep: Tensor, skip: Tensor) -> Tensor:
        return self.conv(f"{name}.up1.conv1", torch.cat((interpolate(deep, scale_factor=2), skip), 1)).relu()

    def step(self, x: Tensor) -> dict[str, Tensor]:
        e1 = self.down("e1", x)
        e2 = self.down("e2", e1)
        d3 = self.down("e3", e2)
        for copy in (1, 2):
            name = f"d3.repeat1.{copy}.res1.branch"
            d3 = (self.conv(f"{name}.conv2", self.conv(f"{name}.conv1", d3).relu()) + d3).relu()
        d2 = self.up("d2", d3, e2)
        d1 = self.up("d1", d2, e1)
        return {
            "coarse": self.conv("coarse.conv1", d2).tanh(),
            "flow": self.conv("flow.conv1", interpolate(d1, scale_factor=2)).tanh(),
        }


@pytest.mark.usefixtures("plain_pytorch")
def test_it_is_the_loop_that_one_would_write() -> None:
    model = sewdsl.compile("evflow-gru", seed=0, steps=3).double()
    assert isinstance(model, SpikingNetwork)
    x = torch.randn(3, 1, 2, 64, 64, dtype=torch.float64, requires_grad=True)
    weights = dict(model.named_parameters())
    reference = Reference(weights)  # type: ignore[arg-type]
    steps = [reference.step(x_N) for x_N in x]
    expected = {name: torch.stack([step[name] for step in steps]) for name in ("coarse", "flow")}
    found = model(x, return_sequence=True)
    assert isinstance(found, dict)
    for name, y in expected.items():
        torch.testing.assert_close(found[name], y, rtol=0, atol=1e-12)
    inputs = [x, *weights.values()]
    one, other = (
        torch.autograd.grad([y.square().sum() for y in outputs.values()], inputs) for outputs in (found, expected)
    )
    for mine, its in zip(one, other, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-10)
