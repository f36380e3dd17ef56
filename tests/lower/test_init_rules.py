"""Rules of initial weights: their values, their precedence, and weights that remain 0."""

from __future__ import annotations

import re
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.analysis.energy import operation_bounds
from sewdsl.elaborate.init_lines import rule_names
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.init_rules import rule_of
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.notation import write_net
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear
from sewdsl.source import Source
from tests.exchange.source.files import SOURCES
from tests.network_json import from_json
from tests.words import check_words

RULES = {
    "default": "default",
    "kaiming": "kaiming",
    "normal": "normal(std=0.5)",
    "uniform": "uniform(low=-0.1, high=0.3)",
    "constant": "constant(value=-0.25)",
    "orthogonal": "orthogonal(gain=2.0)",
    "sparse": "sparse(density=0.3)",
}
LAYERS = ("c6k3b1", "c6k3g2b1", "tc6k4s2b1", "tc6k2s2g2b1", "FC40")


messages: list[str] = []


def net(body: str, *header: str, size: str = "4x6x6") -> Network:
    lines = "".join(f"{line}\n" for line in header)
    return sewdsl.read(Source("net", f"sewdsl 1\ninput {size}\nsteps 2\nneuron LIF\n{lines}body {body}\n")).result()


def codes(body: str, *header: str) -> list[str]:
    lines = "".join(f"{line}\n" for line in header)
    found = sewdsl.read(Source("net", f"sewdsl 1\ninput 4x6x6\nneuron LIF\n{lines}body {body}\n")).diagnostics
    messages.extend(f"{each.message}; {each.help}" for each in found)
    return [f"{each.code} {each.span.text}" for each in found]


