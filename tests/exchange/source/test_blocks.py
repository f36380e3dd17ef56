"""Blocks of a user's own: one class each, told what differs, whatever they are nested in."""

from __future__ import annotations

import ast

import pytest
import torch

import sewdsl
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.source import Source
from tests.exchange.source.files import DOUBLE, SOURCES, made, outcome, same

NET = """sewdsl 1
network "Own"
input   2x12x12
steps   3
neuron  LIF(tau=2.0, v_threshold=0.6)

block Stem(c) = c$(c)k3-BN-SN
block Odd One(c=in, k=3, stride=1) = ADD[c$(c)k$(k)s$(stride)-BN-SN | id or c$(c)k1s$(stride)-BN-SN]
block Twice(c=in, n=2) = ADD[{Odd One (c$(c)k5)}*$(n)-Odd One (k=1) | id or Stem (c$(c))]
block Wide(c, input=1, self=2, x=3, layers=4, projection=5) = Stem (c$(c))-c$(2*c)k$(x)-BN-SN-c$(c)k1g$(self)-BN-SN
block Varied(w) = {Odd One (c$(w))-ADD[MPk3s1p1 | id]-SN}*2
block Cross(c, d=in) = {c$(c)k3-c$(d)k3-c$(c)k1-BN-SN}*2
block Votes(n) = FC$(n)b0-BN-SN
body Stem (c4)-{Twice-Odd One (c6stride2)-Wide (c4)}*2-
     {Wide (c8, x=1, self=4)-Twice (c4, n=3)-Odd One (c8)}*2-Odd One (SN=IF)-Cross (c3)-Cross (c5)-
     Varied (w6)-Varied (w5)-
     Votes (n12)-Votes (n9)-Votes (n6)-APk3
"""


@pytest.fixture(scope="module")
def text() -> Source:
    return Source("own.net", NET)


@pytest.mark.parametrize("dialect", SOURCES)
def test_same_network(dialect: str, text: Source) -> None:
    network = sewdsl.read(text).result()
    file = SOURCES[dialect](network)
    torch.manual_seed(3)
    start, ours = module_from_source(file).state_dict(), sewdsl.compile(network, seed=3, optimize=0)
    assert [key for key, value in ours.state_dict().items() if not torch.equal(start[key], value)] == []
    x = 2 * torch.randn(3, 4, 2, 12, 12, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    theirs = made(file, ours.to(DOUBLE))
    same(outcome(theirs, x), outcome(ours, x))


def test_classes(text: Source) -> None:
    file = SOURCES["spikingjelly"](sewdsl.read(text).result())
    found = {node.name: node for node in ast.parse(file).body if isinstance(node, ast.ClassDef)}
    parts = ["Stem", "OddOne", "OddOneBlock", "Cross", "Votes", "VotesBlock", "Twice", "Wide", "TwiceBlock", "Repeat"]
    assert list(found) == ["Linear", *parts, "Varied", "Own"]
    (maker,) = (node for node in found["OddOne"].body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert [arg.arg for arg in maker.args.args + maker.args.kwonlyargs] == [
        *("self", "in_channels", "channels", "k", "stride", "padding", "projection"),
    ]


def test_comments_of_blocks_and_repeats_state_their_line() -> None:
    """A row of layers of its own has no span, so a comment takes that of its first layer."""
    body = "body c4k3-BN-SN-{SEW Block (c4)-MPk2s2}*2-FC5"
    text = f'sewdsl 1\nnetwork "Repeated"\ninput 2x12x12\nsteps 2\nneuron IF\n{body}\n'
    file = SOURCES["python"](sewdsl.read(Source("repeated.net", text)).result())
    assert "# line 6: {SEW Block (c4)-MPk2s2}*2 -> [T, N, 4, 3, 3]\n" in file
    assert "# line 6: SEW Block (c4) -> " in file


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("groups", [(1, 2, 8), (2, 1, 4)])
def test_products_of_groups_and_of_one_channel(dialect: str, groups: tuple[int, ...]) -> None:
    """PyTorch expands one channel of a gate, but no groups of channels."""
    body = "-".join(f"c8k3-Gate(n={n})" for n in groups)
    gate = "block Gate(n) = MUL[SUM(over=channels, groups=$(n)) | id]"
    text = f"sewdsl 1\ninput 2x6x6\nsteps 2\nneuron IF\n{gate}\nbody {body}\n"
    network = sewdsl.read(Source("gates.net", text)).result()
    ours = sewdsl.compile(network, seed=0, optimize=0).to(DOUBLE)
    x = torch.rand(2, 3, 2, 6, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    same(outcome(made(SOURCES[dialect](network), ours), x), outcome(ours, x))


@pytest.mark.parametrize("dialect", SOURCES)
def test_blocks_of_maps_and_vectors_and_of_kernels_with_two_lengths(dialect: str) -> None:
    blocks = "block Row(n) = c4k$(n)x1-BN-SN\nblock Twice = SN-DP-SN\n"
    text = f"sewdsl 1\ninput 2x6x6\nsteps 2\nneuron IF\n{blocks}body c4k3-Twice-Row(n=1)-Row(n=3)-Flatten-Twice-FC3\n"
    network = sewdsl.read(Source("rows.net", text)).result()
    ours = sewdsl.compile(network, seed=0, optimize=0).to(DOUBLE)
    x = torch.rand(2, 3, 2, 6, 6, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    same(outcome(made(SOURCES[dialect](network), ours), x), outcome(ours, x))
