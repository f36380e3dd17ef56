"""Files as modules, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sewdsl.exchange.write import python, spikingjelly
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.network import Network
from sewdsl.lower.inputs import Inputs, map_inputs

SOURCES: dict[str, Callable[[Network], str]] = {"python": python.source, "spikingjelly": spikingjelly.source}
DOUBLE = torch.float64
OF_EQUATIONS = frozenset(
    {"dcls-shd", "klif-resnet-19", "glif-resnet-19", "ilif-resnet-18", "s4d", "spiking-maskformer"}
)
"""Shipped networks of neurons as equations: lines of their files are as long as theirs."""


class Outcome(NamedTuple):
    """Results of a forward and a backward pass."""

    y: Tensor
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]


def made(text: str, like: nn.Module) -> nn.Module:
    """The network of a file, with the weights of another module, in float64."""
    model = module_from_source(text).to(DOUBLE)
    model.load_state_dict(like.state_dict())
    return model.train(like.training)


def outcome(model: nn.Module, x: Inputs) -> Outcome:
    """Forward and backward, for uneven gradients of the output."""
    x = map_inputs(lambda each: each.clone().requires_grad_(), x)
    inputs = {"x": x} if isinstance(x, Tensor) else x
    torch.manual_seed(0)  # for dropout
    y = model(*inputs.values())
    y = y if isinstance(y, Tensor) else torch.cat([each.flatten() for each in y.values()])
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad((y * weights).sum(), [*inputs.values(), *parameters.values()], allow_unused=True)
    gradients = {name: g for name, g in zip([*inputs, *parameters], found, strict=True) if g is not None}
    return Outcome(y.detach(), gradients, {key: value.clone() for key, value in model.state_dict().items()})


def same(found: Outcome, wanted: Outcome, tolerance: float = 1e-10) -> None:
    """Check that outputs, gradients and running statistics agree."""
    torch.testing.assert_close(found.y, wanted.y, rtol=tolerance, atol=tolerance)
    assert list(found.state) == list(wanted.state)
    for key, value in wanted.state.items():
        torch.testing.assert_close(found.state[key], value, rtol=tolerance, atol=tolerance)
    assert list(found.gradients) == list(wanted.gradients)
    size = max(float(g.abs().max()) for g in wanted.gradients.values())
    for key, value in wanted.gradients.items():
        torch.testing.assert_close(found.gradients[key], value, rtol=tolerance, atol=tolerance * size)
