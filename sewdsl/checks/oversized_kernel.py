"""Kernels larger than their input, e.g. ``c32k33`` on 32x32, which is probably a typing error."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv

MAX_USUAL_KERNEL = 7
"""Largest kernel that is not reported: deep stages apply 3x3 kernels to 1x1 feature maps on purpose."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about kernels that exceed their input and :data:`MAX_USUAL_KERNEL`."""
    for node in network:
        if not isinstance(node.op, Conv):
            continue
        (signal,) = network.inputs(node)
        # Not strict: a kernel always has two sides, a row [C, L] one.
        sides = list(zip(node.op.kernel, signal.shape[1:], strict=False))
        if any(kernel > max(MAX_USUAL_KERNEL, side) for kernel, side in sides):
            size, map_size = ("x".join(map(str, lengths)) for lengths in zip(*sides, strict=True))
            target = f"{map_size} feature map" if len(sides) > 1 else f"row of length {map_size}"
            yield node.diagnostic(
                "oversized-kernel",
                Severity.WARNING,
                f"the {size} kernel is larger than its input, a {target}",
                label=f"input is [{', '.join(map(str, signal.shape))}]",
                help="use a smaller kernel, e.g. k3, or add 'allow oversized-kernel \"reason\"'",
            )
