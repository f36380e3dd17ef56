"""Parts: what calls of shared weights compute and learn, as torch modules that are called several times."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.lower import SpikingNetwork, lower
from sewdsl.passes import LEVELS, plan
from tests.truth.plain import Fire, lif
from tests.words import raises

T, N = 4, 3
SIAMESE = """sewdsl 1
input 2x8x8
steps 4
neuron LIF(tau=2.0)
part Eye = c6k3-BN-SN-MPk2-GAP-FC5
let one = Eye
let two = c2k3b0-Eye
body ADD[one | two-SCALE(value=0.5)]-FC2
"""
TIED = "sewdsl 1\ninput 5\nsteps 4\nneuron LIF\npart Tied = FC5-BN-SN\nbody {Tied}*3-FC2\n"
LOOPS = "sewdsl 1\ninput 5\nsteps 4\nneuron LIF\npart W = FC5b0\nbody FC5-LOOP[SN | W]-W-FC2\n"
NESTED = """sewdsl 1
input 5
steps 4
neuron LIF
part Deep = FC5-BN-SN
part Two[a | b] {
    let sum = ADD[a | b-Deep]
    give CAT[sum-Deep | sum]-FC5
}
body Two[Deep | FC5]-Two[FC5 | id]-FC2
"""
TEXTS = {"siamese": SIAMESE, "tied": TIED, "loops": LOOPS, "nested": NESTED}


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits of size, so that optimizations of large tensors apply."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)


def built(text: str, level: int = 1, **options: Any) -> SpikingNetwork:
    model = sewdsl.compile(text, seed=0, optimize=level, **options).double()
    for name, parameter in model.named_parameters():
        if ".bn" in name and name.endswith("bias"):
            nn.init.constant_(parameter, 0.8)  # so that most neurons fire
    return model


def shown(*shape: int, seed: int = 1) -> Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.3


def steps(layer: Any, x_TN: Tensor) -> Tensor:
    y_TN: Tensor = layer(x_TN.flatten(0, 1)).unflatten(0, x_TN.shape[:2])
    return y_TN


class Eye(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1, self.fc1 = nn.BatchNorm2d(6), nn.Linear(6, 5)

    def forward(self, x_TN: Tensor) -> Tensor:
        spikes = lif(steps(lambda x: self.bn1(self.conv1(x)), x_TN))
        return steps(lambda x: self.fc1(functional.max_pool2d(x, 2).mean((2, 3))), spikes)


class Siamese(nn.Module):
    """The network of :data:`SIAMESE`, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.Eye = Eye()
        self.two = nn.ModuleDict({"conv1": nn.Conv2d(2, 2, 3, padding=1, bias=False)})
        self.fc1 = nn.Linear(5, 2)

    def forward(self, x_TN: Tensor) -> Tensor:
        one = self.Eye(x_TN)
        two = self.Eye(steps(self.two["conv1"], x_TN))
        return steps(self.fc1, one + 0.5 * two).mean(0)


class Tied(nn.Module):
    """The network of :data:`TIED`, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.Tied = nn.ModuleDict({"fc1": nn.Linear(5, 5), "bn1": nn.BatchNorm1d(5)})
        self.fc1 = nn.Linear(5, 2)

    def forward(self, x_TN: Tensor) -> Tensor:
        for _ in range(3):
            x_TN = lif(steps(lambda x: self.Tied["bn1"](self.Tied["fc1"](x)), x_TN))
        return steps(self.fc1, x_TN).mean(0)


class Recurrent(nn.Module):
    """The network of :data:`LOOPS`, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 5), nn.Linear(5, 2)
        self.W = nn.ModuleDict({"fc1": nn.Linear(5, 5, bias=False)})

    def forward(self, x_TN: Tensor) -> Tensor:
        v, s, outputs = torch.zeros_like(x_TN[0]), torch.zeros_like(x_TN[0]), []
        for x_N in steps(self.fc1, x_TN):
            v = v + (x_N + self.W["fc1"](s) - v) / 2
            s = Fire.apply(v - 1)  # type: ignore[no-untyped-call]
            v = v * (1 - s.detach())
            outputs.append(s)
        return steps(lambda x: self.fc2(self.W["fc1"](x)), torch.stack(outputs)).mean(0)


