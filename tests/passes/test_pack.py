"""Spikes and counts are kept in a few bits, and come back the same."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork, saved_tensors
from sewdsl.passes import optimize_program, plan
from sewdsl.snn import kernels
from sewdsl.snn.kernels.packed_bits.packed_tensor import PackedTensor

BODIES = {  # of one neuron: each has kernels of its own
    "ADD": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "counts to FC": "c6k3-BN-PLIF-{SEW Block (c6)}*4-MPk3s2p1-FC5",
    "IAND": "c6k3-BN-PLIF-{SEW Block (c8, g=IAND)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-PLIF-Spiking Block (c8s2)-MPk2-DP0.5-c5k1-tdBN-PLIF-GAP",
    "as wide as T·N": "c6k3-BN-PLIF-FC12-PLIF-FC5",  # a weight with as many numbers as its input, but turned over
    "square": "c8k3-BN-PLIF-c12k8p0b0-PLIF-FC5",  # a weight in the shape of its input, with T·N = 12
}


@pytest.fixture(autouse=True)
def _pack_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


def build(body: str, optimize: int = 1) -> SpikingNetwork:
    return sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, neuron="PLIF")


def frames() -> Tensor:
    return torch.rand(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 3


def gradients(model: SpikingNetwork, *, autocast: bool = False) -> dict[str, Tensor | None]:
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = cross_entropy(model(frames()), torch.tensor([0, 1, 2]))
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **{name: weight.grad for name, weight in model.named_parameters()}}


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], int]]:
    """Return the shapes and bits of packed tensors."""
    found: list[tuple[tuple[int, ...], int]] = []

    class Noted(PackedTensor):  # type: ignore[misc]
        def __init__(self, x: Tensor, bits: int) -> None:
            found.append((tuple(x.shape), bits))
            super().__init__(x, bits)

    monkeypatch.setattr(saved_tensors, "PackedTensor", Noted)
    return found


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_to_the_bit(body: str, autocast: bool, packed: list[object]) -> None:  # noqa: FBT001 -- a parameter
    model = build(body)
    kept = gradients(model, autocast=autocast)
    assert packed
    model.program = replace(model.program, bits={})
    plain = gradients(model, autocast=autocast)
    for name, value in plain.items():
        assert value is not None
        assert torch.equal(kept[name], value), name  # type: ignore[arg-type]


def test_what_is_folded_is_not_packed() -> None:
    """A batch norm in the weights, with as many channels as the layer's input has numbers."""
    model = sewdsl.compile("IF-FC6-BN-FC5", input="2", steps=1, seed=0, optimize=2).eval()
    x = torch.tensor([[[1.0, 2.0], [0.0, 3.0], [2.0, 0.5]]])
    found = []
    for program in (model.program, replace(model.program, bits={})):
        model.program = program
        model.zero_grad()
        model(x).square().sum().backward()
        found.append({name: weight.grad for name, weight in model.named_parameters()})
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_nothing_of_a_watched_layer_is_packed() -> None:
    """A hook can read real numbers of the input's size, or replace the spikes."""
    found = []
    for optimize in (0, 1):
        model = build("c6k3-BN-IF-c6k3-IF-FC5", optimize)
        layer, costs = model.get_submodule("conv2"), list[Tensor]()
        layer.register_forward_hook(lambda _, __, y, costs=costs: costs.append(y.square().mean()))
        layer.register_forward_pre_hook(lambda _, x: (x[0] * 0.3,))
        loss = model(frames()).mean() + costs[0]
        loss.backward()
        found.append({name: weight.grad for name, weight in model.named_parameters()})
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_what_is_packed(packed: list[tuple[tuple[int, ...], int]]) -> None:
    """Inputs of convolutions and linear layers are packed once each: spikes in one bit, counts in two."""
    gradients(build("c6k3-BN-PLIF-SEW Block (c6)-SEW Block (c6)-MPk2s2-FC5"))
    spikes, counts = ((4, 3, 6, 8, 8), 1), ((4, 3, 6, 8, 8), 2)
    assert packed == [spikes, spikes, counts, spikes, ((4, 3, 6, 4, 4), 2)]


def test_nothing_is_packed_without_gradients_or_kernels(packed: list[object]) -> None:
    model = build(BODIES["ADD"])
    with torch.no_grad():
        model(frames())
    with kernels.use_kernels("reference"):
        gradients(model)
    assert packed == []


def test_less_is_kept() -> None:
    """The saved activations of 7B-Net are reduced to real values: currents and their norms."""

    def kept(optimize: int) -> int:
        total = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.nbytes
            return tensor

        model = sewdsl.compile(BODIES["ADD"], input="2x16x16", steps=4, seed=0, optimize=optimize, neuron="PLIF")
        with saved_tensors_hooks(count, lambda tensor: tensor):
            model(torch.rand(4, 3, 2, 16, 16))
        return total

    assert kept(1) < 0.75 * kept(0)


def _watched(y: Tensor) -> StorageWeakRef:
    return StorageWeakRef(y.untyped_storage())  # type: ignore[no-untyped-call]


def test_nothing_holds_what_was_packed() -> None:
    model = build("c6k3-BN-PLIF-SEW Block (c6)-MPk2s2-FC5")
    outputs: dict[str, StorageWeakRef] = {}
    for name, module in model.named_modules():
        if name.endswith(("plif1", "plif2", "add1")):
            module.register_forward_hook(lambda _, __, y, name=name: outputs.update({name: _watched(y)}))
    logits = model(frames())
    gone = [name for name, ref in outputs.items() if ref.expired()]  # type: ignore[no-untyped-call]
    assert gone == list(outputs)
    assert len(outputs) == 4
    logits.sum().backward()


def test_what_is_said() -> None:
    done = CliRunner().invoke(app, ["compile", "7b-net", "--emit", "passes"])
    said = "pack: saved tensors: 8 in 1 bit, 2 in 2 bits, 5 in 4 bits per value"
    assert said in done.stdout.splitlines()


def test_values_too_large_for_a_byte_stay() -> None:
    network = sewdsl.load("c4k3-BN-IF-{SEW Block}*260-FC5", input="2x8x8", steps=4)
    bits = optimize_program(network).bits
    last = max(i for i, node in enumerate(network.nodes) if node.op.kind == "ADD")
    assert network.nodes[last].output.values.upper == 261
    assert last not in bits
    assert set(bits.values()) == {1, 2, 4, 8}


@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
def test_a_join_of_two_number_formats(join: str) -> None:
    """Under autocast, an identity in 32 bits and a branch in 16: one is not kept for a copy of the other."""
    model = sewdsl.compile("IF-SEW Block", input="2x6x6", steps=1, seed=0, neuron="IF", set={"join": join}).eval()
    x = torch.rand(1, 1, 2, 6, 6, generator=torch.Generator().manual_seed(1)) * 3
    found = []
    for program in (model.program, replace(model.program, bits={})):
        model.program = program
        model.zero_grad()
        x_TN = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(x_TN).float().square().sum()
        loss.backward()
        assert x_TN.grad is not None
        found.append({"x": x_TN.grad, **{name: w.grad for name, w in model.named_parameters() if w.grad is not None}})
    for name, gradient in found[1].items():
        assert torch.equal(found[0][name], gradient), name
