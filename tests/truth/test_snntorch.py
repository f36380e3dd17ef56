"""The neurons of docs/from-snntorch.md against snnTorch's own, in float64: spikes and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

import sewdsl

PAGE = (Path(__file__).parents[2] / "docs" / "from-snntorch.md").read_text(encoding="utf-8")
NEURONS = PAGE[PAGE.index("neuron Leaky(beta=0.9) {") : PAGE.index("```\n\n```console")]


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize(
    ("neuron", "definitions", "theirs"),
    [
        ("Leaky(beta=0.8)", NEURONS, lambda: snntorch.Leaky(beta=0.8)),
        ("LIF1(decay=0.8)", "", lambda: snntorch.Leaky(beta=0.8, reset_mechanism="zero")),
        ("Synaptic(alpha=0.7, beta=0.6)", NEURONS, lambda: snntorch.Synaptic(alpha=0.7, beta=0.6)),
    ],
    ids=["subtract", "zero", "synaptic"],
)
def test_a_neuron_of_the_page(neuron: str, definitions: str, theirs: type[nn.Module]) -> None:
    text = f"sewdsl 1\ninput 5\nsteps 9\nneuron {neuron}\nbody FC7-SN-FC3\n{definitions}"
    model, reference = sewdsl.compile(text, seed=0).double(), theirs().double()
    x = 6 * torch.rand(9, 4, 5, dtype=torch.float64, requires_grad=True)
    found = model(x, return_sequence=True)
    first, second = (model.get_submodule(name) for name in ("fc1", "fc2"))
    states = [torch.zeros(4, 7, dtype=x.dtype) for _ in range(2 if "Synaptic" in neuron else 1)]
    expected = []
    for x_N in x:
        spikes, *states = reference(nn.functional.linear(x_N, *first.parameters()), *states)
        expected.append(nn.functional.linear(spikes.to(x.dtype), *second.parameters()))
    y = torch.stack(expected)
    torch.testing.assert_close(found, y, rtol=0, atol=1e-12)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    inputs = [x, *model.parameters()]
    mine, other = (torch.autograd.grad((each * weights).sum(), inputs) for each in (found, y))
    for one, two in zip(mine, other, strict=True):  # its surrogate gradients are in float32
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    assert float(mine[0].abs().max()) > 0
