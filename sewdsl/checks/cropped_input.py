"""Pooling windows that ignore the last rows or columns of their input."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.pool import Pool


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about rows or columns that no pooling window covers."""
    for node in network:
        if not isinstance(node.op, Pool):
            continue
        (signal,) = network.inputs(node)
        cropped = node.op.cropped(signal)
        if any(cropped):
            names = ("row", "column") if len(cropped) > 1 else ("position",)
            parts = [f"{n} {name}{'s' if n > 1 else ''}" for n, name in zip(cropped, names, strict=True) if n]
            # The padding must be smaller than the window, so a window of 1 allows none.
            pad = ", add padding, e.g. p1," if min(node.op.kernel) > 1 else ""
            yield node.diagnostic(
                "cropped-input",
                Severity.WARNING,
                f"pooling {node.op.short} ignores {' and '.join(parts)} at the end of its {signal.size} input",
                label=f"input is [{', '.join(map(str, signal.shape))}]",
                help=f"change the input size or the window{pad} or add 'allow cropped-input \"reason\"'",
            )
