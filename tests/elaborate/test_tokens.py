"""Shapes, ranges, counts and texts of layers of tokens, and their errors."""

from __future__ import annotations

from random import Random

import pytest

import sewdsl
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.notation import compact_text
from sewdsl.notation.net_file import write_net
from sewdsl.source import Source
from tests.effort import factor
from tests.network_json import from_json
from tests.words import check_words


@pytest.mark.parametrize(
    ("body", "size", "signal", "parameters"),
    [
        ("FC24-Reshape(2x3x4)", "5", "[2, 3, 4] real", 144),
        ("IF-Reshape(6x4)", "2x3x4", "[6, 4] binary", 0),
        ("IF-Reshape(24)", "2x3x4", "[24] binary", 0),
        ("IF-Reshape(shape=24)", "2x3x4", "[24] binary", 0),
        ("RMS", "6x3x4", "[6, 3, 4] real", 6),
        ("IF-Swap", "6x3x4", "[12, 6] binary", 0),
        ("IF-Swap", "6x4", "[4, 6] binary", 0),
        ("IF-Swap(heads=3)", "6x2x2", "[4, 3, 2] binary", 0),
        ("IF-Swap(to=2x3)", "6x4", "[4, 2, 3] binary", 0),
        ("IF-Swap(to=6)", "6x2x2", "[4, 6] binary", 0),
        ("Swap[ c5k1-IF-c12k1b0 ]-IF", "6x3x4", "[6, 3, 4] binary", 125),
        ("Swap(heads=2)[ c12k1x3p0x1 ]-IF", "6x3x4", "[6, 3, 4] binary", 444),
        ("POS", "6x3x4", "[6, 3, 4] real", 72),
        ("POS(per=step)", "6x3x4", "[6, 3, 4] real", 30),
        ("IF-MEAN(over=time)", "6x3", "[6, 3] real", 0),
        ("IF-SUM(over=time)", "6x3", "[6, 3] real", 0),
    ],
)
def test_signals_and_parameters(body: str, size: str, signal: str, parameters: int) -> None:
    network = sewdsl.load(body, input=size, steps=5)
    assert str(network.nodes[-1].output) == signal
    assert network.total_parameters == parameters
    again = sewdsl.read(Source("again", write_net(network))).result()
    assert [node.op for node in again] == [node.op for node in network]
    assert from_json(to_json(network)) == network


def test_the_shape_is_written_without_a_name() -> None:
    network = sewdsl.load("FC24-Reshape(shape=4x6)-Reshape(24)-POS(per=step)-POS(per=element)", input="5", steps=3)
    assert "FC24-Reshape(4x6)-Reshape(24)-POS(per=step)-POS\n" in write_net(network)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("FC24-Reshape(3x7)", "invalid-argument"),
        ("FC24-Reshape(3x0x8)", "invalid-argument"),
        ("FC24-Reshape(2x2x2x3)", "invalid-argument"),
        ("FC24-Reshape(on)", "invalid-argument"),
        ("FC24-Reshape(3x8, 24)", "duplicate-argument"),
        ("FC24-Reshape(3x8, shape=24)", "duplicate-argument"),
        ("FC24-Reshape", "missing-argument"),
        ("FC24-POS(step)", "invalid-argument"),
        ("FC24-POS(per=place)", "invalid-argument"),
        ("FC24-MEAN(over=time, groups=2)", "groups-mismatch"),
        ("LOOP[MEAN(over=time) | id]", "sequence-in-loop"),
        ("RMS(eps=0)", "invalid-argument"),
        ("Swap", "wrong-rank"),
        ("FC24-Reshape(6x4)-Swap(heads=4)", "groups-mismatch"),
        ("FC24-Reshape(6x4)-Swap(to=5)", "join-shape-mismatch"),
        ("FC24-Reshape(6x4)-Swap(to=2x3x1)", "invalid-argument"),
        ("FC24-Reshape(6x4)-Swap(heads=2, to=6)", "invalid-argument"),
        ("FC24-Reshape(6x4)-Swap[ c5k1 ]", "join-shape-mismatch"),
        ("FC24-Reshape(6x4)-Swap[ c4k1 | id ]", "operand-count"),
        ("FC24-Reshape(6x4)-Swap(heads=2.0)[ c4k1 ]", "invalid-argument"),
        ("FC24-Reshape(6x4)-Swap[ c4k1-Nope ]", "unknown-name"),
        ("FC24-Reshape(6x4)-Swap[ c4k1-FC4 ]", "wrong-rank"),
    ],
)
def test_errors(body: str, code: str) -> None:
    (diagnostic,) = sewdsl.read(body, input="5", steps=3).diagnostics
    assert diagnostic.code == code
    check_words(f"{diagnostic.message} | {diagnostic.label} | {diagnostic.help}")


