"""Graphs that other libraries write of their own modules give what these modules give."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import nir
import numpy as np
import pytest
import snntorch
import torch
from snntorch.export_nir import export_to_nir as write_by_snntorch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.nir_exchange import export_to_nir as write_by_spikingjelly
from torch import Tensor, nn

from sewdsl.exchange.read.nir import NirReadOptions, read_graph
from tests.exchange.incoming.run import given, reads

NODE = {"surrogate_function": surrogate.ATan(), "step_mode": "m"}


class Block(nn.Module):
    """Block that adds its input to its spikes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = layer.Conv2d(channels, channels, 3, padding=1, bias=False, step_mode="m")
        self.fires = neuron.IFNode(**NODE)
        self.second = layer.Conv2d(channels, channels, 3, padding=1, step_mode="m")
        self.leaks = neuron.LIFNode(tau=2.5, **NODE)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.leaks(self.second(self.fires(self.first(x)))) + x
        return y


def spikingjelly() -> nn.Module:
    """Every layer and neuron that it exports."""
    return nn.Sequential(
        layer.Conv2d(2, 4, 3, padding="same", dilation=2, step_mode="m"),
        neuron.IFNode(v_threshold=0.5, v_reset=-0.1, **NODE),
        Block(4),
        Block(4),
        layer.AvgPool2d(2, step_mode="m"),
        layer.Conv2d(4, 6, 3, stride=2, step_mode="m"),
        neuron.LIFNode(tau=3.0, decay_input=False, **NODE),
        layer.Flatten(step_mode="m"),
        layer.Linear(54, 20, step_mode="m"),
        neuron.ParametricLIFNode(init_tau=2.5, v_threshold=0.5, v_reset=0.1, **NODE),
        layer.Linear(20, 5, bias=False, step_mode="m"),
    )


def test_spikingjelly(tmp_path: Path) -> None:
    """2.0.0; from memory and from a file."""
    torch.manual_seed(0)
    module = spikingjelly().double()
    for parameter in module.parameters():
        parameter.data *= 1 + 2 * (parameter.ndim > 0)
    x = 4 * torch.rand(5, 3, 2, 16, 16, dtype=torch.float64)
    path = tmp_path / "net.nir"
    found = write_by_spikingjelly(module, x, save_path=path)
    functional.reset_net(module)
    with torch.no_grad():
        y = module(x)
    assert float(y.std()) > 0.1
    for imported in (read_graph(found), read_graph(path)):
        torch.testing.assert_close(given(imported, x), y, rtol=0, atol=1e-12)
        assert imported.notes[0] == "a time-step is 0.0001 s"
    text = (
        "c4k3s1d2-IF(v_threshold=0.5, v_reset=-0.1)-{ADD[c4k3s1b0-IF-c4k3s1-LIF(tau=2.5)|id]}*2-APk2s2-c6k3s2p0-"
        "DLIF(decay=0.6666666666666667)-FC20-"
        "LIF(v_threshold=0.5, v_reset=0.1, tau=2.4999999821906664)-FC5b0"  # w is in float32
    )
    reads(read_graph(path, NirReadOptions(steps=5)), text)


@pytest.mark.parametrize("beta", [0.9, torch.full((50,), 0.8)])
def test_snntorch(beta: float | Tensor) -> None:
    """1.0.0, which must be told the shape of its neurons by their numbers; in float32, which they give in any case."""
    torch.manual_seed(0)
    hidden = {"init_hidden": True, "reset_mechanism": "zero"}
    module: nn.Module = nn.Sequential(
        nn.Flatten(),
        nn.Linear(80, 50),
        snntorch.Leaky(beta=torch.ones(50) * beta, threshold=torch.full((50,), 0.5), **hidden),
        nn.Linear(50, 10),
        snntorch.Leaky(beta=torch.full((10,), 0.9), threshold=torch.ones(10), **hidden),
    )
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        found = write_by_snntorch(module, torch.rand(1, 80), ignore_dims=[0])
    for leaky in module.children():
        if isinstance(leaky, snntorch.Leaky):
            leaky.reset_mem()
    x = 9 * torch.rand(6, 4, 80)
    with torch.no_grad():
        y = torch.stack([module(x_N) for x_N in x])
    assert float(y.std()) > 0.1
    assert given(read_graph(found), x).equal(y)


def test_the_example_of_nir() -> None:
    """The example of its documentation is a graph from a list, without names and without an Input."""
    ones = np.ones(3)
    found = nir.NIRGraph.from_list(
        nir.Affine(weight=np.array([[8.0, 2.0], [1.0, 1.0], [0.5, 4.0]]), bias=ones),
        nir.LIF(tau=2e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones),
    )
    reads(read_graph(found, NirReadOptions(dt=1e-3)), "FC3-LIF")
