"""Random networks give the same as ONNX models: in onnxruntime, and in float64 in the reference evaluator of onnx."""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor

from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.ir.network import Network
from sewdsl.ir.op import ParallelNeuron
from sewdsl.lower.inputs import Inputs, map_inputs
from sewdsl.ops.layers.pool import MaxPool
from sewdsl.passes import Program
from tests.effort import examples
from tests.exchange.onnx.running import run
from tests.laws.drawn import Drawn, nets
from tests.laws.outcomes import DOUBLE, SINGLE, Numbers, build, expected

Runner = Callable[[ModelProto, Inputs], Tensor]
drawn_nets = nets()


def in_onnxruntime(model: ModelProto, x: Inputs) -> Tensor:
    return run(model, x)["sequence"]


class Erf(OpRun):
    """The error function in float64, which the evaluator of onnx rounds to float32."""

    def _run(self, x: Any) -> tuple[Any]:
        return (np.vectorize(erf, otypes=[np.float64])(x).astype(x.dtype),)


def evaluated_wrongly(network: Network) -> bool:
    """Return whether onnx 1.23 fails at a pooling: on rows with stride 1, its evaluator omits the padding."""
    rows = (node.op for node in network if node.inputs and network.inputs(node)[0].shape[2:] == ())
    return any(isinstance(op, MaxPool) and op.padding != (0, 0) and op.stride == (1, 1) for op in rows)


def in_onnx(model: ModelProto, x: Inputs) -> Tensor:
    """Run a model with NumPy, independently of onnxruntime."""
    feed = {name: each.numpy() for name, each in ({"input": x} if isinstance(x, Tensor) else x).items()}
    (y,) = ReferenceEvaluator(model, new_ops=[Erf]).run(["sequence"], feed)
    return torch.from_numpy(y)


@pytest.mark.parametrize("axis", [ScannedTime, UnrolledTime])
@pytest.mark.parametrize(
    ("numbers", "runner", "tolerance", "margin"),
    [(SINGLE, in_onnxruntime, 2e-4, 1e-5), (DOUBLE, in_onnx, 1e-9, 1e-9)],
    ids=["onnxruntime", "onnx"],
)
@examples(6)
@given(drawn=drawn_nets)
def test_same_outputs(
    axis: type[TimeAxis], numbers: Numbers, runner: Runner, tolerance: float, margin: float, drawn: Drawn
) -> None:
    """At every time-step; but where rounding may turn a decision."""
    direct = dict(drawn.settings)["encode"] == "direct"
    assume(drawn.static is not False or not direct)
    looped = [drawn.network.nodes[index].op for index in drawn.network.graph.looped]
    assume(not any(isinstance(op, ParallelNeuron) or op.fixed_steps for op in looped))  # refused by name
    assume(runner is in_onnxruntime or not evaluated_wrongly(drawn.network))
    drawn = drawn.exported
    model = build(drawn, Program.of(drawn.network), numbers).eval()
    assume(model.example is not None or numbers is SINGLE)  # nothing else says that float64 is wanted
    wanted, nearest = expected(drawn, numbers, training=False)
    found = runner(to_onnx(model, axis), map_inputs(lambda x: x.to(numbers.dtype), drawn.x))
    assert (found.dtype, found.shape) == (wanted.y.dtype, wanted.y.shape)
    wrong = (found - wanted.y).abs().max() > tolerance * (1 + wanted.y.abs().max())
    assume(not wrong or nearest > margin)
    assert not wrong
