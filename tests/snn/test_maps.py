"""``MAP{ … }``: equal to a neuron with a single line, at each level, in blocks, exports and text."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.ir.json import to_json
from sewdsl.notation import write_net
from sewdsl.source import Source
from tests.network_json import from_json

HEAD = "sewdsl 1\ninput 3x4x4\nsteps 4\nneuron LIF(v_threshold=0.3)\n"
MAPS = {
    "MAP{1 - x}": "1 - x",
    "MAP{where(x > 0.25, x*x, -0.5)}": "where(x > 0.25, x*x, -0.5)",
    "MAP{clip(exp(-x), 0.5, 1.5)}": "clip(exp(-x), 0.5, 1.5)",
    "MAP(surrogate=Sigmoid(alpha=2.0)){fire(x - 0.125)}": "fire(x - 0.125)",
    "MAP(v_threshold=0.25){fire(x - v_threshold) - fire(-x - v_threshold)}": (
        "fire(x - v_threshold) - fire(-x - v_threshold)"
    ),
}


def arguments(text: str) -> str:
    """The arguments of a MAP, with their parentheses."""
    return text[3 : text.index("{")]


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("text", MAPS)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_it_is_a_neuron_with_one_line(text: str, level: int) -> None:
    neuron = f"neuron M {{ give {MAPS[text]} }}\n"
    own = sewdsl.compile(f"{HEAD}body c4k3-{text}-c4k3-BN-SN-FC3\n", seed=0, optimize=level).double()
    defined = f"{HEAD}{neuron}body c4k3-M{arguments(text)}-c4k3-BN-SN-FC3\n"
    other = sewdsl.compile(defined, seed=0, optimize=level).double()
    x = torch.randn(4, 2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    y, expected = own(x, return_sequence=True), other(x, return_sequence=True)
    assert torch.equal(y, expected)
    assert expected.std() > 0
    one, two = (torch.autograd.grad(each.square().sum(), x)[0] for each in (y, expected))
    assert torch.equal(one, two)
    assert [node.output for node in own.network] == [node.output for node in other.network]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_constant_has_the_shape_of_its_input(level: int) -> None:
    body = "let a = c4k3-LIF\nlet b = MUL[a | a-MAP{0.5}]\nbody ADD[b | a-MAP{3}]"
    model = sewdsl.compile(f"{HEAD}{body}\n", seed=0, optimize=level)
    x = torch.randn(4, 2, 3, 4, 4, requires_grad=True)
    spikes = sewdsl.compile(f"{HEAD}body c4k3-LIF\n", seed=0)(x, return_sequence=True)
    y = model(x, return_sequence=True)
    torch.testing.assert_close(y, 0.5 * spikes + 3)
    assert 0 < spikes.mean() < 1
    (one,), (other,) = (torch.autograd.grad(each.square().sum(), x) for each in (y, 0.5 * spikes + 3))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("text", ["MAP{1}", "MAP{2*3 - 0.5}"])
def test_a_constant_comes_back(text: str) -> None:
    network = sewdsl.read(Source("t", f"{HEAD}block B(c=in) = {text}-MAP{{$(c)}}\nbody c4k3-B-FC3\n")).result()
    written = write_net(network)
    assert [node.op for node in sewdsl.read(Source("t", written)).result()] == [node.op for node in network]
    assert network.nodes[3].op.kind == "MAP{4}"


@pytest.mark.parametrize("text", MAPS)
def test_it_comes_back(text: str) -> None:
    network = sewdsl.read(Source("t", f"{HEAD}body c4k3-{text}-MAP{{x/2}}-FC3\n")).result()
    written = write_net(network)
    assert f"-{text}-MAP{{x/2}}-" in written
    assert "give" not in written
    assert [node.op for node in sewdsl.read(Source("t", written)).result()] == [node.op for node in network]
    assert from_json(to_json(network)) == network


def test_the_parameters_of_a_block_are_numbers_in_it() -> None:
    block = "block B(c=in, d=0.5, k=2) = MAP{$(d)*x - $(k) + $(2*c)}\n"
    network = sewdsl.read(Source("t", f"{HEAD}{block}body c4k3-B(k=-2)-B(d=-0.25)-FC3\n"))
    kinds = [node.op.kind for node in network.result() if node.op.key == "map"]
    assert kinds == ["MAP{0.5*x - -2 + 8}", "MAP{-0.25*x - 2 + 8}"]


def test_no_neuron_refers_to_it() -> None:
    ops = [str(node.op).partition("(")[0] for node in sewdsl.read("c4k3-IF-MAP{1 - x}-c4k3-SN", input="3x4x4").result()]
    assert ops[-1] == "IF"


@pytest.mark.parametrize(
    ("text", "code", "spot"),
    [
        ("MAP{0*x + 1}", "without-effect", "MAP{0*x + 1}"),
        ("MAP{x + y}", "unknown-name", "y"),
        ("MAP{v + x}", "unknown-name", "v"),
        ("MAP{exq(x)}", "unknown-name", "exq"),
        ("MAP{clip(x, 1, 0)}", "invalid-equation", "clip(x, 1, 0)"),
        ("MAP(tau=2){x}", "unknown-argument", "tau=2"),
        ("MAP(surrogate=3){x}", "unknown-argument", "surrogate=3"),
        ("MAP(3){x}", "invalid-argument", "3"),
        ("MAP{x*$(c)}", "unknown-parameter", "c"),
        ("MAP", "unknown-name", "MAP"),
    ],
)
def test_what_is_wrong_is_said_once(text: str, code: str, spot: str) -> None:
    (found,) = sewdsl.read(f"c4k3-{text}-FC3", input="3x4x4").diagnostics
    assert (found.code, found.span.text) == (code, spot)
