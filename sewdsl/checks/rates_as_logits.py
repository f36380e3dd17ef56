"""Cross-entropy of firing rates or probabilities, which has a lower bound above zero."""

from __future__ import annotations

from collections.abc import Iterator
from math import e, log1p

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.attention import Softmax
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.reduction import Largest
from sewdsl.ops.layers.shapes import Flatten, Pad, Reshape, Slice

LEAST = 0.1
"""Largest lower bound of the loss that is not reported."""
NON_INCREASING_LAYERS = (AvgPool, GlobalAvgPool, MaxPool, Largest, Flatten, Pad, Reshape, Slice)
"""Layers whose largest output value does not exceed their largest input value."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn if bounded logits keep the loss up: with logits in [0, b], the softmax is at most e^b / (e^b + K - 1)."""
    recipe, output = network.recipe, network.nodes[network.main_output]
    last = output
    while isinstance(last.op, NON_INCREASING_LAYERS):
        last = network.nodes[last.inputs[0]]
    is_softmax = isinstance(last.op, Softmax)
    most = 1 if is_softmax else last.output.values.count
    # Outputs without a loss are reported elsewhere.
    if recipe is None or recipe.loss.of_rates or not recipe.loss.classifies or (network.outputs and not recipe.losses):
        return
    if not whole or most is None or network.settings.readout == "sum" or len(output.output.shape) > 1:
        return
    classes = output.output.elements
    least = log1p((classes - 1) * e**-most)
    if least < LEAST:
        return
    yield output.diagnostic(
        "rates-as-logits",
        Severity.WARNING,
        f"the outputs are {'probabilities' if is_softmax else 'rates'} from 0 to {most}: cross-entropy over {classes} "
        f"classes cannot fall below {least:.2f}",
        label="output of Softmax" if is_softmax else "output of neurons, or an average of neurons",
        help="remove Softmax, which cross-entropy applies itself"
        if is_softmax
        else "end the network with FC"
        + (", use 'readout sum'" if "sum" in recipe.loss.readouts else "")
        + " or train with 'loss MSE'",
    )
