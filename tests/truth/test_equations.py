"""Whole networks against the paper's equations, written out in plain numpy: Eq. 1 to 5 and 9, Table 1, Fig. 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import sewdsl
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.neuron import Neuron

Array = NDArray[np.float64]

TAU = {"IF": None, "LIF": 2.5, "PLIF": 1.7}
V_THRESHOLD = 0.9


@dataclass
class Paper:
    """The forward pass of a network on ``[T, N, C, H, W]``, weights by our keys; keeps the spikes of every neuron."""

    weights: Mapping[str, Array]
    tau: float | None
    v_reset: float | None
    join: str
    training: bool
    spikes: list[Array]

    def convolution(self, key: str, x: Array, stride: int = 1) -> Array:
        weight = self.weights[f"{key}.weight"]
        k = weight.shape[-1]
        padded = np.pad(x, [(0, 0)] * 3 + [(k // 2, k // 2)] * 2)
        height, width = ((length - 1) // stride + 1 for length in x.shape[-2:])
        y = np.zeros((*x.shape[:2], len(weight), height, width))
        for i, j in product(range(height), range(width)):
            window = padded[..., i * stride : i * stride + k, j * stride : j * stride + k]
            y[..., i, j] = np.einsum("tncij,ocij->tno", window, weight)
        return y

    def normalise(self, key: str, x: Array) -> Array:
        def per_channel(values: Array) -> Array:
            return values[:, None, None]

        if self.training:
            mean, variance = x.mean((0, 1, 3, 4)), x.var((0, 1, 3, 4))
        else:
            mean, variance = self.weights[f"{key}.running_mean"], self.weights[f"{key}.running_var"]
        x_hat = (x - per_channel(mean)) / np.sqrt(per_channel(variance) + 1e-5)
        return per_channel(self.weights[f"{key}.weight"]) * x_hat + per_channel(self.weights[f"{key}.bias"])

    def fire(self, x: Array) -> Array:
        rest = 0.0 if self.v_reset is None else self.v_reset
        v, s = np.full(x.shape[1:], rest), np.zeros_like(x)
        for t in range(len(x)):
            h = v + x[t] if self.tau is None else v + (x[t] - (v - rest)) / self.tau  # Eq. 4, 5
            s[t] = h >= V_THRESHOLD  # Eq. 2
            v = h - V_THRESHOLD * s[t] if self.v_reset is None else h * (1 - s[t]) + self.v_reset * s[t]  # Eq. 3
        self.spikes.append(s)
        return s

    def block(self, key: str, s: Array, convolutions: int, stride: int = 1) -> Array:
        a = s
        for i in range(1, convolutions + 1):
            strided = stride if i == (2 if convolutions == 3 else 1) else 1
            a = self.convolution(f"{key}.branch.conv{i}", a, strided)
            a = self.fire(self.normalise(f"{key}.branch.bn{i}", a))
        if f"{key}.shortcut.conv1.weight" in self.weights:
            s = self.convolution(f"{key}.shortcut.conv1", s, stride)
            s = self.fire(self.normalise(f"{key}.shortcut.bn1", s))
        return {"ADD": a + s, "AND": a * s, "IAND": (1 - a) * s}[self.join]  # Eq. 9, Table 1

    def network(self, x: Array, block: str, convolutions: int) -> Array:
        s = self.fire(self.normalise("bn1", self.convolution("conv1", x)))
        s = self.block(f"{block}1", s, convolutions)
        s = self.block(f"{block}2", s, convolutions, stride=2)
        return s.reshape(*s.shape[:2], -1) @ self.weights["fc1.weight"].T + self.weights["fc1.bias"]


TEXTS = {
    "sew_block": "c4k3-BN-SN-SEW Block (c4)-SEW Block (c6s2)-FC5",
    "sew_bottleneck": "c4k3-BN-SN-SEW Bottleneck (c2)-SEW Bottleneck (c3s2)-FC5",
}


CASES = [(kind, block) for kind in TAU for block in TEXTS if block == "sew_block" or kind == "PLIF"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
@pytest.mark.parametrize(("kind", "block"), CASES)
@pytest.mark.parametrize("v_reset", [0.0, -0.3, None])
def test_a_network_is_its_equations(kind: str, v_reset: float | None, block: str, join: str, *, training: bool) -> None:
    tau = "" if TAU[kind] is None else f", tau={TAU[kind]}"
    reset = "none" if v_reset is None else v_reset
    text = f"{kind}(v_threshold={V_THRESHOLD}, v_reset={reset}{tau})"
    torch.manual_seed(0)
    model = sewdsl.compile(TEXTS[block], input="2x7x7", steps=5, neuron=text, set={"join": join}).double()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, 0.5, 1.5)
            module.momentum = 0.9
    x = torch.randn(5, 2, 2, 7, 7, dtype=torch.float64)
    model.train()(x)  # so that evaluation has running statistics of its own
    spikes: list[torch.Tensor] = []
    for module in model.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda _module, _input, output: spikes.append(output.detach()))
    weights = {key: value.detach().numpy().copy() for key, value in model.state_dict().items()}

    paper = Paper(weights, TAU[kind], v_reset, join, training, [])
    expected = paper.network(x.numpy(), block, convolutions=3 if "neck" in block else 2)
    y = model.train(training)(x, return_sequence=True)

    for ours, theirs in zip(spikes, paper.spikes, strict=True):
        assert np.array_equal(ours.numpy(), theirs)
        assert 0 < theirs.mean() < 1
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
def test_weights_behind_the_last_neuron_by_finite_differences(join: str) -> None:
    """After the last spike everything is smooth, so the gradient is a true one."""
    text = "c4k3-BN-SN-SEW Block (c4)-c3k3-BN-FC5"
    torch.manual_seed(0)
    model = sewdsl.compile(text, input="2x5x5", steps=3, neuron="PLIF", set={"join": join}).double()
    nn.init.constant_(model.get_parameter("bn1.bias"), 1.0)
    x = torch.randn(3, 2, 2, 5, 5, dtype=torch.float64)
    names = ["conv2.weight", "bn2.weight", "bn2.bias", "fc1.weight", "fc1.bias"]
    state = dict(model.named_parameters())

    def run(*values: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.func.functional_call(model, {**state, **dict(zip(names, values, strict=True))}, (x,))
        return y

    values = [state[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, values, fast_mode=True)
