"""Joins whose branch and shortcut are swapped."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn if the shortcut of a join is computed from its branch: g(A, S) takes the branch A first (Table 1)."""
    for index, node in enumerate(network):
        if not is_residual(network, index):
            continue
        branch, shortcut = node.inputs
        if any(step.kind == "value" and step not in node.path for step in network.nodes[shortcut].path):
            continue  # A named value is not a shortcut: its operands follow the order of the definitions.
        if branch != shortcut and network.graph.reaches(branch, shortcut):
            yield Diagnostic(
                "swapped-operands",
                Severity.WARNING,
                f"branch and shortcut of {node.op.kind} are swapped: the first operand contains no layer",
                node.span,
                label="expected the branch first and the shortcut second",
                help=f"write {node.op.kind}[branch | id]",
                path=node.where,
            )
