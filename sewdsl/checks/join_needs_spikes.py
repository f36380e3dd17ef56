"""A join that is defined on spikes, on something that is none."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """AND and IAND need binary operands: (1 - A) · S is no spike where S counts to 2 (Table 1)."""
    for node in network:
        if not (isinstance(node.op, Join) and node.op.spikes_only):
            continue
        inputs = network.inputs(node)
        for name, signal in zip(node.op.names(len(inputs)), inputs, strict=True):
            if not signal.values.binary:
                yield Diagnostic(
                    "join-needs-spikes",
                    Severity.ERROR,
                    f"{node.op.kind} needs spikes, but its {name} is {signal.values}",
                    node.span,
                    label=f"the {name} is {signal.values}",
                    help=f"put a neuron between, or use ADD instead of {node.op.kind}",
                    path=node.where,
                )
