"""Modules of other libraries as networks: equal outputs in float64, and the texts that one would have written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torchvision
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.model import parametric_lif_net, sew_resnet, spiking_resnet
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.read.build_network import ImportedNetwork
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.torch_modules import read_module
from sewdsl.exchange.weights import SCHEMES, to_node_paths
from sewdsl.exchange.write import spikingjelly
from sewdsl.exchange.write.source.document import module_from_source as instance
from sewdsl.ops.layers.shapes import Flatten
from tests.effort import factor
from tests.exchange.incoming.run import given, reads
from tests.exchange.layouts import DVSNet, ImageNetNet
from tests.exchange.test_equal_outputs import DVS, image
from tests.exchange.test_equal_outputs import settle as settle_statistics
from tests.words import raises

DEPTHS = (18, 34, 50, 101, 152) if factor() > 1 else (18, 50)
"""The others have more of the same blocks."""
ATAN: dict[str, Any] = {"surrogate_function": surrogate.ATan(alpha=2.0), "detach_reset": True}


def settle(module: nn.Module, x: Tensor, drive: float = 0.3) -> None:
    """Settle a module as the tests of weights do, and restore the momentum of its batch norms."""
    settle_statistics(module, x, drive)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = 0.1


def same(module: nn.Module, x: Tensor, steps: int = 2, **options: Any) -> ImportedNetwork:
    """Return the imported module after a comparison of outputs, which leaves the original unchanged."""
    before = {key: value.clone() for key, value in module.state_dict().items()}
    kept = [dict(vars(each)) for each in module.modules()]
    shape = tuple(x.shape[2:] if x.ndim in {3, 5} else x.shape[1:])
    found = read_module(module, shape, steps, **options)
    assert all(vars(each).keys() == old.keys() for each, old in zip(module.modules(), kept, strict=True))
    assert all(value.equal(before[key]) for key, value in module.state_dict().items())
    with torch.no_grad():
        y = module(x)
    ours = given(found, x)
    ours = ours if y.ndim == ours.ndim else ours.mean(0)
    torch.testing.assert_close(ours, y, rtol=1e-10, atol=1e-10)
    assert float((y[..., :1] - y).abs().max()) > 1e-3  # silence would agree with anything
    return found


def body(found: ImportedNetwork) -> str:
    return " ".join(found.text.split("body", 1)[1].split()).replace("- ", "-")


def built(module: nn.Module, mode: str = "m") -> nn.Module:
    functional.set_step_mode(module.double(), mode)
    return module


@pytest.mark.parametrize(
    ("depth", "join"), [(18, "ADD"), (18, "AND"), pytest.param(18, "IAND", marks=pytest.mark.deep), (50, "IAND")]
)
def test_sew_resnets_of_spikingjelly(depth: int, join: str) -> None:
    """Its Bottleneck swaps the operands of IAND; so does what is read of it."""
    x = image(2, 2, 3, 32, 32)
    torch.manual_seed(depth)
    module = built(getattr(sew_resnet, f"sew_resnet{depth}")(cnf=join, spiking_neuron=neuron.IFNode, **ATAN))
    settle(module, x)
    found = same(module, x)
    swapped = depth == 50 and join == "IAND"
    assert ("IAND[id or" in body(found) or "IAND[id |" in body(found)) == swapped
    block = "SEW Block (c64)" if depth == 18 else "SEW Bottleneck (c64)"
    assert (block in body(found)) == (not swapped)


@pytest.mark.parametrize("depth", [18])
def test_spiking_resnets_of_spikingjelly(depth: int) -> None:
    x = image(2, 2, 3, 32, 32)
    torch.manual_seed(depth)
    module = built(getattr(spiking_resnet, f"spiking_resnet{depth}")(spiking_neuron=neuron.ParametricLIFNode, **ATAN))
    settle(module, x)
    assert "Spiking B" in body(same(module, x))


@pytest.mark.parametrize("depth", [18])
def test_resnets_of_torchvision(depth: int) -> None:
    x = image(2, 3, 64, 64)
    torch.manual_seed(depth)
    module = getattr(torchvision.models, f"resnet{depth}")().double()
    settle(module, x)
    found = same(module, x, steps=1)
    assert ("Basic Block (c64)" if depth == 18 else "Bottleneck(c64)") in body(found)


def resnet(kind: str, depth: int) -> nn.Module:
    if kind == "":
        return getattr(torchvision.models, f"resnet{depth}")()  # type: ignore[no-any-return]
    if kind == "spiking-":
        made = getattr(spiking_resnet, f"spiking_resnet{depth}")(spiking_neuron=neuron.IFNode, **ATAN)
    else:
        made = getattr(sew_resnet, f"sew_resnet{depth}")(cnf="ADD", spiking_neuron=neuron.IFNode, **ATAN)
    functional.set_step_mode(made, "m")
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", ["sew-", "spiking-", ""])
def test_is_the_shipped_network(kind: str, depth: int) -> None:
    """Node by node and key by key; that this one gives the same with those weights is tested with the weights."""
    shipped = sewdsl.load(f"{kind}resnet-{depth}")
    with torch.device("meta"):
        module = resnet(kind, depth)
        found = read_module(module, (3, 224, 224), shipped.settings.steps)
    assert [(node.op, node.inputs) for node in found.network.nodes[1:]] == [
        (node.op, node.inputs) for node in shipped.nodes[1:]
    ]
    weights, _ = to_node_paths(module.state_dict(), shipped, SCHEMES["spikingjelly" if kind else "torchvision"])
    ours, theirs = ([value.shape for value in tensors.values()] for tensors in (found.tensors, weights))
    assert sorted(ours) == sorted(theirs)


def neurons(kind: type[nn.Module] = neuron.IFNode, **options: Any) -> Callable[[], nn.Module]:
    return lambda: kind(step_mode="m", **(ATAN | options))


@pytest.mark.parametrize(
    ("kind", "depth"), [("SEW", 50), ("Spiking", 18)] if factor() <= 1 else [*product(("SEW", "Spiking"), (18, 50))]
)
def test_the_authors_imagenet(kind: str, depth: int) -> None:
    """The module repeats its input itself, and computes the mean over time before the last layer."""
    x = image(2, 3, 32, 32)
    torch.manual_seed(depth)
    module = ImageNetNet(depth, sew=kind == "SEW", node=neurons()).double()  # type: ignore[arg-type]
    settle(module, x)
    found = same(module, x)
    assert (found.network.settings.encode, found.network.settings.readout) == ("direct", "mean")
    assert found.network.nodes[1].output.varies is False
    assert f"{kind} {'Block' if depth == 18 else 'Bottleneck'} (c64)" in body(found)


@pytest.mark.parametrize("net", DVS)
def test_the_authors_dvs_nets(net: str) -> None:
    x = (image(2, 1, 2, 128, 128) > 1).double()
    torch.manual_seed(5)
    widths, kind, kernel, classes = DVS[net]
    narrow = [width // 4 for width in widths]
    module = DVSNet(narrow, kind, kernel, classes, node=neurons(neuron.ParametricLIFNode)).double()
    settle(module, x, drive=0.0 if net == "7b-net-iand" else 0.3)
    found = same(module, x)
    shipped = sewdsl.load(net)
    assert [node.op.kind for node in found.network] == [node.op.kind for node in shipped]


@pytest.mark.parametrize(
    ("net", "shape", "text"),
    [
        ("MNISTNet", (1, 28, 28), "{c8k3s1-BN-LIF-MPk2s2}*2-DP-FC2048-LIF-DP-FC100-LIF-APk10s10"),
        ("CIFAR10Net", (3, 32, 32), "{{c8k3s1-BN-LIF}*3-MPk2s2}*2-DP-FC2048-LIF-DP-FC100-LIF-APk10s10"),
        ("CIFAR10DVSNet", (2, 128, 128), "{c8k3s1-BN-LIF-MPk2s2}*4-DP-FC512-LIF-DP-FC100-LIF-APk10s10"),
        ("DVSGestureNet", (2, 128, 128), "{c8k3s1-BN-LIF-MPk2s2}*5-DP-FC512-LIF-DP-FC110-LIF-APk10s10"),
    ],
)
def test_the_plif_nets_of_spikingjelly(net: str, shape: tuple[int, ...], text: str) -> None:
    x = image(2, 1, *shape).abs()
    torch.manual_seed(1)
    module = built(getattr(parametric_lif_net, net)(channels=8, spiking_neuron=neuron.LIFNode, **ATAN))
    settle(module, x)
    for each in module.modules():
        if isinstance(each, nn.Linear):
            each.weight.data *= 8
    found = same(module, x)
    reads(found, text.replace("DP-FC", "Flatten-DP-FC", 1))


SURROGATES = {
    "ATan(alpha=3.0)": surrogate.ATan(alpha=3.0),
    "Sigmoid(alpha=2.5)": surrogate.Sigmoid(alpha=2.5),
    "Triangle(alpha=0.75)": surrogate.PiecewiseQuadratic(alpha=0.75),
    "Rectangular(width=0.5)": surrogate.Rect(alpha=2.0),
    "Rectangular(width=0.75)": surrogate.PiecewiseLeakyReLU(w=0.375, c=0.0),
    "Constant(value=0.5)": surrogate.LeakyKReLU(leak=0.5, k=0.5),
    "Constant": surrogate.DeterministicPass(),
}
NEURONS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "IF": (neuron.IFNode, {}),
    "IF(v_threshold=0.5, v_reset=-0.25)": (neuron.IFNode, {"v_threshold": 0.5, "v_reset": -0.25}),
    "IF(v_reset=none, detach_reset=off)": (neuron.IFNode, {"v_reset": None, "detach_reset": False}),
    "LIF(tau=3.0)": (neuron.LIFNode, {"tau": 3.0}),
    "LIF(v_reset=0.125, tau=3.0)": (neuron.LIFNode, {"tau": 3.0, "v_reset": 0.125}),
    "LIF(tau=2.5)": (neuron.LIFNode, {"tau": 2.5, "decay_input": False}),
    "PLIF(detach_reset=off, tau=5.0)": (neuron.ParametricLIFNode, {"init_tau": 5.0, "detach_reset": False}),
}


@pytest.mark.parametrize("text", [*NEURONS, *SURROGATES])
def test_neurons_with_their_gradients(text: str) -> None:
    """Outputs, and the gradients of the input, of every neuron and every surrogate."""
    kind, options = NEURONS.get(text, (neuron.IFNode, {"surrogate_function": SURROGATES.get(text)}))
    torch.manual_seed(0)
    fires = kind(**({"detach_reset": True, "surrogate_function": surrogate.ATan()} | options))
    module = built(nn.Sequential(layer.Linear(4, 16), fires, layer.Linear(16, 3)))
    x = (2 * image(6, 5, 4)).requires_grad_()
    found = same(module, x, steps=6)
    functional.reset_net(module)
    written = text if text in NEURONS else f"IF(surrogate={text})"
    reads(found, f"FC16-{written}-FC3")
    ours = sewdsl.compile(found.network, optimize=0).double()
    ours.load_state_dict(found.tensors)
    weight = image(6, 5, 3)
    gradients = []
    for given_by in (module(x), ours(x, return_sequence=True)):
        (gradient,) = torch.autograd.grad((given_by * weight).sum(), x)
        gradients.append(gradient)
    assert float(gradients[0].abs().max()) > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


def test_a_neuron_that_reads_spikes_undivided() -> None:
    """With decay_input=False and no weights before it alone to take the factor: a layer of its own."""
    torch.manual_seed(0)
    leaks = neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=2.5, **ATAN)
    module = built(nn.Sequential(layer.Conv2d(2, 4, 3), neuron.IFNode(**ATAN), leaks, layer.Flatten()))
    found = same(module, 3 * image(8, 2, 2, 6, 6), steps=8)
    reads(found, "c4k3s1p0-IF-SCALE(value=4.0)-LIF(v_threshold=2.5, tau=4.0)-Flatten")


def test_single_step_mode() -> None:
    """The module is called once for each time-step; the network reads them all."""
    torch.manual_seed(0)
    module = built(
        nn.Sequential(
            layer.Conv2d(2, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.LIFNode(**ATAN), layer.AdaptiveAvgPool2d(1),
            layer.Flatten(), layer.Linear(4, 20), layer.Dropout(0.25), neuron.IFNode(**ATAN), layer.VotingLayer(4),
        ),
        "s",
    ).eval()  # fmt: skip
    x = 3 * image(6, 2, 2, 8, 8)
    found = read_module(module, (2, 8, 8), 6)
    with torch.no_grad():
        y = torch.stack([module(x_N) for x_N in x])
    assert float(y.std()) > 0
    assert given(found, x).equal(y)
    reads(found, "c4k3s1b1-BN-LIF-GAP-FC20-DP0.25-IF-APk4s4")


def test_layers_of_torch() -> None:
    """An ANN, with everything that a layer may be told."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding="valid", groups=2),
        nn.BatchNorm2d(4, affine=False, eps=1e-3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, padding="same", dilation=2, bias=False),
        nn.Sequential(nn.Identity(), nn.ReLU()),
        nn.AvgPool2d((2, 2), padding=(0, 1), stride=(2, 1), ceil_mode=True),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.BatchNorm1d(8),
        nn.Dropout(0.0),
        nn.Linear(8, 3, bias=False),
    )  # fmt: skip
    x = image(5, 2, 9, 14)
    module.double()(x)
    found = same(module.eval(), x, steps=1)
    reads(found, "c4k3x5s2x1p0g2b1-BN(eps=0.001)-ReLU-MPk3s2p1-c6k3s1d2b0-ReLU-APk2s2x1p0x1-FC8-BN-DP0.0-FC3b0")


