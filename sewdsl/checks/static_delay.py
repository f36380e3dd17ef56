"""A delay of what is the same at every time-step."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.delay import Delay


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warns of a delay that only silences the first time-step: what it reads does not depend on time."""
    for node in network:
        if isinstance(node.op, Delay) and not any(signal.varies for signal in network.inputs(node)):
            yield Diagnostic(
                "static-delay",
                Severity.WARNING,
                "what DELAY reads is the same at every time-step, so that it only silences the first",
                node.span,
                help="put it after a neuron, or leave it out",
                path=node.where,
            )
