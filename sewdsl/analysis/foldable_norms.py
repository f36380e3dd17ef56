"""Batch norms that evaluation folds into the weights before them."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm


def foldable_norms(network: Network) -> dict[int, int]:
    """Return the foldable batch norms, in order, with the index of their layer."""
    hosts: dict[int, int] = {}
    for index, node in enumerate(network):
        if isinstance(node.op, BatchNorm):
            (source,) = node.inputs
            foldable = source in hosts or isinstance(network.nodes[source].op, Conv | Linear)
            # Other readers, or an output, need the value before the norm.
            if foldable and network.graph.consumers[source] == (index,) and source not in network.output_indices:
                hosts[index] = hosts.get(source, source)
    return hosts
