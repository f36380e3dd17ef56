"""Inputs of two numbers that look like the height and width of an image."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv

MIN_SIDE = 16
"""Length from which two different numbers may be an image. Rows usually have fewer channels."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Note once that an input ``AxB`` is read as ``CxL``, so that convolutions are 1-D."""
    # Rows of all inputs have equal causes: the first one is reported.
    shape = next((source.shape for source in network.settings.sources if len(source.shape) == len("CL")), ())
    # Small unequal numbers are typical of rows, e.g. 2x700.
    if len(shape) != len("CL") or (shape[0] != shape[1] and min(shape) < MIN_SIDE):
        return
    channels, length = shape
    node = next(
        (node for node in network if isinstance(node.op, Conv) and len(network.inputs(node)[0].shape) == len(shape)),
        None,
    )
    if node is not None:
        yield node.diagnostic(
            "row-input",
            Severity.NOTE,
            f"this convolution is 1-D: the input {channels}x{length} has {channels} channels of length {length}",
            help=f"use 'input 1x{channels}x{length}' for an image, or add 'allow row-input \"reason\"'",
        )
