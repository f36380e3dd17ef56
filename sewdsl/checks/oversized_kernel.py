"""A kernel that is larger than the map it slides over, as a digit too many makes it: ``c32k33`` on 32x32."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv

MAX_USUAL_KERNEL = 7
"""The largest kernel that deep stages slide over smaller maps: a 3x3 kernel over 1x1 is no slip."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warns of kernels that are larger than usual and than their input."""
    for node in network:
        if not isinstance(node.op, Conv):
            continue
        (signal,) = network.inputs(node)
        places = signal.shape[1:]
        sides = list(zip(node.op.kernel, places, strict=False))
        if any(kernel > max(MAX_USUAL_KERNEL, side) for kernel, side in sides):
            size, map_size = ("x".join(map(str, lengths)) for lengths in zip(*sides, strict=True))
            what = f"{map_size} map" if len(sides) > 1 else f"row of {map_size}"
            yield Diagnostic(
                "oversized-kernel",
                Severity.WARNING,
                f"the {size} kernel is larger than the {what} that it slides over",
                node.span,
                label=f"input is [{', '.join(map(str, signal.shape))}]",
                help="write a smaller kernel, such as k3, or say 'allow oversized-kernel \"why\"'",
                path=node.where,
            )
