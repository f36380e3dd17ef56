"""Every shipped network as a file: the same initial weights, outputs, gradients and statistics."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.compiler import shipped
from sewdsl.export.source.running import module
from sewdsl.ir.network import Network
from tests.export.source.files import DOUBLE, SOURCES, made, outcome, same

NETWORKS = [name for name in shipped() if sewdsl.read(name).network is not None]
SIDES = (16, 32, 64, 128)


def small(name: str) -> Network:
    """A network for few time-steps, on the smallest input that it takes."""
    shape = sewdsl.load(name).settings.input
    for side in SIDES:
        known = sewdsl.read(name, input=(shape[0], side, side), steps=2, set={"readout": "last"})
        if known.valid and known.network is not None:
            return known.network
    return sewdsl.load(name, steps=2, set={"readout": "last"})


@pytest.mark.parametrize("name", NETWORKS)
def test_same_network(name: str) -> None:
    network = small(name)
    ours = sewdsl.compile(network, seed=7, optimize=0)
    x = torch.randn(2, 2, *network.settings.input, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    files = {dialect: source(network) for dialect, source in SOURCES.items()}
    torch.manual_seed(7)
    start = module(files["python"]).state_dict()
    assert {key: value.shape for key, value in start.items()} == {k: v.shape for k, v in ours.state_dict().items()}
    assert all(torch.equal(start[key], value) for key, value in ours.state_dict().items())
    _settle(ours)
    models = {dialect: made(text, ours.to(DOUBLE)) for dialect, text in files.items()}
    for training in (True, False):
        wanted = outcome(ours.train(training), x)
        assert wanted.y.abs().max() > 0
        for model in models.values():
            same(outcome(model.train(training), x), wanted)


def _settle(model: torch.nn.Module) -> None:
    """Lets neurons fire in evaluation, and no bias be what another one is."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim <= 1:
            parameter.data += 0.3 * torch.rand(parameter.shape, generator=generator)
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