def test_brackets_are_two_layers() -> None:
    """Both forms are one network, with the same names, and the text back has brackets."""
    short, long = "c6k3-Swap(heads=2)[ c9k1x3p0x1-BN ]-FC3", "c6k3-Swap(heads=2)-c9k1x3p0x1-BN-Swap(to=3x3)-FC3"
    one, other = (sewdsl.load(body, input="2x3x3") for body in (short, long))
    assert one.nodes == other.nodes
    assert compact_text(other) == "c6k3s1-Swap(heads=2)[c9k1x3s1-BN]-FC3"
    assert [node.name for node in one][2:6] == ["swap1", "conv2", "bn1", "swap2"]


def test_brackets_only_where_they_are_the_same() -> None:
    """The places after the second swap are others, or a repeat cuts the layers."""
    for body in ("c16k1-Swap-c9k1-Swap(to=9x1)-FC3", "c16k1-Swap-{c9k1-BN}*2-Swap-FC3", "Swap-Swap(to=9)-Swap-FC2"):
        network = sewdsl.load(body, input="2x3x3")
        assert "Swap[" not in write_net(network)
    # Only the places of the first copy are restored.
    cut = sewdsl.load("c9k1-{Swap-c9k1-Swap(to=3x3)-Reshape(9x9)}*2", input="2x3x3")
    assert "-Swap[c9k1s1]-Reshape(9x9)-Swap-c9k1s1-Swap(to=3x3)-Reshape(9x9)" in write_net(cut)
    assert same_text(cut)
    deep = sewdsl.load("-".join([*["Swap"] * 400, *["Swap(to=2)", "Swap(to=3)"] * 200]), input="2x3")
    assert same_text(deep)


def same_text(network: Network) -> bool:
    """Return whether the text of a network is read as an equal network."""
    again = sewdsl.read(Source("again", write_net(network))).result()
    return [(node.op, node.inputs) for node in again] == [(node.op, node.inputs) for node in network]


class Writer:
    """Random bodies with swaps: in brackets and not, in repeats, merges, and other brackets."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 -- no cryptography

    def sequence(self, depth: int) -> str:
        return "-".join(self.item(depth) for _ in range(self.random.randint(1, 4)))

    def item(self, depth: int) -> str:
        """An item that keeps the shape ``[4, 2, 2]``, whose tokens are as many as channels."""
        layers = ("BN", "IF", "c4k1", "RMS", "POS", "id")
        if not depth or self.random.random() < 0.3:
            return self.random.choice(layers)
        inner = self.sequence(depth - 1)
        return self.random.choice(
            (
                f"Swap[{inner.replace('POS', 'LN')}]",
                f"Swap-{self.random.choice(layers)}-Swap(to=2x2)",
                f"Swap(heads=2)[{self.random.choice(('BN', 'IF', 'c4k1x3p0x1-LN'))}]",
                "Swap(heads=2)-Swap(to=2x2)",
                "Swap-c2k1-Swap(to=2)-Reshape(4x2x1)-Swap[c2k1]-Swap-Swap(to=2x2)-c4k1-MPk1",
                f"{{{inner}}}*{self.random.randint(2, 3)}",
                f"ADD[{inner}-BN | id]",
                f"ADD[{inner}-BN | {inner}-IF]",
            )
        )


def test_texts_of_random_networks_with_swaps() -> None:
    compared, brackets, count = 0, 0, max(10, min(200, round(40 * factor())))
    for seed in range(2000):
        body = Writer(seed).sequence(3)
        compilation = sewdsl.read(Source("random", f"sewdsl 1\ninput 4x2x2\nbody {body}-FC2\n"))
        if "Swap" not in body or not compilation.valid:
            continue
        assert same_text(compilation.result()), body
        compared, brackets = compared + 1, brackets + ("Swap[" in write_net(compilation.result()))
        if compared == count:
            break
    assert compared == count
    assert brackets > count / 4
