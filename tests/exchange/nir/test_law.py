"""Whatever the network: its graph gives the same, or a layer is refused that NIR cannot express."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given

from sewdsl.exchange.errors import ExportError, UnsupportedLayer
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import from_bytes, to_bytes
from sewdsl.ir.op import Activation, Merge, Neuron, Op
from sewdsl.ops.layers.conv import TransposedConv
from sewdsl.ops.layers.fourier import Fourier
from sewdsl.ops.layers.norms import GroupNorm, LayerNorm, RootMeanSquareNorm
from sewdsl.ops.layers.pool import MaxPool
from sewdsl.ops.layers.reduction import Largest, Mean, Sum
from sewdsl.ops.layers.shapes import Pad, Reshape, Slice, Upsample
from sewdsl.ops.layers.tokens import LearnedPosition, LearnedTokens, Swap
from sewdsl.passes import Program
from tests.effort import examples
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, build, expected

REFUSED = (
    Activation | MaxPool | Merge | Largest | Sum | Mean | Upsample | TransposedConv | Fourier | LayerNorm | GroupNorm
    | RootMeanSquareNorm | Pad | Reshape | Slice | Swap | LearnedTokens | LearnedPosition
)  # fmt: skip
"""Layers that NIR has no node for, or none for what they read here."""
drawn_nets = nets()


def knows_time(op: Op) -> bool:
    """Return whether a layer reads several time-steps and is not a neuron with a potential, which NIR has."""
    return op.reads != "step" and not isinstance(op, Neuron)


@examples(20)
@given(drawn=drawn_nets)
def test_gives_the_same(drawn: Drawn) -> None:
    model = build(drawn, Program.of(drawn.network)).eval()
    if drawn.network.settings.inputs:
        with pytest.raises(ExportError, match="a NIR graph has one input, but network has named inputs: left, right"):
            to_bytes(model)
        return
    try:
        written = to_bytes(model)
    except UnsupportedLayer as refused:
        op = refused.node.op
        soft = isinstance(op, Neuron) and op.v_reset is None
        assert soft or (isinstance(op, REFUSED) and not isinstance(op, Neuron)) or knows_time(op)
        return
    wanted, margin = expected(drawn, DOUBLE, training=False)
    assume(margin > 1e-9)
    with torch.no_grad():
        y = NirExecutor(from_bytes(written)).run(drawn.x)
    assert y.shape == wanted.y.shape
    assert float((y - wanted.y).abs().max()) <= 1e-9 * (1 + float(wanted.y.abs().max()))
