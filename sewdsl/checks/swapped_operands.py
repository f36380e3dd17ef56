"""A shortcut written where the branch belongs."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Table 1: g(A, S) takes the branch A first. IAND is another function of them swapped."""
    for index, node in enumerate(network):
        if not is_residual(network, index):
            continue
        branch, shortcut = node.inputs
        if any(step.kind == "value" and step not in node.path for step in network.nodes[shortcut].path):
            continue  # what has a name is written in the order of the names, and is no shortcut
        if branch != shortcut and network.graph.reaches(branch, shortcut):
            yield Diagnostic(
                "swapped-operands",
                Severity.WARNING,
                f"the branch of {node.op.kind} computes nothing, and its shortcut does",
                node.span,
                label="the branch comes first, the shortcut second",
                help=f"write {node.op.kind}[branch | id]: as it is, no rule sees a residual block here",
                path=node.where,
            )
