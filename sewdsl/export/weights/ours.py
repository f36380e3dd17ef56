"""Our own keys: the paths of the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from sewdsl.export.weights.scheme import Place, Scheme
from sewdsl.ir.network import Network


class NodePathScheme(Scheme):
    """``sew_block1.branch.conv1.weight``: for every network."""

    name: ClassVar[str] = "sewdsl"

    def places(self, network: Network) -> Iterator[Place]:
        """Every node, by its name."""
        for node in network:
            yield node, node.name
