"""Whatever the network: what NIR can express comes back from its graph and gives the same."""

from __future__ import annotations

from hypothesis import assume, given

import sewdsl
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
    assume(not drawn.network.settings.inputs)  # A graph has one input.
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


def test_one_channel_is_no_batch() -> None:
    """Graphs of other exporters can have a batch axis. Those of sewdsl have none."""
    model = sewdsl.compile("c4k3-BN-IF-FC3", input="1x7", seed=0).eval()
    assert read_graph(to_graph(model)).network.settings.input == (1, 7)
