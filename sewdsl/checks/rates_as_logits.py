"""A cross-entropy of firing rates, which cannot fall to zero."""

from __future__ import annotations

from collections.abc import Iterator
from math import e, log1p

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.shapes import Flatten

LEAST = 0.1
"""A loss that can fall below this is not kept from falling."""
NON_INCREASING_LAYERS = (AvgPool, GlobalAvgPool, MaxPool, Flatten)
"""Layers whose output is never greater than their input's."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Logits between 0 and b give the right class at most e^b / (e^b + K - 1) of the softmax over K classes."""
    recipe, output = network.recipe, network.nodes[network.output]
    if network.outputs:
        return  # it cannot be trained so
    last = output
    while isinstance(last.op, NON_INCREASING_LAYERS):
        last = network.nodes[last.inputs[0]]
    most = last.output.values.count
    if recipe is None or recipe.loss.of_rates:
        return
    if not whole or most is None or network.settings.readout == "sum" or len(output.output.shape) > 1:
        return
    classes = output.output.elements
    least = log1p((classes - 1) * e**-most)
    if least < LEAST:
        return
    yield Diagnostic(
        "rates-as-logits",
        Severity.WARNING,
        f"the output is a rate from 0 to {most}: a cross-entropy over {classes} classes never falls below {least:.2f}",
        output.span,
        label="ends in neurons, or in a mean of theirs",
        help="end the network in FC"
        + (", or take 'readout sum'" if "sum" in recipe.loss.readouts else "")
        + ", or train with 'loss MSE'",
        path=output.where,
    )
