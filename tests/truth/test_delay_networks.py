"""The shipped network with learned delays against its own module of plain PyTorch, in float64."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from tests.truth.plain import Fire

INPUTS, REACH = 140, 25


def delayed(x: Tensor, weight: Tensor, delay: Tensor, width: float, *, training: bool) -> Tensor:
    """The sum over lags of the earlier inputs, each times the weights of its lag."""
    g = torch.stack([torch.exp(-((n - delay) ** 2) / (2 * width**2)) for n in range(REACH)])
    if training:
        kernel = weight * g / (g.sum(0) + 1e-7)
    else:
        kernel = weight * torch.stack([(delay.round() == n).to(x.dtype) for n in range(REACH)])
    y = torch.zeros(*x.shape[:2], len(weight), dtype=x.dtype)
    for n in range(min(REACH, len(x))):
        y = y + torch.cat((torch.zeros(n, *y.shape[1:], dtype=x.dtype), x[: len(x) - n] @ kernel[n].T))
    return y


def reference(x: Tensor, state: Mapping[str, Tensor], *, training: bool) -> Tensor:
    x = torch.stack([x[..., 5 * i : 5 * i + 5].sum(-1) for i in range(INPUTS)], -1)
    for layer in ("repeat1.1.", "repeat1.2."):
        x = delayed(x, state[f"{layer}dfc1.weight"], state[f"{layer}dfc1.delay"], REACH / 2, training=training)
        mean, var = x.mean((0, 1)), x.var((0, 1), unbiased=False)
        if not training:
            mean, var = torch.zeros_like(mean), torch.ones_like(var)
        x = (x - mean) / torch.sqrt(var + 1e-5) * state[f"{layer}bn1.weight"] + state[f"{layer}bn1.bias"]
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            h = 0.005 * v + current
            spikes.append(Fire.apply(h - 1, 5.0))  # type: ignore[no-untyped-call]
            v = h * (1 - spikes[-1].detach())
        x = torch.stack(spikes)
    x = delayed(x, state["dfc1.weight"], state["dfc1.delay"], REACH / 2, training=training)
    v, potentials = torch.zeros_like(x[0]), []
    for current in x:
        v = 0.005 * v + current
        potentials.append(v)
    return torch.stack(potentials).sum(0)


@pytest.mark.parametrize("training", [True, False])
def test_learned_delays(*, training: bool) -> None:
    model = sewdsl.compile("dcls-shd", seed=0, steps=30).double().train(training)
    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.eval()
        if type(module).__name__ == "BatchNorm" and not training:
            nn.init.constant_(module.get_parameter("weight"), 20.0)
    x = (torch.rand(30, 2, 700, generator=torch.Generator().manual_seed(0), dtype=torch.float64) < 0.1).double()
    state = dict(model.named_parameters())
    y, expected = model(x), reference(x, state, training=training)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-11)
    factors = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    names = [name for name in state if training or not name.endswith("delay")]
    ours = torch.autograd.grad((y * factors).sum(), [state[name] for name in names])
    theirs = torch.autograd.grad((expected * factors).sum(), [state[name] for name in names])
    for name, one, other in zip(names, ours, theirs, strict=True):
        scale = float(other.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * scale)
