"""Delays of values that are constant over time."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.delay import Delay


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about delays with a static input, which only zero the first time-step."""
    for node in network:
        if isinstance(node.op, Delay) and not any(signal.varies for signal in network.inputs(node)):
            yield Diagnostic(
                "static-delay",
                Severity.WARNING,
                "the input of DELAY is constant over time, so DELAY only zeroes the first time-step",
                node.span,
                help="move it after a neuron, or remove it",
                path=node.where,
            )