def test_a_norm_of_zheng() -> None:
    """ThresholdDependentBatchNorm2d has its factor in its weight."""
    torch.manual_seed(0)
    norm = layer.ThresholdDependentBatchNorm2d(0.5, 0.8, 4)
    module = built(
        nn.Sequential(layer.Conv2d(2, 4, 3, bias=False), norm, neuron.IFNode(**ATAN), layer.Flatten())
    ).eval()
    found = same(module, 4 * image(4, 2, 2, 6, 6), steps=4)
    assert float(found.tensors["bn1.weight"].mean()) == pytest.approx(0.4)


class Written(nn.Module):
    """A ``forward`` of one's own."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def conv(before: int = 2, after: int = 2, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, **options)


@pytest.mark.parametrize(
    ("forward", "text"),
    [
        (lambda m, x: m.b(m.a(x).relu()) + x, "ADD[c2k3s1-ReLU-c2k3s1 | id]"),
        (lambda m, x: sum([m.a(x), m.b(x)]), "ADD[c2k3s1 | c2k3s1]"),
        (lambda m, x: torch.relu(m.a(x)).add_(m.b(x)), "ADD[c2k3s1-ReLU | c2k3s1]"),
        (lambda m, x: nn.functional.max_pool2d(m.a(x), 2), "c2k3s1-MPk2s2"),
        (lambda m, x: nn.functional.adaptive_avg_pool2d(m.a(x), (2, 4)), "c2k3s1-APk4x2s4x2"),
        (lambda m, x: m.a(x).mean((2, 3)), "c2k3s1-GAP"),
        (lambda m, x: m.a(x).mean((2, 3), keepdim=True).flatten(1), "c2k3s1-GAP"),
        (lambda m, x: m.a(x).view(x.shape[0], -1), "c2k3s1-Flatten"),
        (lambda m, x: m.b(m.a(x) * 0.5), "{c2k3s1}*2"),
        (lambda m, x: m.b(m.a(x) / 4).contiguous(), "{c2k3s1}*2"),
        (lambda m, x: m.a(x) * 3, "c2k3s1"),
        (lambda m, x: (y := m.a(x), y * 3)[0], "c2k3s1"),  # a product that nobody reads
        (lambda m, x: nn.functional.linear(m.a(x).flatten(1), m.f.weight, m.f.bias), "c2k3s1-FC4"),
        (lambda m, x: m.a(x).relu() * 3, "c2k3s1-ReLU-SCALE(value=3.0)"),
        (lambda m, x: (y := m.a(x)) + m.b(y * 3), "c2k3s1-ADD[SCALE(value=3.0)-c2k3s1 | id]"),
    ],
)
def test_what_a_forward_may_do(forward: Callable[[Any, Tensor], Tensor], text: str) -> None:
    torch.manual_seed(0)
    module = Written(forward, a=conv(), b=conv(), f=nn.Linear(128, 4)).double()
    reads(same(module, image(3, 2, 8, 8), steps=1), text)


def test_what_is_done_in_place_is_seen_by_all() -> None:
    """An activation in place, whose input is the shortcut too: torch adds what it has become."""
    torch.manual_seed(0)

    def forward(m: Any, x: Tensor) -> Tensor:
        s = m.a(x)
        y = m.b(nn.functional.relu(s, inplace=True))
        y += s
        return y  # type: ignore[no-any-return]

    found = same(Written(forward, a=conv(), b=conv()).double(), image(3, 2, 8, 8), steps=1)
    reads(found, "c2k3s1-ReLU-ADD[c2k3s1 | id]")


@pytest.mark.parametrize("how", ["mean", "sum", "last"])
def test_readouts(how: str) -> None:
    """Before the last layer or after it; what is not linear has to precede it."""
    torch.manual_seed(0)
    take: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda y: y.mean(0), "sum": lambda y: y.sum(0), "last": lambda y: y[-1]
    }  # fmt: skip
    fc = layer.Linear(8, 3, bias=how != "sum", step_mode="m")
    module = Written(lambda m, x: m.fc(take[how](m.n(m.f(x)))), f=nn.Linear(4, 8), n=neurons()(), fc=fc).double()
    x = 3 * image(5, 2, 4)
    found = read_module(module, (4,), 5)
    assert found.network.settings.readout == how
    ours = sewdsl.compile(found.network).double()
    ours.load_state_dict(found.tensors)
    torch.testing.assert_close(ours(x), module(x))
    assert read_module(nn.Linear(4, 2), (4,), 5, readout=how).network.settings.readout == how


@pytest.mark.parametrize("net", ["tiny", "7b-net-iand", "cifar10-net-spiking", "sew-resnet-18", "plif-net-dvs-gesture"])
def test_files_for_spikingjelly(net: str) -> None:
    """Files of ``--to spikingjelly`` are imported as the exported network."""
    network = sewdsl.load(net)
    found = read_module(instance(spikingjelly.source(network)), network.settings.input, network.settings.steps)
    ours, theirs = (
        [node.op for node in each.nodes[1:] if not isinstance(node.op, Flatten)] for each in (found.network, network)
    )
    assert ours == theirs
    assert found.network.settings.readout == network.settings.readout


def test_from_the_package() -> None:
    """The function is imported on first use, and torch only then."""
    network, tensors = sewdsl.from_torch(nn.Sequential(nn.Linear(4, 2)), (4,), name="A net")
    assert (network.name, list(tensors)) == ("A net", ["fc1.weight", "fc1.bias"])
    with pytest.raises(AttributeError, match="has no attribute 'from_tensorflow'"):
        _ = sewdsl.from_tensorflow


@pytest.mark.parametrize("said", ["2x8x8", (2, 8, 8), [2, 8, 8]])
def test_a_shape_is_said_as_everywhere(said: Any) -> None:
    network, _ = sewdsl.from_torch(nn.Sequential(nn.Conv2d(2, 3, 3)), said)
    assert network.settings.input == (2, 8, 8)


def test_a_row_with_channels() -> None:
    module = nn.Sequential(nn.Conv1d(8, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)).eval()
    network, weights = sewdsl.from_torch(module, "8x6")
    assert network.settings.input == (8, 6)
    model = sewdsl.compile(network).eval()
    model.load_state_dict(weights)
    x = torch.rand(3, 8, 6)
    torch.testing.assert_close(model(x[None]), module(x))


@pytest.mark.parametrize("said", ["2x8x8x8", "", "2x8x0", (2, 0), (2.0, 8, 8), 784, None])
def test_what_is_no_shape(said: Any) -> None:
    with raises(ValueError):
        sewdsl.from_torch(nn.Sequential(nn.Linear(784, 3)), said)
    with raises(ValueError, "2"):
        sewdsl.from_torch(nn.Sequential(nn.Linear(784, 3)), "784", steps="4")  # type: ignore[arg-type]


ENLARGING: dict[str, nn.Module] = {
    "c4k3p1": nn.Conv2d(2, 4, 3, padding=1),
    "PReLU": nn.PReLU(),
    "PAD(p=1, mode=reflect)": nn.ReflectionPad2d(1),
    "PAD0x2": nn.ZeroPad2d((2, 2, 0, 0)),
    "GN2": nn.GroupNorm(2, 4),
    "GELU": nn.GELU(),
    "tc6k3s2": nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
    "PReLU(shared=off)": nn.PReLU(6, 0.1),
    "UP2": nn.Upsample(scale_factor=2),
    "SiLU": nn.SiLU(),
    "UP3(mode=bilinear)": nn.Upsample(scale_factor=3, mode="bilinear"),
    "Tanh": nn.Tanh(),
    "GN3(eps=0.01)": nn.GroupNorm(3, 6, eps=0.01, affine=False),
    "Logistic": nn.Sigmoid(),
}


def test_layers_that_enlarge_and_norms_of_each_sample() -> None:
    module = nn.Sequential(*ENLARGING.values(), nn.Flatten(), nn.Linear(6 * 48 * 96, 3)).double()
    found = same(module, torch.randn(2, 2, 2, 2, dtype=torch.float64))
    for kind in ("PReLU", "GN2", "GELU", "tc6k3s2", "PReLU(shared=off)", "UP2", "SiLU", "UP3(mode=bilinear)", "Tanh"):
        assert kind in body(found)
    assert "PReLU-PAD1(mode=reflect)-PAD0x2-GN2" in body(found)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (nn.Upsample(size=(8, 8)), "upsamples to a size"),
        (nn.Upsample(scale_factor=2.5), "by unequal or fractional factors"),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "with align_corners"),
        (nn.ConvTranspose2d(2, 2, 3, dilation=2), "has a dilation"),
        (nn.ZeroPad2d((0, 1, 0, 1)), "has padding"),
        (nn.ZeroPad2d(-1), "has padding"),
        (nn.ZeroPad1d(1), "has a 1-D kernel"),
        (nn.GELU("tanh"), "uses approximate='tanh'"),
        (nn.SiLU(inplace=True), "works in place"),
    ],
)
def test_what_differs_from_ours_is_refused(module: nn.Module, why: str) -> None:
    with pytest.raises(ModelImportError, match=why):
        read_module(nn.Sequential(module, nn.Flatten(), nn.Linear(8, 2)), (2, 4, 4), 1)


def test_layers_of_rows() -> None:
    """Their 1-D layers, static and in SpikingJelly's multi-step mode."""
    torch.manual_seed(0)
    x = torch.randn(3, 2, 12, dtype=torch.float64)
    plain = nn.Sequential(
        nn.Conv1d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.ConvTranspose1d(4, 4, 2, stride=2),
        nn.Upsample(scale_factor=2, mode="linear"),
        nn.AvgPool1d(2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    found = read_module(plain.double().eval(), (2, 12), 1)
    assert body(found).startswith("c4k3s2b1-BN-ReLU-MPk2s2-tc4k2s2-UP2(mode=bilinear)-APk2s2-")
    with torch.no_grad():
        torch.testing.assert_close(given(found, x)[0], plain(x), rtol=1e-10, atol=1e-10)
    many = nn.Sequential(layer.Conv1d(2, 4, 3, padding=1), layer.BatchNorm1d(4), neuron.IFNode(**ATAN))
    many = nn.Sequential(*many, layer.AvgPool1d(2), layer.Flatten(), layer.Linear(24, 3))
    functional.set_step_mode(many, "m")
    frames = torch.rand(2, 3, 2, 12, dtype=torch.float64)
    found = read_module(many.double().eval(), (2, 12), 2)
    with torch.no_grad():
        y = many(frames)
    torch.testing.assert_close(given(found, frames), y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("module", "shape"), [(nn.Conv1d(2, 3, 1), (2, 4, 4)), (nn.Conv2d(2, 3, 1), (2, 4))])
def test_a_layer_that_slides_over_other_axes(module: nn.Module, shape: tuple[int, ...]) -> None:
    axes = 5 - len(shape) - 1
    with pytest.raises(ModelImportError, match=rf"has a {axes}-D kernel, but its input is \[2, 4"):
        read_module(nn.Sequential(module), shape, 1)


@pytest.mark.parametrize(
    "without_effect",
    [
        lambda y: y.flatten(2, 2),
        lambda y: y.reshape(-1, 2, 8, 8),
        lambda y: y.expand(-1, 2, -1, 8),
        lambda y: torch.tensor(2.0) * y / 2,
    ],
)
def test_calls_without_effect(without_effect: Callable[[Tensor], Tensor]) -> None:
    module = Written(lambda m, x: without_effect(m.a(x)), a=conv()).double()
    assert body(same(module, image(2, 2, 8, 8), steps=1)) == "c2k3s1"


def test_a_forward_that_an_object_replaces_is_restored() -> None:
    module = conv().double()
    module.forward = replaced = lambda x: nn.Conv2d.forward(module, x).relu()  # type: ignore[method-assign]
    with pytest.raises(ModelImportError, match=r"calls torch\.conv2d, which has no equivalent"):
        read_module(nn.Sequential(module), (2, 8, 8))
    assert module.forward is replaced
