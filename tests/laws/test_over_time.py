"""Means, sums and slices over time: which values are static, in results, hoisting and operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.analysis.energy import operation_bounds
from sewdsl.ir.network import Network
from sewdsl.passes import optimize_program, plan
from sewdsl.probe.measured_operations import measure_operations
from sewdsl.source import Source
from tests.truth.plain import carry, each, layers_in_order, lif

REDUCTIONS = {
    "MEAN(over=time)": lambda x: x.mean(0, keepdim=True).expand_as(x),
    "SUM(over=time)": lambda x: x.sum(0, keepdim=True).expand_as(x),
    "Slice(start=-1, over=time)": lambda x: x[-1:].expand_as(x),
}


def load(reduction: str, encode: str) -> Network:
    text = f"sewdsl 1\ninput 2x4x4\nsteps 3\nencode {encode}\nneuron LIF\nbody c4k3-{reduction}-c3k3-SN-GAP-FC2\n"
    return sewdsl.read(Source("t", text)).result()


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_each_time_step_has_the_reduced_value(reduction: str, encode: str, level: int) -> None:
    model = sewdsl.compile(load(reduction, encode), seed=0, optimize=level).double().eval()
    x = torch.randn(*([] if encode == "direct" else [3]), 2, 2, 4, 4, dtype=torch.float64)
    first, second, third = model.at("conv1", model.network.nodes[2].name, "conv2")(x).values()
    expected = REDUCTIONS[reduction](first)
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(third, model.get_submodule("conv2")(expected))
    assert expected.std() > 0


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_layers_after_it_are_computed_and_counted_once(reduction: str, encode: str, level: int) -> None:
    network = load(reduction, encode)
    steps = {step.gives: step.once for step in optimize_program(network, level).steps}
    assert [steps[i] for i in range(1, 5)] == [encode == "direct" and level > 0, True, True, False]
    assert [node.output.varies for node in network.nodes[1:5]] == [encode == "none", False, False, True]
    assert network.reduced == {2, 3}
    assert [layer.steps for layer in operation_bounds(network)] == [1 if encode == "direct" else 3, 1, 3]
    measured = measure_operations(sewdsl.compile(network, seed=0).eval(), [(torch.ones(3, 2, 2, 4, 4), torch.zeros(2))])
    assert [each.steps for each in measured] == [6, 2, 6]
    with pytest.raises(ValueError, match="needs all time-steps"):
        sewdsl.compile(network, seed=0).stream()


class Plain(nn.Module):
    """A gate, and a head, of means over time, in plain PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.conv3, self.bn3 = nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv4, self.bn4 = nn.Conv2d(4, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.fc1, self.bn5, self.fc2 = nn.Linear(48, 6), nn.BatchNorm1d(6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = lif(each(self.bn1, each(self.conv1, x)))
        gate = self.bn3(self.conv3(self.bn2(self.conv2(x.mean(0))).relu())).sigmoid()
        x = lif(each(self.bn4, each(self.conv4, gate * x)))
        y = self.bn5(self.fc1(x.mean(0).flatten(1)))
        return each(self.fc2, lif(y.expand(len(x), *y.shape))).mean(0)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("T", [1, 4])
def test_gates_and_heads_are_those_of_pytorch(level: int, T: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running statistics after ten steps count each sample of a mean once."""
    # Small values are not fused by default.
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
    gate = "MUL[ MEAN(over=time)-c2k1-BN-ReLU-c4k1-BN-Logistic | id ]"
    body = f"c4k3-BN-SN-{gate}-c3k3-BN-SN-MEAN(over=time)-FC6-BN-SN-FC5"
    model = sewdsl.compile(body, input="2x4x4", steps=T, seed=0, optimize=level, set={"neuron": "LIF"}).double()
    torch.manual_seed(0)
    plain = Plain().double()
    order = [*plain.children()]
    pairs = carry(plain, order, model)
    optimizers = [torch.optim.SGD(each_model.parameters(), 0.05) for each_model in (plain, model)]
    for _ in range(10):
        x, targets = 2 * torch.randn(T, 3, 2, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 2])
        expected, logits = plain(x), model(x)
        torch.testing.assert_close(logits, expected)
        for optimizer, y in zip(optimizers, (expected, logits), strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(y, targets).backward()  # type: ignore[no-untyped-call]
        for one, other in pairs:
            torch.testing.assert_close(one.grad, other.grad)
        for optimizer in optimizers:
            optimizer.step()
    norms = [
        [module for module in layers_in_order(each_model) if hasattr(module, "running_var")]
        for each_model in (plain, model)
    ]
    assert len(norms[0]) == 5
    for one, other in zip(*norms, strict=True):
        torch.testing.assert_close(other.running_var, one.running_var)
        torch.testing.assert_close(other.running_mean, one.running_mean)


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize(
    "body",
    {
        "sum of a reduced value": "SUM(over=time)-FC4-BN-SUM(over=time)-FC3",
        "with a varying value": "ADD[ id | MEAN(over=time)-FC6-BN ]-BN-SN-FC3",
        "merge of reductions": "CAT[ MEAN(over=time)-BN | Slice(start=-1, over=time)-MAP{x*x} ]-FC4-BN-FC3",
        "delay": "MEAN(over=time)-FC4-BN-DELAY-FC3",
        "step position": "MEAN(over=time)-POS(per=step)-BN-SN-FC3",
        "effective norm": "MEAN(over=time)-FC4-TEBN-SN-FC3",
        "loop": "MEAN(over=time)-FC4-LOOP[SN | FC4-BN]-FC3",
        "spikes": "SN-Slice(stop=1, over=time)-FC4-BN-ReLU-FC3",
        "output": "FC4-MEAN(over=time)-BN",
    }.values(),
)
@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("given_T", [None, 5])
def test_levels_are_equal(body: str, encode: str, given_T: int | None) -> None:
    """Also with static inputs, and with sequences of another length."""
    if "step" in body or "TEBN" in body:
        given_T = given_T and 3  # Weights for one number of time-steps.
    shape = [given_T, 4, 6] if given_T else [*([] if encode == "direct" else [3]), 4, 6]
    results = []
    for level in (0, 1, 2):
        settings = {"neuron": "LIF", "encode": encode, "readout": "sum"}
        model = sewdsl.compile(body, input="6", steps=3, seed=0, optimize=level, set=settings).double()
        torch.manual_seed(1)
        y = model(torch.randn(*shape, dtype=torch.float64))
        (y**2).sum().backward()
        gradients = [weight.grad for weight in model.parameters()]
        results.append((y, gradients, model.state_dict()))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


def test_a_replaced_reduction_may_return_all_time_steps() -> None:
    body = "CAT[ MEAN(over=time) | SUM(over=time)-MAP{x*x} ]-FC4-BN-FC3"
    model = sewdsl.compile(body, input="6", steps=3, seed=0).eval()
    model.get_submodule("operand1").mean1 = nn.Identity()
    x = torch.randn(3, 4, 6)
    y = torch.cat([x, x.sum(0).square().expand_as(x)], 2)
    for name in ("fc1", "bn1", "fc2"):
        y = model.get_submodule(name)(y)
    torch.testing.assert_close(model(x, return_sequence=True), y)


def test_a_replaced_part_reads_all_time_steps() -> None:
    class Last(nn.Module):
        def forward(self, x_TN: Tensor) -> Tensor:
            return x_TN[-1:] * len(x_TN)

    text = "sewdsl 1\ninput 6\nsteps 3\nneuron LIF\nblock Head = SN-MEAN(over=time)-FC6\nbody Head-FC3\n"
    model = sewdsl.compile(sewdsl.read(Source("t", text)).result(), seed=0)
    model.head1 = Last()
    x = torch.randn(3, 4, 6)
    torch.testing.assert_close(model(x), model.get_submodule("fc1")(x[-1:] * 3)[0])
