"""Parameters of blocks that are no whole numbers."""

from __future__ import annotations

import pytest

import sewdsl
from sewdsl.ir.network import Network
from sewdsl.notation import write_net
from sewdsl.source import Source

HEAD = "sewdsl 1\ninput 2x8x8\nneuron IF\n"


def load(block: str, body: str) -> Network:
    return sewdsl.read(Source("net", f"{HEAD}block {block}\nbody {body}\n")).result()


@pytest.mark.parametrize(
    ("block", "body", "wanted"),
    [
        ("B(p=0.25) = DP$(p)", "B", "DP0.25"),
        ("B(p=0.25) = DP$(p)", "B (p0.125)", "DP0.125"),
        ("B(p=0.25) = DP$(p)", "B (p=0.00000012)", "DP1.2e-07"),
        ("B(p) = DP(p=$(p))", "B (p=1e-07)", "DP1e-07"),
        ("B(c=in, w=0.5) = BN(weight=$(w))", "B", "BN(eps=1e-05, momentum=0.1, weight=0.5)"),
        ("B(c=in, w=0.5) = BN(weight=$(w))", "B (w=-2)", "BN(eps=1e-05, momentum=0.1, weight=-2.0)"),
        ("B(c=in) = SCALE(value=$(3/c))", "B", "SCALE(value=1.5, learn=off)"),
        ("B(c=in) = SCALE(value=$((c+1)/(c*2)))", "B", "SCALE(value=0.75, learn=off)"),
        ("B(c=in) = Reshape($(c)x$(c*2)x16)", "B", "Reshape(shape=2x4x16)"),
        ("B(c=in) = Swap(to=$(c/2)x2)", "B", "Swap(heads=none, to=1x2)"),
        ("B(c=in) = Reshape(4x$(c)x16)", "B", "Reshape(shape=4x2x16)"),
        ("B(c=in) = Reshape(4x4x$(c*4))", "B", "Reshape(shape=4x4x8)"),
        ("B(c=in) = UP2x$(c)", "B", "UP2(mode=nearest)"),
        ("B(c=in) = Slice(start=-$(c))", "B", "Slice(start=-2, stop=none, over=channels, steps=1)"),
        ("B(c=in) = Slice(stop=$(1-c))", "B", "Slice(start=0, stop=-1, over=channels, steps=1)"),
        ("B(c=in) = Slice(stop=$(-(c-1)))", "B", "Slice(start=0, stop=-1, over=channels, steps=1)"),
        ("B(p=0.1) = DP$(3*p)", "B", "DP0.3"),
        ("B(c=in, w=0.5) = c$(c*w)k1", "B", "c1k1s1p0d1g1b1"),
        ("B(c) = c$(2*c)k1", "B (c1.5)", "c3k1s1p0d1g1b1"),
        ("B(n) = {BN}*$(n)", "B (n2.0)", "BN(eps=1e-05, momentum=0.1, weight=1.0)"),
        ("B(c=in) = SCALE(value=$(1/c/4))", "B", "SCALE(value=0.125, learn=off)"),
        ("B(w) = BN(weight=$(w))", "B (w=-0.5)", "BN(eps=1e-05, momentum=0.1, weight=-0.5)"),
    ],
)
def test_a_formula_is_any_number(block: str, body: str, wanted: str) -> None:
    assert str(load(block, body).nodes[1].op) == wanted


def test_it_is_passed_on() -> None:
    network = load("B(p) = DP$(p)\nblock C(p=0.5) = B (p$(p))-B (p=$(p))", "C-C (p0.25)")
    assert [str(node.op) for node in network.nodes[1:]] == ["DP0.5"] * 2 + ["DP0.25"] * 2


@pytest.mark.parametrize(
    ("block", "body", "code", "says"),
    [
        ("B(c) = c$(c*c)k1", "B (c1.5)", "invalid-argument", "channels of 'c' must be an integer"),
        ("B(n) = {BN}*$(n)", "B (n2.5)", "invalid-formula", "'n' is 2.5, expected an integer"),
        ("B(n) = DP(p=$(n*n))", "B (n=1e200)", "invalid-formula", "is too large, expected -999,999,999 to 999,999,999"),
        ("B(n) = DP(p=$(2*n))", "B (n=1e999)", "invalid-formula", "'n' is inf, expected a number"),
        ("B(c) = SCALE(value=$(1/(c-2)))", "B (c2)", "invalid-formula", "1 / 0 has no value"),
        ("B(c) = c$(c)k1", "B (c1.5)", "invalid-argument", "channels of 'c' must be an integer"),
        ("B(c) = c$(c)k1", "B (c=-2)", "invalid-formula", "'c' is -2, expected 0 to 999,999,999"),
        ("B(p) = DP$(p)", "B (p=-0.5)", "invalid-formula", "'p' is -0.5, expected 0 to 999,999,999"),
        ("B(p) = DP$(p)", "B (p=on)", "invalid-argument", "'p' must be a number, got"),
    ],
)
def test_what_must_be_whole(block: str, body: str, code: str, says: str) -> None:
    found = sewdsl.read(Source("net", f"{HEAD}block {block}\nbody {body}\n")).diagnostics
    assert [said.code for said in found] == [code]
    assert says in found[0].message


def test_equal_numbers_of_two_types_are_two_values() -> None:
    """1 is a valid width, but 1.0 is not."""
    found = sewdsl.read(Source("net", f"{HEAD}block B(c) = c$(c)k1\nbody B (c1)-B (c1.0)\n")).diagnostics
    assert [said.code for said in found] == ["invalid-argument"]


def test_a_call_is_found_again_with_its_fraction() -> None:
    """In the notation, calls have the values that arguments inside have."""
    block = "block Weighted(c=in, start=0.5) = ADD[c$(c)k3-BN-SN-SCALE(value=$(start), learn=on) | id]"
    body = "c4k3-BN-SN-Weighted-{Weighted (start=0.125)}*2-ADD[Spiking Self Attention (heads=2) | id]-FC2"
    network = sewdsl.read(Source("net", f"{HEAD}{block}\nbody {body}\n")).result()
    text = write_net(network)
    assert "ADD[Spiking Self Attention (c4, heads=2) | id]" in text
    assert sewdsl.read(Source("net", text)).result().total_parameters == network.total_parameters


def test_an_uncalled_block_takes_its_default() -> None:
    text = f"{HEAD}block B(p=0.5) = DP$(p)\nbody BN\n"
    assert sewdsl.read(Source("net", text)).diagnostics == ()
