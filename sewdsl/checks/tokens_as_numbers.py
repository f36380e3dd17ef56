"""Tokens that a layer multiplies by weights, although their numbers have no order."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Layer, WeightedLayer
from sewdsl.ops.input import Input


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about layers that connect a vector of integers, which only ``EMB`` reads as tokens."""
    # Node whose values each node passes on, so that a chain of such layers is followed once.
    origins: list[int] = []
    for index, node in enumerate(network):
        # Layers that keep the values only move them. The input of a delay can be a later node.
        passes_on = isinstance(node.op, Layer) and node.inputs and node.output.values == network.inputs(node)[0].values
        origins.append(origins[node.inputs[0]] if passes_on and node.inputs[0] < index else index)
        if not isinstance(node.op, WeightedLayer) or not node.op.connects:
            continue
        source = network.nodes[origins[node.inputs[0]]]
        of = source.op.of if isinstance(source.op, Input) else None
        # Frames of counts have channels, and spikes are two values.
        if of is not None and len(source.output.shape) == 1 and not source.output.values.binary:
            yield node.diagnostic(
                "tokens-as-numbers",
                Severity.WARNING,
                f"{node.op.kind} multiplies integers from 0 to {of - 1:,} by weights, as numbers instead of tokens",
                help="insert EMB before it for tokens, e.g. EMB64, or add 'allow tokens-as-numbers \"reason\"'",
            )
