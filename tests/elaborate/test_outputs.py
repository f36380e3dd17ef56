"""Networks that give several values: what they are, and what is said where there can be one only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sewdsl
from sewdsl.draw import dot
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.notation import compact_text, write_net
from sewdsl.notation.network_diff import diff_networks
from sewdsl.notation.tikz import fragment
from sewdsl.probe import block_gradients
from tests.network_json import from_json
from tests.words import raises

HEAD = "sewdsl 1\ninput 2x8x8\nsteps 4\nneuron LIF\n"
HEADS = "let low = c4k3-BN-SN-{SEW Block}*2\nlet high = low-MPk2-SEW Block (c6)\noutputs low high\n"


def loaded(text: str = HEADS) -> Network:
    return sewdsl.read(HEAD + text).result()


def built(optimize: int = 1) -> SpikingNetwork:
    model = sewdsl.compile(loaded(), seed=0, optimize=optimize).double()
    assert isinstance(model, SpikingNetwork)
    return model


def test_the_module_gives_a_dictionary() -> None:
    x = torch.rand(4, 3, 2, 8, 8, dtype=torch.float64)
    plain, optimized = built(0), built(2)
    for sequence in (False, True):
        given = optimized(x, return_sequence=sequence)
        assert list(given) == ["low", "high"]
        assert [tuple(y.shape[-3:]) for y in given.values()] == [(4, 8, 8), (6, 4, 4)]
        for name, y in plain(x, return_sequence=sequence).items():
            torch.testing.assert_close(given[name], y)
    sum(y.sum() for y in optimized(x).values()).backward()
    assert all(parameter.grad is not None for parameter in optimized.parameters())


def test_a_stream_gives_the_same() -> None:
    model, x = built().eval(), torch.rand(4, 3, 2, 8, 8, dtype=torch.float64)
    whole, stream, state = model(x, return_sequence=True), model.stream(), None
    for t, frame in enumerate(x):
        given, state = stream(frame, state)
        assert all(torch.equal(given[name], whole[name][t]) for name in whole)


def test_what_a_value_gives_on_is_read_out_too() -> None:
    """``low`` is read by ``high``: neither is its value dropped after that, nor is its neuron part of a kernel."""
    network = loaded("let low = c4k3-BN-SN\nlet high = low-c4k3-BN-SN\noutputs high low\n")
    assert (network.outputs, network.output) == ((("high", 6), ("low", 3)), 6)
    alone = sewdsl.compile(HEAD + "body c4k3-BN-SN\n", seed=0)
    both, x = sewdsl.compile(network, seed=0), torch.rand(4, 2, 2, 8, 8)
    both.load_state_dict({f"low.{key}": value for key, value in alone.state_dict().items()}, strict=False)
    assert torch.equal(both(x)["low"], alone(x))


@pytest.mark.parametrize(
    "text",
    [
        HEADS,
        "let a = c4k3-SN\nlet b = a-SN\nlet d = b-SN\noutputs d a\n",
        "let a = c4k3-SN\nlet b = a\noutputs a b\n",
        "let a = id\nlet b = a-SN\noutputs b a\n",
        "let a = ADD[id | b-DELAY]\nlet b = a-c2k3-SN\noutputs a b\n",
        "let a = LOOP[SN | c2k3]\nlet b = a-c2k3-SN\noutputs b a\n",
    ],
)
def test_texts_come_back(text: str) -> None:
    network = loaded(text)
    again = sewdsl.read(write_net(network)).result()
    assert [(n.op, n.inputs, n.delayed) for n in again] == [(n.op, n.inputs, n.delayed) for n in network]
    assert again.outputs == network.outputs
    assert compact_text(network).splitlines()[-1] == text.splitlines()[-1]
    assert not diff_networks(network, again)
    assert from_json(to_json(network)) == network


def test_another_set_of_outputs_is_a_difference() -> None:
    found = diff_networks(loaded(), loaded(HEADS.replace("outputs low high", "outputs high low")))
    assert [(change.key, change.before, change.after) for change in found.settings] == [
        ("outputs", "low high", "high low")
    ]


def test_drawings_say_what_is_an_output() -> None:
    text = dot(loaded())
    assert "low · output" in text
    assert "high · output" in text
    assert "% low\n" in fragment(loaded())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("let low = SN\noutputs low\n", "invalid-argument: 'outputs' requires at least two values"),
        ("let low = SN\noutputs low low\n", "duplicate-name: duplicate output 'low'"),
        ("let low = SN\noutputs low other\n", "unknown-name: unknown value 'other'"),
        ("let low = SN\nlet b = SN\noutputs low b(c3)\n", "unknown-name: unknown value 'b(c3)'"),
        ("outputs 3 4\n", "unknown-name: unknown value '3'"),
        ("let low = SN\nlet b = low-SN\noutputs low, b\n", "unexpected-token: expected"),
        ("let low = SN\nlet b = low-SN\noutputs low b\nbody low\n", "outputs-and-body: 'outputs' and 'body'"),
        (HEADS + "expect output 4\n", "unknown-setting: unknown quantity 'output'"),
        (HEADS + "expect low 5x8x8\n", "expectation-failed: expected low 5x8x8, got 4x8x8"),
        ("let low = SN\nlet b = SN\nlet d = SN\noutputs low b\n", "unused-name: unused value 'd'"),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    found = [f"{each.code}: {each.message}" for each in sewdsl.read(HEAD + text).diagnostics]
    assert any(each.startswith(said) for each in found), found


def test_a_used_file_keeps_its_outputs(tmp_path: Path) -> None:
    (tmp_path / "heads.net").write_text(HEAD + HEADS, encoding="utf-8")
    (tmp_path / "own.net").write_text('sewdsl 1\nuse "heads.net"\nbody c4k3-SN\n', encoding="utf-8")
    assert sewdsl.read(tmp_path / "own.net").result().outputs == ()


def test_another_body_takes_their_place() -> None:
    assert sewdsl.read(HEAD + HEADS, set={"body": "c4k3-SN"}).result().outputs == ()


def test_a_loss_is_of_one_output() -> None:
    with raises(ValueError):
        block_gradients(built(), [(torch.rand(4, 2, 2, 8, 8), torch.zeros(2).long())])
