"""Named values as variables of a file."""

from __future__ import annotations

import pytest
import torch

import sewdsl
from sewdsl.exchange.errors import UnsupportedLayer
from tests.exchange.source.files import DOUBLE, SOURCES, made, outcome, same
from tests.named import NAMED


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("name", NAMED)
def test_a_file_computes_what_the_network_does(name: str, dialect: str) -> None:
    network = sewdsl.load(NAMED[name])
    ours = sewdsl.compile(network, seed=1, optimize=0).to(DOUBLE)
    theirs = made(SOURCES[dialect](network), ours)
    x = torch.randn(3, 2, *network.settings.input, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        same(outcome(theirs.train(training), x), outcome(ours.train(training), x))


def test_values_keep_their_names() -> None:
    text = SOURCES["python"](sewdsl.load(NAMED["neck"]))
    flow = text[text.index("def sequence") :]
    for line in (
        "p3 = self.p3(x)",
        "p4 = self.p4(p3)",
        "p5 = self.p5(p4)",
        "n4 = self.n4(p5, p4)",
        "x = torch.cat((self.operand1(n3), self.operand2(n4), self.operand3(p5)), dim=2)",
    ):
        assert line in flow
    assert text.count("class Up(") == 1


REFUSED = {
    "repeat": ("let a = c4k3-SN\nbody a-{ADD[c4k3-SN | a]}*3", "in a repeat that reads more than one value"),
    "state": ("part P = SN-c4k3\nbody c4k3-LOOP[P-P | c4k1]", "keeps a state in a loop for two calls of its part"),
    "start": ("init zero\npart P = c4k3-BN-SN\nbody c4k3-SN-ADD[P | id]-ADD[P | id]", "its branch ends in a part"),
    "input": (
        "input repeat 2x8x8\ninput other 2x8x8\nbody ADD[repeat | other]",
        "a name that the file uses itself",
    ),
}


@pytest.mark.parametrize("dialect", SOURCES)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, dialect: str) -> None:
    text, why = REFUSED[name]
    size = "" if name == "input" else "input 2x8x8\n"
    network = sewdsl.load(f"sewdsl 1\n{size}steps 2\nneuron IF\n{text}-GAP-FC3\n")
    with pytest.raises(UnsupportedLayer, match=why):
        SOURCES[dialect](network)
