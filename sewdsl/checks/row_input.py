"""An input of two numbers that looks like the height and width of an image."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv

MIN_SIDE = 16
"""From this length on, both numbers may be those of an image; rows have fewer channels or are longer."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Notes, once, that convolutions of an input ``HxW`` are along one axis: it is read as ``CxL``."""
    shape = network.settings.input
    if len(shape) != len("CL") or (shape[0] != shape[1] and min(shape) < MIN_SIDE):
        return
    channels, length = shape
    node = next(
        (node for node in network if isinstance(node.op, Conv) and len(network.inputs(node)[0].shape) == len(shape)),
        None,
    )
    if node is not None:
        yield Diagnostic(
            "row-input",
            Severity.NOTE,
            f"this convolution is 1-D: the input {channels}x{length} is {channels} channels along one axis of {length}",
            node.span,
            help=f"write 'input 1x{channels}x{length}' for an image, or say 'allow row-input \"reason\"'",
            path=node.where,
        )
