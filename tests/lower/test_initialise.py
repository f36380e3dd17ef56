"""Initial values: Kaiming's, and residual blocks that start as an identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import sqrt

import pytest
import torch
from torch import Tensor

import sewdsl
from sewdsl.diagnostics import Severity
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.json import to_json
from sewdsl.ir.op import Join
from sewdsl.lower import SpikingNetwork, lower
from sewdsl.notation import write_net
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.layers import Conv2d
from tests.effort import factor
from tests.exchange.source.files import SOURCES
from tests.network_json import from_json
from tests.words import raises

Build = Callable[..., SpikingNetwork]

JOINS = ("ADD", "AND", "IAND")
RESETS = ("0.0", "-0.3", "none")
TAUS = (1.5, 2.0, 7.3)
NEURONS = [
    *(f"IF(v_reset={v_reset})" for v_reset in RESETS),
    *(f"{kind}(tau={tau}, v_reset={v_reset})" for kind in ("LIF", "PLIF") for tau in TAUS for v_reset in RESETS),
    "IF(v_threshold=0.7)",
]


CASES = [
    *product(JOINS, ["SEW Block (c8)"], NEURONS),
    *product(JOINS, ["SEW Bottleneck (c2)"], ["IF(v_reset=-0.3)", "PLIF(tau=7.3, v_reset=none)"]),
]


@pytest.mark.parametrize(("join", "block", "neuron"), CASES if factor() > 1 else CASES[::3])
def test_every_block_starts_as_an_exact_identity(build: Build, join: str, block: str, neuron: str) -> None:
    model = build(f"c8k3-BN-SN-{{{block}}}*3", size="2x8x8", neuron=neuron, join=join, init="zero")
    torch.nn.init.constant_(model.get_parameter("bn1.bias"), 1.0)
    torch.nn.init.constant_(model.get_parameter("bn1.weight"), 4.0)
    spikes: list[Tensor] = []
    first = model.get_submodule(model.network.nodes[3].name)
    first.register_forward_hook(lambda _module, _input, output: spikes.append(output))
    x = torch.randn(12, 2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for training, dtype in product((True, False), (torch.float32, torch.float64)):
        y = model.train(training).to(dtype)(x.to(dtype), return_sequence=True)
        assert torch.equal(y, spikes.pop())
        assert 0.02 < y.mean() < 0.98


@pytest.mark.parametrize("block", ["Spiking Block (c8)", "Spiking Bottleneck (c2)"])
def test_spiking_blocks_end_in_batch_norm(build: Build, block: str) -> None:
    """The branch is 0, so an IF neuron without anything stored passes spikes on (Sec. 3.2)."""
    model = build(f"c8k3-BN-SN-{{{block}}}*3", neuron="IF", init="zero").train()
    torch.nn.init.constant_(model.get_parameter("bn1.bias"), 1.0)
    spikes: list[Tensor] = []
    model.get_submodule("if1").register_forward_hook(lambda _module, _input, output: spikes.append(output))
    y = model(torch.randn(6, 2, 2, 16, 16), return_sequence=True)
    assert torch.equal(y, spikes.pop())
    assert 0.02 < y.mean() < 0.98


@pytest.mark.parametrize("block", ["Basic Block (c8)", "Bottleneck (c2)", "RBA Block (c8)"])
def test_blocks_without_spikes(build: Build, block: str) -> None:
    """ReLU(F(X) + X) and ReLU(F(X)) + X are identities for X >= 0 (Eq. 6, 10)."""
    model = build(f"c8k3-BN-ReLU-{{{block}}}*3", init="zero").train()
    given: list[Tensor] = []
    model.get_submodule("relu1").register_forward_hook(lambda _module, _input, output: given.append(output))
    y = model(torch.randn(1, 2, 2, 16, 16), return_sequence=True)
    assert torch.equal(y, given.pop())
    assert y.mean() > 0.1


def test_only_the_last_norm_of_a_branch_is_touched(build: Build) -> None:
    model = build("c8k3-BN-SN-SEW Block (c4s2)", join="AND", init="zero", neuron="LIF")
    norms = {name: module for name, module in model.named_modules() if isinstance(module, BatchNorm)}
    assert len(norms) == 4
    for name, norm in norms.items():
        weight, bias = (0, 2) if name == "sew_block1.branch.bn2" else (1, 0)
        assert (norm.weight == weight).all()
        assert (norm.bias == bias).all()


def test_the_branch_can_learn_from_there(build: Build, frames: Tensor) -> None:
    model = build("c8k3-BN-SN-{SEW Block (c8)}*2-FC5", join="IAND", init="zero").train()
    torch.nn.init.constant_(model.get_parameter("bn1.bias"), 1.0)
    names = [f"repeat1.{k}.sew_block1.branch.bn2.{part}" for k in (1, 2) for part in ("weight", "bias")]
    gradients = torch.autograd.grad(model(frames).pow(2).sum(), [model.get_parameter(name) for name in names])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("c8k3-BN-SN-ADD[c8k3-SN | id]", r"add1: .* but it ends in c and PLIF"),
        ("c8k3-BN-SN-ADD[c8k3 | id]", r"add1: .* but it ends in c"),
        ("c8k3-BN-SN-ADD[c8k3-BN-SN-MPk3s1p1 | id]", r"add1: .* but it ends in MP"),
        ("c8k3-BN-SN-ADD[id | c8k3-BN-SN]", r"add1: .* but it ends in a BN and PLIF that the shortcut reads too"),
        ("c8k3-BN-SN-ADD[id | id]", r"add1: .* but it ends in a BN and PLIF that the shortcut reads too"),
        ("c8k3-BN-ADD[SN | c8k3]", r"add1: .* but it ends in a BN and PLIF that the shortcut reads too"),
        ("ADD[SN | c2k3-BN]", r"add1: .* but it ends in input and PLIF"),
        ("ADD[id | c2k3-BN]", r"add1: .* but it ends in input"),
    ],
)
def test_a_branch_that_cannot_be_made_neutral_is_an_error(build: Build, text: str, end: str) -> None:
    """The compiler says it first; a network that comes another way is refused here."""
    compilation = sewdsl.read(text, input="2x16x16", neuron="PLIF", set={"init": "zero"})
    assert {"zero-init-needs-norm"} == {d.code for d in compilation.diagnostics if d.severity is Severity.ERROR}
    network = build(text).network
    settings = network.settings.model_copy(update={"zero_init": True})
    with raises(ValueError) as caught:
        lower(replace(network, settings=settings))
    assert caught.match(end)


def test_a_join_that_nothing_can_satisfy_is_named(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("c8k3-BN-SN-SEW Block (c8)").network
    join = next(node for node in network if isinstance(node.op, Join))
    monkeypatch.setattr(type(join.op), "neutral_branch", 2)
    with pytest.raises(ValueError, match=rf"{join.name}: no constant current makes PLIF.* output 2 at every time-step"):
        build("c8k3-BN-SN-SEW Block (c8)", init="zero")


def test_kaiming(build: Build) -> None:
    model = build("c64k7s2-BN-SN-SEW Block (c128s2)-FC5", init="kaiming")
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, Conv2d)}
    assert len(convolutions) == 4
    for conv in convolutions.values():
        fan_out = conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1]
        assert conv.weight.std().item() == pytest.approx(sqrt(2 / fan_out), rel=0.05)
    default = build("c64k7s2-BN-SN-SEW Block (c128s2)-FC5")
    assert default.get_parameter("conv1.weight").abs().max() <= 1 / sqrt(2 * 49)
    assert torch.equal(default.get_parameter("bn1.weight"), torch.ones(64))


def test_kaiming_and_zero_go_together(build: Build) -> None:
    model = build("c64k7-BN-SN-SEW Block (c64)", init="kaiming zero")
    assert model.network.settings.zero_init
    assert model.network.settings.init == "kaiming"
    assert (model.get_parameter("sew_block1.branch.bn2.weight") == 0).all()


@pytest.mark.parametrize(("init", "std"), [("normal", 0.02), ("normal(std=0.5)", 0.5), ("normal(std=1e-05)", 1e-5)])
def test_normal_weights(init: str, std: float) -> None:
    """Convolutions and linear layers have normal weights and zero biases. Norms are unchanged."""
    body = "c32k3b1-BN-SN-tc32k2s2-SN-FC40"
    network = sewdsl.load(body, input="8x8x8", neuron="IF", set={"init": init})
    assert network.settings.init == f"normal(std={std})"
    state = sewdsl.compile(network, seed=0).state_dict()
    for name in ("conv1", "transposed_conv1", "fc1"):
        assert state[f"{name}.weight"].std().item() == pytest.approx(std, rel=0.05)
        assert abs(state[f"{name}.weight"].mean().item()) < 0.1 * std
        assert not state[f"{name}.bias"].any()
    assert state["bn1.weight"].tolist() == [1.0] * 32


def test_normal_weights_in_text_and_files() -> None:
    network = sewdsl.load("c4k3-BN-SN-FC2", input="2x8x8", neuron="IF", set={"init": "normal(std=0.5) zero"})
    assert "init    normal(std=0.5) zero\n" in write_net(network)
    assert from_json(to_json(network)) == network
    for source in SOURCES.values():
        state = module_from_source(source(network)).state_dict()
        assert state["fc1.weight"].std().item() == pytest.approx(0.5, rel=0.3)
        assert not state["fc1.bias"].any()


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("kaiming normal", "'init' must be constant, default, kaiming, normal, orthogonal, sparse, uniform or zero"),
        ("normal(sd=1)", "'normal' has no argument 'sd'"),
        ("normal(std=0)", "'std' of 'normal' must be greater than 0"),
        ("normal(0.1)", "argument '0.1' has no name"),
        ("kaiming(std=1)", "'kaiming' has no argument 'std'"),
    ],
)
def test_wrong_schemes(init: str, says: str) -> None:
    (found,) = sewdsl.read("c4k3-BN-FC2", input="2x8x8", set={"init": init}).diagnostics
    assert (found.code in {"invalid-argument", "unknown-argument"}, says in found.message) == (True, True)


@pytest.mark.parametrize("end", ["DropPath", "SCALE(value=0.5)", "SN-SCALE(learn=on)", "SCALE(learn=on)-DropPath0.5"])
def test_what_scales_a_branch_leaves_it_neutral(build: Build, end: str) -> None:
    """A branch of zeros is one whatever it is multiplied by."""
    model = build(f"c4k3-BN-SN-ADD[c4k3-BN-{end} | id]", init="zero").double().train()
    x = torch.rand(3, 2, *model.network.settings.input, dtype=torch.float64)
    seen: list[Tensor] = []
    merge = model.get_submodule("add1")
    merge.register_forward_hook(lambda _module, operands, out: seen.extend((*operands, out)))
    model(x)
    _, shortcut, out = seen
    assert shortcut.any()
    assert torch.equal(out, shortcut)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("ADD[c4k3-BN-Logistic | id]", "its branch ends in Logistic, which never gives 0"),
        ("AND[c4k3-BN-SN-DP0.0-SCALE | id]", "its branch ends in SCALE"),
    ],
)
def test_what_cannot_be_neutral(body: str, says: str) -> None:
    found = sewdsl.read(f"c4k3-BN-SN-{body}", input="2x8x8", neuron="IF", set={"init": "zero"}).diagnostics
    assert any(said.code == "zero-init-needs-norm" and says in said.message for said in found)
