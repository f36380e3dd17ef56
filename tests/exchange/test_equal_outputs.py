"""Weights of the other libraries' own classes give the same outputs here, and come back bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torchvision
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet, spiking_resnet
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

import sewdsl
from sewdsl.exchange.weights import SCHEMES, WeightsError, convert, detect_schemes, to_node_paths, to_scheme_keys
from sewdsl.ir.network import Network
from tests.effort import factor
from tests.exchange.layouts import IF, PLIF, DVSNet, ImageNetNet
from tests.exchange.narrow import narrow

DEPTHS = (18, 34, 50, 101, 152)
COMPUTED = DEPTHS if factor() > 1 else (18, 50)
"""The others have more of the same blocks."""
OF_A_KIND = [(kind, depth) for kind in ("sew", "spiking") for depth in COMPUTED]
FEW = OF_A_KIND if factor() > 1 else [("sew", 50), ("spiking", 18)]
"""Each kind and each sort of block."""
DVS = {
    "7b-net": ([32] * 7, "ADD", 3, 11),
    "7b-net-and": ([32] * 7, "AND", 3, 11),
    "7b-net-iand": ([32] * 7, "IAND", 3, 11),
    "7b-net-plain": ([32] * 7, "plain", 3, 11),
    "7b-net-released": ([32] * 7, "ADD", 1, 11),
    "7b-net-spiking": ([32] * 7, "basic", 3, 11),
    "wide-7b-net-released": ([64] * 4 + [128] * 3, "ADD", 1, 10),
}
NARROWER = 4
"""Of so many channels of the networks for events, one."""
NODE = {"surrogate_function": surrogate.ATan(alpha=2.0), "detach_reset": True}


def image(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def settle(reference: nn.Module, x: Tensor, drive: float = 0.3) -> None:
    """Set running statistics with which neurons fire, odd weights of norms, and slow and fast neurons."""
    generator = torch.Generator().manual_seed(1)
    for key, parameter in reference.named_parameters():
        if parameter.ndim <= 1:
            more = 0.3 if key.endswith(".w") else drive
            parameter.data += more * torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        reference(x)
    functional.reset_net(reference)
    reference.eval()


def ours(network: Network, weights: Mapping[str, Tensor]) -> nn.Module:
    plain = network.settings.model_copy(update={"init": "default", "zero_init": False})
    with torch.device("meta"):
        model = sewdsl.compile(replace(network, settings=plain))
    assert {key: value.shape for key, value in model.state_dict().items()} == {k: v.shape for k, v in weights.items()}
    model.load_state_dict(dict(weights), assign=True)
    return model.double().eval()


def check(network: Network, reference: nn.Module, scheme: str, x: Tensor) -> None:
    """The reference's weights are known as its scheme's, come back bit for bit, and give its outputs.

    Args:
        network: Ours.
        reference: Theirs, settled.
        scheme: Whose keys it has.
        x: The input.
    """
    theirs = reference.state_dict()
    assert scheme in [found.name for found in detect_schemes(theirs, network)]
    weights, notes = to_node_paths(theirs, network, SCHEMES[scheme])
    assert notes == []
    back = to_scheme_keys(weights, network, SCHEMES[scheme])
    assert list(map(len, (weights, back))) == [len(theirs)] * 2
    for key, value in theirs.items():
        assert torch.equal(back[key].flatten(), value.flatten())
    with torch.no_grad():
        y, expected = ours(network, weights)(x), reference(x)
    expected = expected.mean(0) if expected.ndim == 3 else expected
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    assert (
        y[0] - (y[1] if len(y) > 1 else weights["fc1.bias"])
    ).abs().max() > 1e-3  # silence would agree with anything


@pytest.mark.parametrize(("kind", "depth"), FEW)
def test_spikingjelly(kind: str, depth: int) -> None:
    x = image(2, 2, 3, 32, 32)
    torch.manual_seed(depth)
    if kind == "sew":
        reference = getattr(sew_resnet, f"sew_resnet{depth}")(cnf="ADD", spiking_neuron=neuron.IFNode, **NODE)
    else:
        reference = getattr(spiking_resnet, f"spiking_resnet{depth}")(spiking_neuron=neuron.IFNode, **NODE)
    functional.set_step_mode(reference.double(), "m")
    settle(reference, x)
    check(sewdsl.load(f"{kind}-resnet-{depth}", input=(3, 32, 32), steps=2), reference, "spikingjelly", x)


@pytest.mark.parametrize("kind", ["SEW", "Spiking"])
def test_neurons_of_spikingjelly_that_learn(kind: str) -> None:
    x = image(2, 2, 3, 32, 32)
    torch.manual_seed(3)
    if kind == "SEW":
        reference = sew_resnet.sew_resnet18(cnf="ADD", spiking_neuron=neuron.ParametricLIFNode, **NODE)
    else:
        reference = spiking_resnet.spiking_resnet18(spiking_neuron=neuron.ParametricLIFNode, **NODE)
    functional.set_step_mode(reference.double(), "m")
    settle(reference, x)
    check(with_plif(kind), reference, "spikingjelly", x)


def with_plif(kind: str) -> Network:
    """A ResNet-18 whose neurons learn."""
    stages = "-".join(f"{kind} Block (c{64 * 2**i}s{1 + (i > 0)})-{kind} Block (c{64 * 2**i})" for i in range(4))
    return sewdsl.load(f"c64k7s2-BN-SN-MPk3s2p1-{stages}-GAP-FC1000", input=(3, 32, 32), steps=2, neuron="PLIF")


@pytest.mark.parametrize("depth", COMPUTED if factor() > 1 else [50])
def test_torchvision(depth: int) -> None:
    x = image(2, 3, 64, 64)
    torch.manual_seed(depth)
    reference = getattr(torchvision.models, f"resnet{depth}")().double()
    settle(reference, x)
    check(sewdsl.load(f"resnet-{depth}", input=(3, 64, 64)), reference, "torchvision", x)


def test_a_resnet_of_any_depth() -> None:
    x = image(2, 3, 64, 64)
    torch.manual_seed(7)
    reference = ResNet(Bottleneck, [1, 3, 2, 1], num_classes=7).double()
    settle(reference, x)
    stages = [
        "-".join([f"Bottleneck(c{64 * 2**stage}s{1 + (stage > 0)})", *[f"Bottleneck(c{64 * 2**stage})"] * (count - 1)])
        for stage, count in enumerate([1, 3, 2, 1])
    ]
    network = sewdsl.load(f"c64k7s2-BN-ReLU-MPk3s2p1-{'-'.join(stages)}-GAP-FC7", input=(3, 64, 64), neuron="ReLU")
    check(network, reference, "torchvision", x)


@pytest.mark.parametrize(("kind", "depth"), FEW)
def test_authors(kind: str, depth: int) -> None:
    x = image(2, 3, 32, 32)
    torch.manual_seed(depth)
    reference = ImageNetNet(depth, sew=kind == "sew").double()
    settle(reference, x)
    check(sewdsl.load(f"{kind}-resnet-{depth}", input=(3, 32, 32), steps=2), reference, "authors", x)


@pytest.mark.parametrize("kind", ["SEW", "Spiking"])
def test_authors_with_neurons_that_learn(kind: str) -> None:
    x = image(2, 3, 32, 32)
    torch.manual_seed(4)
    reference = ImageNetNet(18, sew=kind == "SEW", node=PLIF).double()
    settle(reference, x)
    check(with_plif(kind), reference, "authors", x)


@pytest.mark.parametrize(("kind", "depth"), OF_A_KIND)
def test_keys_of_the_authors(kind: str, depth: int) -> None:
    network = sewdsl.load(f"{kind}-resnet-{depth}")
    with torch.device("meta"):
        theirs = ImageNetNet(depth, sew=kind == "sew", node=IF).state_dict()
        weights = sewdsl.compile(network).state_dict()
    found = to_scheme_keys(weights, network, SCHEMES["authors"])
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in theirs.items()}


@pytest.mark.parametrize("net", DVS)
def test_authors_dvs(net: str) -> None:
    x = (image(2, 1, 2, 128, 128) > 1).double()
    torch.manual_seed(5)
    widths, kind, kernel, classes = DVS[net]
    reference = DVSNet([width // NARROWER for width in widths], kind, kernel, classes).double()
    drive = {"7b-net-iand": 0.0, "7b-net-and": 0.6}.get(net, 0.3)  # spikes in branches leave IAND silent
    settle(reference, x, drive)
    network = narrow(sewdsl.load(net, steps=2), NARROWER)
    check(network, reference, "authors-dvs", x)
    back = to_scheme_keys(
        to_node_paths(reference.state_dict(), network, SCHEMES["authors-dvs"])[0], network, SCHEMES["authors-dvs"]
    )
    assert {key: value.shape for key, value in back.items()} == {k: v.shape for k, v in reference.state_dict().items()}


def test_7b_net_of_the_neurons_that_spikingjelly_has_now() -> None:
    x = (image(2, 1, 2, 128, 128) > 1).double()
    torch.manual_seed(6)
    reference = DVSNet([8] * 7, "ADD", 3, 11, node=lambda: neuron.ParametricLIFNode(step_mode="m", **NODE)).double()
    settle(reference, x)
    check(narrow(sewdsl.load("7b-net", steps=2), NARROWER), reference, "authors-dvs", x)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_round_trip(scheme: str) -> None:
    network = sewdsl.load("sew-resnet-18" if scheme != "authors-dvs" else "7b-net")
    weights = sewdsl.compile(network, seed=0).state_dict()
    theirs, notes = convert(weights, network, SCHEMES["sewdsl"], SCHEMES[scheme])
    back, more = convert(theirs, network, SCHEMES[scheme], SCHEMES["sewdsl"])
    assert notes == more == []
    assert back.keys() == weights.keys()
    for key, value in weights.items():
        assert back[key].shape == value.shape
        assert torch.equal(back[key], value)


def test_weights_of_an_ann_start_a_spiking_network() -> None:
    theirs = torchvision.models.resnet18().state_dict()
    network = sewdsl.load("spiking-resnet-18")
    weights, _ = to_node_paths(theirs, network, SCHEMES["torchvision"])
    assert torch.equal(weights["fc1.weight"], theirs["fc.weight"])


@pytest.mark.parametrize(("net", "scheme"), [("sew-resnet-18", "authors"), ("7b-net", "authors-dvs")])
def test_keys_of_containers_as_spikingjelly_names_them_now(net: str, scheme: str) -> None:
    """Its own container, in place of the ``.module`` that the authors' code had."""
    network = sewdsl.load(net)
    weights = sewdsl.compile(network, seed=0).state_dict()
    then = to_scheme_keys(weights, network, SCHEMES[scheme])
    now = {key.replace(".module", ""): value for key, value in then.items()}
    container = layer.SeqToANNContainer(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    assert next(iter(container.state_dict())) == "0.weight"
    assert now.keys() != then.keys()
    assert [found.name for found in detect_schemes(now, network)] == [scheme]
    back, _ = to_node_paths(now, network, SCHEMES[scheme])
    assert all(torch.equal(back[key], value) for key, value in weights.items())
    with pytest.raises(WeightsError, match="unexpected"):
        to_node_paths(now | {next(key for key in then if ".module" in key): torch.ones(1)}, network, SCHEMES[scheme])
