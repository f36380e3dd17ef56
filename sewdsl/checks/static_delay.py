"""Delays of values that are constant over time."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.delay import Delay


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about delays of all values after a static input or a reduction over time.

    They only zero the first time-step.

    A delay next to other readers of the input, as in ``ADD[id | DELAY-SCALE(value=-1)]``, selects time-steps.
    """
    consumers = network.graph.consumers
    for node in network:
        # A reduction over time in a loop is reported as an error.
        static = not node.feeds_back and not any(signal.varies for signal in network.inputs(node))
        if static and isinstance(node.op, Delay):
            source = node
            while len(source.inputs) == 1 and len(consumers[source.inputs[0]]) == 1:
                source = network.nodes[source.inputs[0]]
            if source.inputs:
                continue
            yield Diagnostic(
                "static-delay",
                Severity.WARNING,
                "the input of DELAY is constant over time, so DELAY only zeroes the first time-step",
                node.span,
                help="move it after a neuron, or remove it",
                path=node.where,
            )
