"""Activations that the language does not have: the equations in the messages about their names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import sewdsl
from tests.words import raises

ACTIVATIONS = {
    "ELU": functional.elu,
    "LeakyReLU": functional.leaky_relu,
    "Softplus": functional.softplus,
}


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize(("name", "activation"), ACTIVATIONS.items())
def test_the_same_as_in_pytorch(name: str, activation: Callable[[Tensor], Tensor]) -> None:
    """Values and gradients, also far from 0, where an exponential overflows."""
    with raises(sewdsl.SewdslError) as caught:
        sewdsl.load(f"FC3-{name}", input="4")
    (diagnostic,) = caught.value.diagnostics
    text = diagnostic.help[diagnostic.help.index("MAP{") : diagnostic.help.index("}") + 1]
    x = torch.tensor([[[-1000.0, -3, -0.5, 0.1, 1, 50, 1000]]], dtype=torch.float64, requires_grad=True)
    y, expected = sewdsl.compile(text, input="7", steps=1).double()(x, return_sequence=True), activation(x)
    torch.testing.assert_close(y, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        *(torch.autograd.grad(value.sum(), x)[0] for value in (y, expected)), rtol=1e-8, atol=1e-8
    )
