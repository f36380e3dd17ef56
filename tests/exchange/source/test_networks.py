"""Every shipped network as a file: the same weights by name, shape and, from one seed, value; the same numbers out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

import sewdsl
from sewdsl.compiler import shipped_networks
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.network import Network
from tests.effort import representatives
from tests.exchange.narrow import narrow as narrow_layers
from tests.exchange.source.files import DOUBLE, SOURCES, outcome, same
from tests.shipped import LOOPED, SHIPPED

NETWORKS = representatives(set(SHIPPED) - LOOPED)
SIDES = (16, 32, 64, 128)
NARROWER = 16
UNDIVIDED = {"sdt-v2", "spiking-maskformer"}
"""Networks whose heads divide no narrower widths."""
WIDE = {
    "qkformer-10-384",
    "spikingresformer-ti",
    "maxformer-10-384",
    "spiking-densenet-121",
    "masnn-dvs-gesture",
    "att-ms-resnet-18",
} | UNDIVIDED
"""Those whose widths have to be divisible by others: they are made narrower layer by layer."""
STEPS = {"masnn-dvs-gesture": 5}
"""Time-steps of those for which two are too few."""


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of networks, all of whose layers are narrow: it is not their width that makes them what they are."""
    folder = tmp_path_factory.mktemp("nets")
    for path in shipped_networks().values():
        text = re.sub(r"^(?:expect|claim) .*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if path.stem not in WIDE:
            text = re.sub(r"\bc(\d{2,})", lambda width: f"c{max(4, int(width[1]) // NARROWER)}", text)
        for wide, less in (("FC1000", "FC10"), ("FC4096", "FC64"), ("FC8192b0-Reshape(512x", "FC512b0-Reshape(32x")):
            text = text.replace(wide, less)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def small(path: Path) -> Network:
    """A network for few time-steps, on the smallest input that it takes."""
    shape, steps = sewdsl.load(path).settings.input, STEPS.get(path.stem, 2)
    for side in SIDES if len(shape) > 1 else ():
        known = sewdsl.read(path, input=(shape[0], side, side), steps=steps)
        if known.valid and known.network is not None:
            return narrow_layers(known.network) if path.stem in WIDE - UNDIVIDED else known.network
    return sewdsl.load(path, steps=steps)


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_of_weights(name: str) -> None:
    network = sewdsl.load(name)
    plain = network.settings.model_copy(update={"init": "default", "zero_init": False})
    files = [source(network) for source in SOURCES.values()]
    with torch.device("meta"):
        ours = sewdsl.compile(replace(network, settings=plain), optimize=0).state_dict()
        theirs = [module_from_source(text).state_dict() for text in files]
    for found in theirs:
        assert [(key, value.shape) for key, value in found.items()] == [(k, v.shape) for k, v in ours.items()]


@pytest.mark.parametrize("name", NETWORKS)
def test_same_network(name: str, narrow: Path) -> None:
    network = small(narrow / f"{name}.net")
    ours = sewdsl.compile(network, seed=7, optimize=0)
    models = []
    for source in SOURCES.values():
        torch.manual_seed(7)
        models.append(module_from_source(source(network)))
        start = models[-1].state_dict()
        assert all(torch.equal(start[key], value) for key, value in ours.state_dict().items())
    _unsettle(ours.to(DOUBLE))
    for model in models:
        model.to(DOUBLE).load_state_dict(ours.state_dict())
    for layer in (layer for model in (ours, *models) for layer in model.modules() if isinstance(layer, _BatchNorm)):
        layer.momentum = 1.0  # so that neurons fire in evaluation
    settings, generator = network.settings, torch.Generator().manual_seed(0)
    inputs = {
        name: torch.randn(settings.steps, 1, *shape, dtype=DOUBLE, generator=generator)
        for name, shape, *_ in settings.sources
    }
    x = inputs if settings.inputs else inputs[""]
    for training in (True, False):
        wanted = outcome(ours.train(training), x)
        assert wanted.y.std() > 0
        for model in models:
            same(outcome(model.train(training), x), wanted)


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
@pytest.mark.parametrize("block", ["SEW Block(SN=LIF(v_threshold=0.4))", "SEW Block(SN=PLIF(v_threshold=0.4))"])
def test_blocks_that_begin_as_an_identity(block: str, join: str, dialect: str) -> None:
    settings = {"join": join, "init": "kaiming zero", "neuron": "PLIF(tau=3.0, v_threshold=0.7)"}
    body = f"c4k3-BN-SN-{{SEW Block-g[{{c4k3-BN-SN}}*2 | id]}}*2-{block}"
    network = sewdsl.load(body, input=(1, 8, 8), set=settings)
    torch.manual_seed(3)
    found, wanted = (
        module_from_source(SOURCES[dialect](network)).state_dict(),
        sewdsl.compile(network, seed=3).state_dict(),
    )
    assert [key for key, value in wanted.items() if not torch.equal(found[key], value)] == []
    assert sum(not value.any() for key, value in wanted.items() if key.endswith(".weight")) == 5


def _unsettle(model: torch.nn.Module) -> None:
    """Set different biases and time constants, with which neurons fire."""
    generator = torch.Generator().manual_seed(1)
    known = {name for name, _ in model.named_parameters()}
    normalised = any(isinstance(layer, _BatchNorm) for layer in model.modules())
    for name, parameter in model.named_parameters():
        if (name.startswith("fc") or not normalised) and name.replace("weight", "bias") not in known:
            parameter.data *= 8
        if parameter.ndim <= 1:
            more = 2.0 if name.startswith("fc") else 0.3
            parameter.data += more * torch.rand(parameter.shape, generator=generator)
