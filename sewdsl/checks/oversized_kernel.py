"""A kernel that is larger than the map it slides over, as a digit too many makes it: ``c32k33`` on 32x32."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv

MAX_USUAL_KERNEL = 7
"""The largest kernel that deep stages slide over smaller maps: a 3x3 kernel over 1x1 is no slip."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: ARG001, FBT001 -- the signature of all rules
    """Warns of kernels that are larger than usual and than their input."""
    for node in network:
        if not isinstance(node.op, Conv):
            continue
        (signal,) = network.inputs(node)
        sides = zip(node.op.kernel, signal.shape[1:], strict=True)
        if any(kernel > max(MAX_USUAL_KERNEL, side) for kernel, side in sides):
            size, height, width = "x".join(map(str, node.op.kernel)), *signal.shape[1:]
            yield Diagnostic(
                "oversized-kernel",
                Severity.WARNING,
                f"the {size} kernel is larger than the {height}x{width} map that it slides over",
                node.span,
                label=f"input is [{', '.join(map(str, signal.shape))}]",
                help="write a smaller kernel, such as k3, or say 'allow oversized-kernel \"why\"'",
                path=node.where,
            )
