"""Named values as variables of a file."""

from __future__ import annotations

import pytest
import torch

import sewdsl
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