BY_HAND = {"siamese": Siamese, "tied": Tied, "loops": Recurrent}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", BY_HAND)
def test_a_part_learns_like_a_module_called_several_times(name: str, level: int) -> None:
    model, twin = built(TEXTS[name], level), BY_HAND[name]().double()
    twin.load_state_dict(model.state_dict())
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9) for each in (model, twin)]
    for batch in range(10):
        x = shown(T, N, *model.network.settings.input, seed=batch)
        found = []
        for each, optimizer in zip((model, twin), optimizers, strict=True):
            optimizer.zero_grad()
            inputs = x.clone().requires_grad_()
            y = each(inputs)
            (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
            found.append({"output": y, "input": inputs.grad, **{key: p.grad for key, p in each.named_parameters()}})
            optimizer.step()
        for key, one in found[0].items():
            torch.testing.assert_close(one, found[1][key], rtol=1e-9, atol=1e-10, msg=key)
    state = twin.state_dict()
    for key, one in model.state_dict().items():
        torch.testing.assert_close(one, state[key], rtol=1e-9, atol=1e-10, msg=key)
    model.eval(), twin.eval()
    torch.testing.assert_close(model(x), twin(x), rtol=1e-9, atol=1e-10)


def test_keys_are_those_of_one_set_of_weights() -> None:
    model = built(SIAMESE)
    keys = [name for name, _ in model.named_parameters()]
    assert [key for key in keys if key.startswith("Eye")] == [
        "Eye.conv1.weight", "Eye.bn1.weight", "Eye.bn1.bias", "Eye.fc1.weight", "Eye.fc1.bias"
    ]  # fmt: skip
    assert sum(p.numel() for p in model.parameters()) == model.network.total_parameters == 203
    assert model.get_submodule("Eye2.conv1") is model.get_submodule("Eye.conv1")


def calls(text: str) -> Iterator[tuple[str, str]]:
    network = sewdsl.load(text)
    return ((node.name, network.owner(node).name) for node in network if node.weights is not None)


def test_names_of_calls() -> None:
    owners = dict(calls(NESTED))
    assert owners["Two2.fc1"] == "Two.fc1"
    assert owners["Deep5.lif1"] == "Deep.lif1"
    assert [name for name in owners if name.startswith("Deep")][-1] == "Deep5.lif1"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", TEXTS)
def test_equal_copies_compute_the_same(name: str, level: int) -> None:
    """Each call computes what a block with the same weights does, and the gradients add up."""
    model = built(TEXTS[name], level)
    network = model.network
    copies = network.with_nodes(tuple(replace(node, weights=None) for node in network))
    other = sewdsl.compile(copies, optimize=level).double()
    users = {node.name: network.owner(node).name for node in network}
    state = model.state_dict()
    other.load_state_dict({
        key: state[f"{users[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}"] for key in other.state_dict()
    })  # fmt: skip
    x = shown(T, N, *network.settings.input)
    y, z = model(x), other(x)
    torch.testing.assert_close(y, z, rtol=1e-9, atol=1e-10)
    y.square().sum().backward(), z.square().sum().backward()
    sums: dict[str, Tensor] = {}
    for key, parameter in other.named_parameters():
        layer, _, kind = key.rpartition(".")
        total = f"{users[layer]}.{kind}"
        assert parameter.grad is not None
        sums[total] = sums.get(total, torch.zeros(())) + parameter.grad
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, sums[key], rtol=1e-9, atol=1e-10, msg=key)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", TEXTS)
def test_streams_give_what_sequences_do(name: str, level: int) -> None:
    model = built(TEXTS[name], level).eval()
    x = shown(T, N, *model.network.settings.input)
    stream, state, outputs = model.stream(), None, []
    for x_N in x:
        y_N, state = stream(x_N, state)
        outputs.append(y_N)
    torch.testing.assert_close(torch.stack(outputs), model(x, return_sequence=True), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("first", ["one", "two"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_static_and_a_varying_call(level: int, first: str) -> None:
    """One call computes the norm once for all time-steps, and the other call once for each time-step."""
    lets = {"one": "let one = c3k3-Norm", "two": "let two = c3k3-SN-Norm"}
    order = "\n".join(lets.pop(name) for name in (first, *({*lets} - {first})))
    text = f"sewdsl 1\ninput 2x4x4\nsteps 4\nencode direct\nneuron LIF\npart Norm = BN\n{order}\n"
    text += "body ADD[one-ReLU | two-SN]-GAP-FC2\n"
    model, plain = built(text, level), built(text, 0)
    static = shown(N, 2, 4, 4)
    for each, x in ((model, static), (plain, static.expand(T, *static.shape).clone())):
        each(x).square().sum().backward()
    for (key, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-8, atol=1e-10, msg=key)
    for (key, buffer), expected in zip(model.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=1e-9, atol=1e-10, msg=key)


@pytest.mark.parametrize("level", LEVELS)
def test_statistics_are_updated_in_the_order_of_the_text(level: int) -> None:
    """A norm that is computed with a join stays before the norm of a later call."""
    text = """sewdsl 1
input 4x6x6
steps 4
neuron LIF
part P = c4k3-BN-SN
let one = P
let two = c4k3-P
body ADD[ADD[one | id] | two]-GAP-FC2
"""
    model = built(text, level)
    norm, conv = model.get_submodule("P.bn1"), model.get_submodule("P.conv1")
    plain = nn.BatchNorm2d(4).double()
    x = shown(T, N, 4, 6, 6)
    expected = copy.deepcopy(model)
    model(x)
    for inputs in (x, expected.at("two.conv1")(x)):
        plain(expected.get_submodule("P.conv1")(inputs).flatten(0, 1))
    assert conv is model.get_submodule("P2.conv1")
    torch.testing.assert_close(norm.running_mean, plain.running_mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(norm.running_var, plain.running_var, rtol=1e-9, atol=1e-12)
    assert int(norm.get_buffer("num_batches_tracked")) == 2


def test_hooks_and_replacements_apply_to_each_call() -> None:
    model, x = built(SIAMESE).eval(), shown(T, N, 2, 8, 8)
    values = model.at("Eye", "Eye2", "two")(x)
    torch.testing.assert_close(values["two"], values["Eye2"], rtol=0, atol=0)
    seen: list[Tensor] = []
    handle = model.get_submodule("Eye").register_forward_hook(lambda _m, _x, y: seen.append(y))
    model(x)
    handle.remove()
    for one, other in zip(seen, (values["Eye"], values["Eye2"]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    counts: list[int] = []
    handle = model.get_submodule("Eye.conv1").register_forward_hook(lambda *_: counts.append(1))
    model(x)
    handle.remove()
    assert len(counts) == 2
    model.Eye = Constant()
    torch.testing.assert_close(
        model(x), model.get_submodule("fc1")(torch.full((1, N, 5), 1.5).double())[0], rtol=1e-9, atol=1e-12
    )


class Constant(nn.Module):
    """Ones, whatever is read."""

    def forward(self, x_TN: Tensor) -> Tensor:
        return torch.ones(*x_TN.shape[:2], 5, dtype=x_TN.dtype)


def test_copies_and_pickles_share_weights() -> None:
    model, x = built(SIAMESE).eval(), shown(T, N, 2, 8, 8)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)
        assert other.get_submodule("Eye2.fc1") is other.get_submodule("Eye.fc1")


def test_recomputed_values_update_statistics_once() -> None:
    plain = built(SIAMESE)
    network = plain.network
    layers = frozenset(i for i, node in enumerate(network) if node.op.kind in {"c", "BN", "LIF"})
    model = lower(replace(plain.program, recomputed=layers), seed=0).double()
    model.load_state_dict(plain.state_dict())
    x = shown(T, N, 2, 8, 8)
    for each in (model, plain):
        each(x).square().sum().backward()
    for (key, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-10, msg=key)
    for (key, buffer), expected in zip(model.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=1e-9, atol=1e-10, msg=key)
    assert int(model.get_buffer("Eye.bn1.num_batches_tracked")) == 2


def test_zero_init_of_two_joins() -> None:
    text = "sewdsl 1\ninput 4x6x6\nsteps 2\nneuron IF\ninit default zero\npart P = c4k3-BN-SN\n"
    built(f"{text}body ADD[P | id]-ADD[P | id]-GAP-FC2\n")
    with raises(ValueError):
        built(f"{text}body c4k3-BN-SN-ADD[P | id]-SN-AND[P | id]-GAP-FC2\n")
