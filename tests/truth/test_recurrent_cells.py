"""Recurrent cells as everybody writes them, ``CAT[ id | h-DELAY ]``, against PyTorch's own, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.lower import SpikingNetwork

HEAD = "sewdsl 1\nsteps 6\nneuron Rest { give 1 - x }\n"
GRU = """
let r = CAT[ id | h-DELAY ]-{layer}-Logistic
let z = CAT[ id | h-DELAY ]-{layer}-Logistic
let n = ADD[ {layer} | MUL[ r | h-DELAY-{layer} ] ]-Tanh
let h = ADD[ MUL[ z-Rest | n ] | MUL[ z | h-DELAY ] ]
body h
"""
LSTM = """
let i = CAT[ id | h-DELAY ]-FC4-Logistic
let f = CAT[ id | h-DELAY ]-FC4-Logistic
let new = CAT[ id | h-DELAY ]-FC4-Tanh
let o = CAT[ id | h-DELAY ]-FC4-Logistic
let cell = ADD[ MUL[ f | cell-DELAY ] | MUL[ i | new ] ]
let h = MUL[ o | cell-Tanh ]
body h
"""


def compiled(text: str, size: str) -> SpikingNetwork:
    return sewdsl.compile(f"{HEAD}input {size}{text}", seed=0).double()


def weights(model: SpikingNetwork) -> list[Tensor]:
    """Weight and bias of each layer, in the order of the text."""
    return [parameter for layer in model.modules() if is_layer(layer) for parameter in layer.parameters()]


def is_layer(module: nn.Module) -> bool:
    return not list(module.children()) and bool(list(module.parameters()))


def compare(ours: Sequence[Tensor], theirs: Sequence[Tensor], x: Tensor, y: Tensor, *, model: SpikingNetwork) -> None:
    """Outputs, and gradients of the input and of all weights.

    Args:
        ours: Weights of the model, each with the same shape as the one in its place in theirs.
        theirs: Parts of the weights of the reference.
        x: The input of both, ``[T, N, …]``.
        y: What the reference gives.
        model: Ours.
    """
    found = model(x, return_sequence=True)
    torch.testing.assert_close(found, y, rtol=0, atol=1e-13)
    scale = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    mine = torch.autograd.grad((found * scale).sum(), [x, *ours])
    expected = torch.autograd.grad((y * scale).sum(), [x, *theirs])
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_cell_of_torch(kind: str) -> None:
    torch.manual_seed(0)
    gates = 3 if kind == "gru" else 4
    cell = (nn.GRU if kind == "gru" else nn.LSTM)(5, 4).double()
    flowing, fed, bias, late = (
        getattr(cell, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    parts = [
        [torch.cat((w, u), 1), b + c]
        for w, u, b, c in zip(*(each.chunk(gates) for each in (flowing, fed, bias, late)), strict=True)
    ]
    if kind == "gru":  # what is new is gated before it is added
        w, u, b, c = (each.chunk(gates)[2] for each in (flowing, fed, bias, late))
        parts[2:] = [[w, b], [u, c]]
    theirs = [each for part in parts for each in part]
    model = compiled(GRU.format(layer="FC4") if kind == "gru" else LSTM, "5")
    ours = weights(model)
    with torch.no_grad():
        for target, source in zip(ours, theirs, strict=True):
            target.copy_(source)
    x = torch.randn(6, 3, 5, dtype=torch.float64, requires_grad=True)
    compare(ours, theirs, x, _reference(theirs, x, kind), model=model)
    torch.testing.assert_close(model(x, return_sequence=True), cell(x)[0], rtol=0, atol=1e-13)


def _reference(parts: Sequence[Tensor], x: Tensor, kind: str) -> Tensor:
    """A loop over time with weights for both that flow in side by side; equal to torch's cell, as is tested."""
    h = cell = torch.zeros(x.shape[1], 4, dtype=x.dtype)
    found = []
    for x_N in x:
        both = torch.cat((x_N, h), 1)
        one, two = (nn.functional.linear(both, *parts[place : place + 2]) for place in (0, 2))
        if kind == "gru":
            n = torch.tanh(
                nn.functional.linear(x_N, *parts[4:6]) + one.sigmoid() * nn.functional.linear(h, *parts[6:8])
            )
            h = (1 - two.sigmoid()) * n + two.sigmoid() * h
        else:
            new, out = (nn.functional.linear(both, *parts[place : place + 2]) for place in (4, 6))
            cell = two.sigmoid() * cell + one.sigmoid() * new.tanh()
            h = out.sigmoid() * cell.tanh()
        found.append(h)
    return torch.stack(found)


def test_a_convolutional_gru() -> None:
    torch.manual_seed(0)
    model = compiled(GRU.format(layer="c3k3b1"), "2x5x4")
    ours = weights(model)
    assert [tuple(weight.shape[:2]) for weight in ours[::2]] == [(3, 5), (3, 5), (3, 2), (3, 3)]
    x = torch.randn(6, 3, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    theirs = [each.detach().clone().requires_grad_() for each in ours]
    r, rb, z, zb, w, wb, u, ub = theirs
    h, found = torch.zeros(3, 3, 5, 4, dtype=x.dtype), []
    for x_N in x:
        both = torch.cat((x_N, h), 1)
        reset, update = (nn.functional.conv2d(both, *pair, padding=1).sigmoid() for pair in ((r, rb), (z, zb)))
        new = nn.functional.conv2d(x_N, w, wb, padding=1) + reset * nn.functional.conv2d(h, u, ub, padding=1)
        h = (1 - update) * new.tanh() + update * h
        found.append(h)
    compare(ours, theirs, x, torch.stack(found), model=model)


def test_it_streams_and_optimizes_as_a_whole() -> None:
    """At each level, and one time-step after the other."""
    text = f"{HEAD}input 2x5x4{GRU.format(layer='c3k3b1')}"
    x = torch.randn(6, 2, 2, 5, 4, dtype=torch.float64)
    found = [sewdsl.compile(text, seed=0, optimize=level).double().eval() for level in (0, 1, 2)]
    expected = found[0](x, return_sequence=True)
    for model in found[1:]:
        torch.testing.assert_close(model(x, return_sequence=True), expected, rtol=0, atol=1e-12)
    stream, state = found[1].stream(), None
    for x_N, y_N in zip(x, expected, strict=True):
        y, state = stream(x_N, state)
        torch.testing.assert_close(y, y_N, rtol=0, atol=1e-12)
