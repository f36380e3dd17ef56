"""Shapes, ranges, counts and texts of layers of tokens, and their errors."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.ir.json import from_json, to_json
from sewdsl.notation.net_file import write_net
from sewdsl.ops import catalogue
from sewdsl.source import Source
from tests.words import check_words


@pytest.mark.parametrize(
    ("body", "size", "signal", "parameters"),
    [
        ("FC24-Reshape(2x3x4)", "5", "[2, 3, 4] real", 144),
        ("IF-Reshape(6x4)", "2x3x4", "[6, 4] binary", 0),
        ("IF-Reshape(24)", "2x3x4", "[24] binary", 0),
        ("IF-Reshape(shape=24)", "2x3x4", "[24] binary", 0),
        ("RMS", "6x3x4", "[6, 3, 4] real", 6),
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
    assert from_json(to_json(network), catalogue()) == network


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
    ],
)
def test_errors(body: str, code: str) -> None:
    (diagnostic,) = sewdsl.read(body, input="5", steps=3).diagnostics
    assert diagnostic.code == code
    check_words(f"{diagnostic.message} | {diagnostic.label} | {diagnostic.help}")
