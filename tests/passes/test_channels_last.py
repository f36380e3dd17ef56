"""Maps are stored channels-last from the first convolution on, with the same results."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import optimize_program

BODIES = {
    "SEW": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-LIF-Spiking Block (c8s2)-APk2-DP0.5-c5k1-tdBN-IF-GAP",
    "grouped": "c6k3g2-BN-LIF-c8k3x1-Flatten-FC5",
}


def build(body: str, optimize: int) -> SpikingNetwork:
    return sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, neuron="PLIF").double()


def frames() -> Tensor:
    return torch.rand(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_same_outputs_and_gradients(body: str) -> None:
    results = []
    for level in (0, 1):
        model = build(body, level)
        torch.manual_seed(3)
        logits = model(frames())
        cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        results.append((logits, {name: weight.grad for name, weight in model.named_parameters()}, model.state_dict()))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_map_is_stored_so(body: str) -> None:
    """Also after neurons, joins, pools and norms: a layer that turned its maps over would cost more than it saves."""
    model = build(body, 1)
    turned: list[str] = []

    def look(name: str, y_TN: Tensor) -> None:
        if y_TN.ndim == 5 and y_TN.shape[-1] * y_TN.shape[-2] > 1:
            y = y_TN.flatten(0, 1)
            if not y.is_contiguous(memory_format=torch.channels_last):
                turned.append(name)

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, y, name=name: look(name, y))
    model(frames())
    assert turned == []


def test_one_channel_is_no_exception() -> None:
    model = sewdsl.compile("mnist5k", seed=0)
    seen: list[Tensor] = []
    model.get_submodule("bn1").register_forward_hook(lambda _, __, y: seen.append(y))
    model(torch.rand(2, 1, 28, 28))
    assert seen[0].flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", ["1x3x5", "2x5x1", "3x1x4", "3x4x4"])
@pytest.mark.parametrize(
    "body",
    ["c4k3-ReLU-c6k3g2-Flatten-FC3", "c4k3-BN-ReLU-c4k3g4-BN-c4k3s2g2-IF-FC3", "BN-c4k3-MPk1-tdBN-APk1-c4k3-IF"],
)
@pytest.mark.parametrize("encode", ["direct", "none"])
@pytest.mark.parametrize("N", [1, 2])
def test_axes_of_one(body: str, shape: str, encode: str, N: int) -> None:
    """There, nothing in a tensor's strides need tell how it is stored."""
    gradients = []
    for level in (0, 1):
        model = sewdsl.compile(body, input=shape, seed=0, optimize=level, set={"encode": encode}).double().eval()
        x = torch.rand(N, *model.network.settings.input, generator=torch.Generator().manual_seed(1)).double() * 3
        model(x if encode == "direct" else x[None]).add(1).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-9)


def test_a_picture_stored_channels_last() -> None:
    """Images from files store the channels of a position side by side."""
    model = sewdsl.compile("c6k3g2-Flatten-FC3", input="4x4x5", seed=0, set={"encode": "direct"}).double()
    picture = torch.rand(4, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for x in (picture.permute(2, 0, 1)[None], picture.permute(2, 0, 1)[None].contiguous()):
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


def test_nothing_without_convolutions() -> None:
    network = sewdsl.load("FC8-LIF-FC5", input="2x8x8", steps=4)
    assert not optimize_program(network).channels_last


@pytest.mark.parametrize(
    ("body", "input_"),
    [
        ("c4k3p0s1x2", "1x7x4"),
        ("c2k5s1x2", "1x9x2"),
        ("c2k1-APk2-c1k3s1x2-c4k3s1x2", "1x12x8"),
        ("c4k3s1x2g4", "4x7x2"),
    ],
)
def test_one_channel_and_a_stride_wider_than_high(body: str, input_: str) -> None:
    """torch convolves such maps as others where their strides speak of channels last."""
    x = torch.rand(2, 2, *map(int, input_.split("x")), generator=torch.Generator().manual_seed(1))
    found = []
    for optimize in (0, 1):
        model = sewdsl.compile(body, input=input_, steps=2, seed=0, optimize=optimize)
        x_TN = x.clone().requires_grad_()
        y = model(x_TN)
        y.square().sum().backward()
        assert x_TN.grad is not None
        found.append(
            [y.detach(), x_TN.grad, *(weight.grad for weight in model.parameters() if weight.grad is not None)]
        )
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "layouts"), [(32, (False, False)), (64, (False, True)), (112, (True, True))])
def test_small_maps_of_many_channels_stay_row_by_row(size: int, layouts: tuple[bool, bool]) -> None:
    """At 32x32, 93 % of SEW-ResNet-18's multiplications are on maps up to 4x4; at 64x64 46 %, at 112x112 28 %."""
    network = sewdsl.load("sew-resnet-18", input=f"3x{size}x{size}")
    programs = [optimize_program(network, level) for level in (1, 2)]
    assert tuple(program.channels_last for program in programs) == layouts
    assert [bool(program.events) for program in programs] == [layouts[0]] * 2
