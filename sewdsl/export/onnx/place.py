"""The place of a node in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sewdsl.export.onnx.graph import Graph
from sewdsl.ir.network import Node


@dataclass(frozen=True)
class NodeScope:
    """Where a node's operations go, and what they are called.

    Attributes:
        graph: The graph.
        node: The node, or where a batch norm is folded into a layer, the layer.
        name: What operations are named by.
        gives: The name of the value.
        shape: What it reads first, ``(C, H, W)`` or ``(F,)``.
    """

    graph: Graph
    node: Node
    name: str
    gives: str
    shape: tuple[int, ...]

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """An operation on the way to the node's value; the name of its result."""
        return self.graph.add(op, inputs, f"{self.name}/{op}", **attributes)

    def last(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The operation that gives the node's value."""
        return self.graph.add(op, inputs, self.name, [self.gives], **attributes)

    def numbers(self, name: str, values: Any) -> str:
        """Numbers of the node: its weights under their names in the ``state_dict``."""
        return self.graph.numbers(f"{self.name}.{name}", values)
