"""Layers and networks of plain PyTorch, and their comparison with networks of the language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

import torch
from torch import Tensor, nn

from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs


class Fire(torch.autograd.Function):
    """Spikes where u >= 0, with the derivative of the arctangent of steepness alpha."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, alpha: float = 2.0) -> Any:
        ctx.save_for_backward(u)
        ctx.alpha = alpha
        spikes: Tensor = (u >= 0).to(u.dtype)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        derivative: Tensor = ctx.alpha / 2 / (1 + (pi * ctx.alpha / 2 * u) ** 2)
        return gradients[0] * derivative, None


def lif(x: Tensor, threshold: float = 1.0) -> Tensor:
    """Leaky neurons with tau 2 and a detached hard reset, ``[T, N, *]``."""
    v, spikes = torch.zeros_like(x[0]), []
    for current in x:
        h = v + (current - v) / 2
        spike: Tensor = Fire.apply(h - threshold)  # type: ignore[no-untyped-call]
        v = h * (1 - spike.detach())
        spikes.append(spike)
    return torch.stack(spikes)


def each(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A layer on all time-steps as one batch."""
    y = layer(x.flatten(0, 1))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def layers_in_order(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if not list(module.children()) and list(module.parameters())]


def carry(reference: nn.Module, order: list[nn.Module], model: SpikingNetwork) -> list[tuple[Tensor, Tensor]]:
    """Give both the same weights, with norms that let neurons fire, and return pairs of parameters."""
    pairs: list[tuple[Tensor, Tensor]] = []
    for source, target in zip(order, layers_in_order(model), strict=True):
        if isinstance(source, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(source.weight, 0.8, 1.6)
            nn.init.normal_(source.bias, 0.3, 0.3)
            assert source.running_var is not None
            nn.init.uniform_(source.running_var, 0.02, 0.06)
        state = target.state_dict()
        target.load_state_dict({key: x.reshape(state[key].shape) for key, x in source.state_dict().items()})
        pairs += list(zip(source.parameters(), target.parameters(), strict=True))
    assert len(pairs) == len(list(reference.parameters()))
    return pairs


def compare(reference: nn.Module, model: SpikingNetwork, pairs: list[tuple[Tensor, Tensor]], x: Inputs, T: int) -> None:
    """Compare outputs, and the gradients of all parameters and of static inputs."""
    x = [each.requires_grad_() for each in (x.values() if isinstance(x, Mapping) else (x,))]
    y = by_name(model(*x, return_sequence=True))
    expected = by_name(reference(*(each.expand(T, *each.shape) for each in x)))
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-11)
    assert min(each.detach().std() for each in y.values()) > 0
    theirs = torch.autograd.grad(uneven_sum(expected), [*x, *(one for one, _ in pairs)])
    ours = torch.autograd.grad(uneven_sum(y), [*x, *(other for _, other in pairs)])
    for one, other in zip(ours, theirs, strict=True):
        scale = float(other.abs().max())
        assert scale > 0
        torch.testing.assert_close(one.reshape(other.shape), other, rtol=0, atol=1e-10 * scale)


def by_name(y: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return y if isinstance(y, dict) else {"": y}


def uneven_sum(outputs: dict[str, Tensor]) -> Tensor:
    """Return a sum of all outputs with a factor for each element."""
    y = torch.cat([each.flatten() for each in outputs.values()])
    return (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype)).sum()
