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
    for index, node in enumerate(network):
        # A reduction over time in a loop is reported as an error.
        static = not node.feeds_back and not any(signal.varies for signal in network.inputs(node))
        if static and isinstance(node.op, Delay) and _all_values_pass(network, index):
            yield node.diagnostic(
                "static-delay",
                Severity.WARNING,
                "the input of DELAY is constant over time, so DELAY only zeroes the first time-step",
                help="move it after a neuron, or remove it",
            )


def _all_values_pass(network: Network, index: int) -> bool:
    """Return whether every path from an input to an output contains a node."""
    reached, todo = {index}, [*network.input_indices]
    while todo:
        i = todo.pop()
        if i not in reached:
            reached.add(i)
            todo += network.graph.consumers[i]
    return reached.isdisjoint({*network.output_indices} - {index})
