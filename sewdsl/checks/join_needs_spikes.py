"""Joins that are only defined for spikes, with other operands."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Report operands of AND and IAND that are not binary: (1 - A) · S is not a spike if S is 2 (Table 1)."""
    for node in network:
        if not (isinstance(node.op, Join) and node.op.spikes_only):
            continue
        # PyTorch computes the join of any values, so the error would not appear at run time.
        inputs = network.inputs(node)
        for name, signal in zip(node.op.names(len(inputs)), inputs, strict=True):
            if not signal.values.binary:
                yield node.diagnostic(
                    "join-needs-spikes",
                    Severity.ERROR,
                    f"{node.op.kind} requires spikes, but the value range of its {name} is {signal.values}",
                    label=f"{name}: {signal.values}",
                    help=f"insert a neuron, or use ADD instead of {node.op.kind}",
                )
