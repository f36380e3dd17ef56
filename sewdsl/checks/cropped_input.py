"""A pooling window that does not reach the last rows or columns of its input."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.pool import Pool


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warns where rows or columns of the input change nothing."""
    for node in network:
        if not isinstance(node.op, Pool):
            continue
        (signal,) = network.inputs(node)
        lost = node.op.cropped(signal)
        if any(lost):
            names = ("row", "column") if len(lost) > 1 else ("place",)
            parts = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in zip(lost, names, strict=True) if n]
            pad = ", add a padding such as p1" if min(node.op.kernel) > 1 else ""
            yield Diagnostic(
                "cropped-input",
                Severity.WARNING,
                f"pooling {node.op.short} does not reach the last {' and '.join(parts)} of [{signal.size}]",
                node.span,
                label=f"input is [{', '.join(map(str, signal.shape))}]",
                help=f"sizes are rounded down; choose an input or a window that divides{pad}, "
                "or say 'allow cropped-input \"why\"'",
                path=node.where,
            )
