"""Whatever the network: what NIR can express comes back from its graph and gives the same."""

from __future__ import annotations

from hypothesis import assume, given

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.read.nir import read_graph
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.passes import Program
from tests.effort import examples
from tests.exchange.incoming.run import given as outputs
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, build, expected

drawn_nets = nets()


@examples(12)
@given(drawn=drawn_nets)
def test_comes_back(drawn: Drawn) -> None:
    # A graph has one input, and a length of 1 in front of another one is read as that of a batch.
    assume(not drawn.network.settings.inputs and drawn.network.settings.input != (1, 7))
    model = build(drawn, Program.of(drawn.network)).eval()
    try:
        found = read_graph(to_graph(model))
    except UnsupportedLayer:
        return
    wanted, margin = expected(drawn, DOUBLE, training=False)
    assume(margin > 1e-9)
    y = outputs(found, drawn.x)
    assert y.shape == wanted.y.shape
    assert float((y - wanted.y).abs().max()) <= 1e-9 * (1 + float(wanted.y.abs().max()))