def by_output(layer: nn.Module) -> Tensor:
    """The weights of each output as a row, written out for a transposed convolution in groups."""
    weight = layer.get_parameter("weight").detach()
    if not isinstance(layer, nn.ConvTranspose2d):
        return weight.flatten(1)
    inputs, outputs, groups = *weight.shape[:2], layer.groups
    rows = [
        weight[g * inputs // groups : (g + 1) * inputs // groups, o].flatten()
        for g in range(groups)
        for o in range(outputs)
    ]
    return torch.stack(rows)


def masked(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """The weights with masks, and their masks."""
    buffers = dict(model.named_buffers())
    return [(weight, buffers[f"{name}_mask"]) for name, weight in model.named_parameters() if f"{name}_mask" in buffers]


def test_every_rule_is_tested() -> None:
    assert sorted(RULES) == sorted(rule_names())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_values(rule: str, layer: str) -> None:
    call = f"{layer}(init={RULES[rule]})"
    model, plain = (sewdsl.compile(net(each), seed=3) for each in (call, layer))
    name = model.network.nodes[1].name
    module = model.get_submodule(name)
    rows, bias = by_output(module), module.get_parameter("bias")
    before = plain.get_submodule(name)
    if rule in {"default", "kaiming"}:
        assert torch.equal(bias, before.get_parameter("bias"))
    else:
        assert not bias.any()
    if rule == "default":
        assert torch.equal(module.get_parameter("weight"), before.get_parameter("weight"))
    elif rule == "kaiming":
        fan_out = rows.shape[0] * module.get_parameter("weight")[0, 0].numel()
        assert rows.std() == pytest.approx(sqrt(2 / fan_out), rel=0.35)
    elif rule == "normal":
        assert rows.std() == pytest.approx(0.5, rel=0.25)
    elif rule == "uniform":
        assert -0.1 <= rows.min() < -0.08
        assert 0.28 < rows.max() <= 0.3
    elif rule == "constant":
        assert torch.equal(rows, torch.full_like(rows, -0.25))
    elif rule == "orthogonal":
        product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
        assert torch.allclose(product, 4 * torch.eye(len(product)), atol=1e-5)
    else:
        kept = round(0.3 * rows.shape[1])
        assert ((rows != 0).sum(1) == kept).all()
        assert rows[rows != 0].std() == pytest.approx(1 / sqrt(kept), rel=0.35)
        assert len({tuple(row.tolist()) for row in rows != 0}) > 1


@pytest.mark.parametrize("header", ["init normal(std=0.3)", "init kaiming", "init default"])
def test_old_rules_draw_as_before(header: str) -> None:
    model = sewdsl.compile(net("c6k3b1-BN-SN-tc4k2s2b1-FC5", header), seed=7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        conv, tc, fc = nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(6, 4, 2), nn.Linear(4 * 12 * 12, 5)
        if header == "init kaiming":
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if "normal(" in header:
            for layer in (conv, tc, fc):
                nn.init.normal_(layer.weight, std=0.3)
    for name, layer in (("conv1", conv), ("transposed_conv1", tc), ("fc1", fc)):
        assert torch.equal(model.get_parameter(f"{name}.weight"), layer.weight)


def test_the_call_precedes_the_part_and_the_part_the_file() -> None:
    header = (
        "init constant(1)",
        "init res.* constant(2)",
        "init res.conv1 constant(3)",
        "init fc2 constant(4)",
        "let res = c4k3b1-BN-SN-c4k3b1-c4k3b1(init=constant(5))",
    )
    network = net("res-FC5-FC5-FC5(init=default)", *header)
    model = sewdsl.compile(network, seed=0)
    weights = {name: value.flatten()[0].item() for name, value in model.state_dict().items() if "weight" in name}
    del weights["res.bn1.weight"]
    last = weights.pop("fc3.weight")
    assert weights == {
        "res.conv1.weight": 3,
        "res.conv2.weight": 2,
        "res.conv3.weight": 5,
        "fc1.weight": 1,
        "fc2.weight": 4,
    }
    assert last not in {1, 2, 3, 4, 5}
    # The text has no name of a part, but the rules of its layers.
    again = sewdsl.read(Source("again", write_net(network))).result()
    assert "init=constant(2.0)" in write_net(network)
    second = sewdsl.compile(again, seed=0)
    for one, other in zip(model.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert from_json(to_json(network)) == network
    assert write_net(again) == write_net(network)


def test_old_json_has_no_new_keys() -> None:
    data = to_json(net("c6k3b1-SCALE(value=0.5)-FC5", "init kaiming"))
    assert data["settings"]["init"] == "kaiming"
    assert "part_init" not in data["settings"]
    assert all(not {"init", "per"} & node["op"].keys() for node in data["nodes"])
    assert [str(node.op) for node in net("tc4k2s2-FC5")][1:] == ["tc4k2s2p0o0g1b1", "FC5b1"]


def test_the_order_of_draws_is_that_of_the_layers() -> None:
    one, other = (
        sewdsl.compile(net(f"c6k3b1{rule}-SN-FC5(init=normal(std=0.1))"), seed=1) for rule in ("", "(init=constant(0))")
    )
    assert torch.equal(one.get_parameter("fc1.weight"), other.get_parameter("fc1.weight"))


# --- weights that remain 0


def test_sparse_counts_are_exact() -> None:
    body = "c6k3b1(init=sparse(density=0.3))-SN-tc6k2s2b0(init=sparse(density=0.4))-SN-FC10(init=sparse(density=0.01))"
    network = net(body)
    model = sewdsl.compile(network, seed=0)
    for node in network.nodes:
        if isinstance(node.op, Conv | TransposedConv | Linear):
            module = model.get_submodule(node.name)
            mask, bias = module.get_buffer("weight_mask"), "bias" in dict(module.named_parameters())
            weights = int(mask.sum())
            assert torch.equal(mask, (module.get_parameter("weight") != 0).float())
            assert network.parameters(node) == weights + bias * by_output(module).shape[0]
            source = network.inputs(node)[0]
            seen = node.output if isinstance(node.op, Conv) else source
            places = 1 if isinstance(node.op, Linear) else seen.elements // seen.channels
            assert network.macs(node) == weights * places
    bounds = {each.node.name: each for each in operation_bounds(network)}
    # Every place of the input of a full connection meets each weight once.
    assert bounds["fc1"].events // bounds["fc1"].steps == network.parameters(network.nodes[-1]) - 10


def test_sparse_weights_stay_zero() -> None:
    rule, last = "sparse(density=0.3)", "FC5(init=sparse(density=0.5, keep=off))"
    body = f"c6k3b1(init={rule})-BN-SN-tc6k2s2(init={rule})-FC12(init={rule})-BN-{last}"
    model = sewdsl.compile(net(body), seed=0)
    assert len(masked(model)) == 3
    start = model.get_parameter("fc2.weight").detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    x = torch.rand(2, 3, 4, 6, 6)
    for _ in range(3):
        model(x).square().sum().backward()
        optimizer.step()
    for weight, mask in masked(model):
        assert weight.grad is not None
        assert (weight[mask == 0] == 0).all()
        assert (weight.grad[mask == 0] == 0).all()
        assert weight.grad.any()
    assert (model.get_parameter("fc2.weight")[start == 0] != 0).any()
    with torch.no_grad():
        for weight, _ in masked(model):
            weight.add_(1)
    model.eval()
    plain = sewdsl.compile(net(body), seed=0, optimize=0).eval()
    plain.load_state_dict(model.state_dict())
    assert torch.allclose(model(x), plain(x), atol=1e-5)
    before = plain(x)
    with torch.no_grad():
        for weight, mask in masked(plain):
            weight.mul_(mask)
    assert torch.equal(before, plain(x))


def test_spectral_radius() -> None:
    model = sewdsl.compile(net("FC64-FC64b0(init=sparse(density=0.1, radius=0.9))"), seed=0)
    eigenvalues = torch.linalg.eigvals(model.get_parameter("fc2.weight").double())
    assert eigenvalues.abs().max().item() == pytest.approx(0.9, abs=1e-6)


def test_same_seed_same_bits() -> None:
    body = "c6k3(init=sparse(density=0.3))-SN-FC10(init=orthogonal)-FC10(init=sparse(density=0.2, radius=1.1))"
    states = [sewdsl.compile(net(body), seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["fc2.weight_mask"], states[2]["fc2.weight_mask"])


# --- files


@pytest.mark.parametrize("header", ["init orthogonal", "init kaiming", "init uniform(low=-1.0, high=2.0)"])
def test_python_files_draw_the_same_numbers(header: str) -> None:
    network = net("c6k3b1-BN-SN-FC5(init=constant(0.5))-FC5(init=normal(std=2.0))-FC5", header)
    text = SOURCES["python"](network)
    written = module_from_source(text).state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        written = module_from_source(text).state_dict()
    assert (written["fc1.weight"] == 0.5).all()
    assert not written["fc2.bias"].any()
    last = written["fc3.weight"]
    rows = {"orthogonal": torch.allclose(last @ last.T, torch.eye(5), atol=1e-5), "uniform": last.max() > 1}
    assert rows.get(header.split()[1].partition("(")[0], True)


def test_python_files_draw_in_the_order_of_the_layers() -> None:
    same = "FC5(init=uniform(low=-1.0, high=2.0))"
    text = SOURCES["python"](net(f"{same}-FC5(init=normal(std=2.0))-{same}-{same}"))
    assert re.findall(r'^ {12}"(fc\d)",$', text, re.MULTILINE) == ["fc1", "fc2", "fc3", "fc4"]
    assert text.count("for name in (") == 3


@pytest.mark.parametrize("form", ["python", "spikingjelly"])
def test_python_files_have_masks(form: str) -> None:
    body = "c6k3(init=sparse(density=0.3))-SN-FC10(init=sparse(density=0.2, radius=1.1))-FC10(init=sparse(density=0.5))"
    if form == "spikingjelly":
        pytest.importorskip("spikingjelly")
    model = sewdsl.compile(net(body.replace("FC10(", "FC10-FC10(", 1)), seed=0).double()
    twin = module_from_source(SOURCES[form](model.network)).double()
    mask = twin.get_buffer("fc2.weight_mask")
    assert mask.sum(1).tolist() == [2] * 10
    assert torch.linalg.eigvals(twin.get_parameter("fc2.weight")).abs().max().item() == pytest.approx(1.1, abs=1e-6)
    with torch.no_grad():  # Weights of another origin, which are not 0 everywhere.
        model.get_parameter("fc2.weight").fill_(0.5)
    twin.load_state_dict(model.state_dict())
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9) for each in (model, twin)]
    x = torch.rand(model.network.settings.steps, 3, *model.network.settings.input, dtype=torch.float64)
    for _ in range(2):
        outputs = [each(x) for each in (model, twin)]
        torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-10)
        for y, optimizer in zip(outputs, optimizers, strict=True):
            y.square().sum().backward()
            optimizer.step()
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter.grad, model.get_parameter(name).grad, rtol=1e-8, atol=1e-10, msg=name)


def test_python_files_draw_the_same_sparse_weights() -> None:
    network = net("FC10(init=sparse(density=0.2))-FC10(init=sparse(density=0.3, radius=1.1))")
    torch.manual_seed(3)
    written = module_from_source(SOURCES["python"](network)).state_dict()
    for key, value in sewdsl.compile(network, seed=3).state_dict().items():
        assert torch.equal(written[key], value), key


# --- errors


def test_errors() -> None:
    messages.clear()
    assert codes("FC5", "init ortogonal") == ["invalid-argument ortogonal"]
    assert codes("FC5", "init fc1 ortogonal") == ["invalid-argument ortogonal"]
    assert codes("FC5", "init fc2 orthogonal") == ["unknown-name fc2"]
    assert codes("FC5-SN", "init lif1 orthogonal") == ["invalid-argument lif1"]
    assert codes("FC5", "init fc1 kaiming") == ["invalid-argument fc1"]
    assert codes("FC5", "init fc1 constant(0)", "init fc1 constant(1)") == [
        "duplicate-setting init fc1 constant(1)",
    ]
    assert codes("FC5", "init uniform(low=1, high=0)") == ["invalid-argument uniform(low=1, high=0)"]
    assert codes("FC5", "init sparse") == ["missing-argument sparse"]
    assert codes("FC5(init=sparse(density=0.5, radius=0.9))") == [
        "invalid-argument FC5(init=sparse(density=0.5, radius=0.9))"
    ]
    assert codes("c5k3(init=sparse(density=0.01))") == ["invalid-argument c5k3(init=sparse(density=0.01))"]
    assert codes("FC5(init=LIF)") == ["invalid-argument init=LIF"]
    assert codes("FC5(init=wrong)") == ["invalid-argument init=wrong"]
    many = [f"init fc{number} orthogonal" for number in range(1, 102)]
    assert codes("-".join(["FC5"] * 101), *many) == ["invalid-argument fc101"]
    assert codes("SCALE(value=0)-FC5") == ["invalid-argument SCALE(value=0)"]
    assert codes("SCALE(per=channel)-FC5") == ["invalid-argument SCALE(per=channel)"]
    check_words("\n".join(messages))


def test_names_of_rules_are_free() -> None:
    body = "normal-uniform (n4)-constant"
    header = (
        "let normal = c4k3",
        "block uniform(n) = FC$(n)",
        "neuron constant { give relu(x) }",
        'init "normal" constant(0)',
    )
    network = net(body, *header)
    assert [node.name for node in network][1:] == ["normal.conv1", "uniform1.fc1", "constant1"]
    assert not sewdsl.compile(network).get_parameter("normal.conv1.weight").any()


def test_canonical_texts() -> None:
    for text in RULES.values():
        assert str(rule_of(text)) == (text if "sparse" not in text else "sparse(density=0.3, keep=on)")
        assert rule_of(str(rule_of(text))) == rule_of(text)
    with pytest.raises(ValueError, match="LIF"):
        rule_of("LIF")
    data = to_json(net("FC5"))
    for text in ("wrong", "normal(std=x)", "normal(", "sparse(density=2)"):
        data["settings"]["init"] = text
        with pytest.raises(ValueError, match="init"):
            from_json(data)


def test_overrides(tmp_path: Path) -> None:
    file = tmp_path / "net.net"
    file.write_text("sewdsl 1\ninput 4\ninit kaiming\ninit fc1 constant(1)\nbody FC3-FC3\n", encoding="utf-8")
    network = sewdsl.load(file, set={"init": "normal(std=0.5)"})
    assert network.settings.init == "normal(std=0.5)"
    assert [part for part, _ in network.settings.part_init] == ["fc1"]
    network = sewdsl.load(file, set={"init": "fc1 orthogonal"})
    assert [str(rule) for _, rule in network.settings.part_init] == ["orthogonal(gain=1.0)"]
