"""An ONNX graph under construction, with unique names for the values of each node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass

Dims = Sequence[int | str | None]
"""Sizes, and the names of those that are free; None: free, without a name."""


class OnnxGraph:
    """Operations in order, the numbers that they need, and a name for each value.

    Attributes:
        dtype: Number format of all values that are no sizes: float32 or float64.
        bytes: What the numbers take.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.bytes = 0
        self._nodes: list[NodeProto] = []
        self._numbers: dict[str, TensorProto] = {}
        self._names: Counter[str] = Counter()

    @property
    def type(self) -> int:
        """The dtype, as ONNX counts them."""
        return helper.np_dtype_to_tensor_dtype(self.dtype)

    def add(self, op: str, inputs: Sequence[str], name: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Append an operation and return the name of its first result.

        Args:
            name: Its own; a number is appended where it is taken.
            outputs: Names of its results; none: one, of its own name.
        """
        self._names[name] += 1
        name = name if self._names[name] == 1 else f"{name}_{self._names[name]}"
        results = list(outputs) or [name]
        self._nodes.append(helper.make_node(op, list(inputs), results, name, **attributes))
        return results[0]

    def numbers(self, name: str, values: Any) -> str:
        """Name numbers; those that have the name already are taken to be the same."""
        return self._kept(name, values, self.dtype)

    def sizes(self, *sizes: int) -> str:
        """Return a vector of integers, named by what is in it."""
        return self._kept(f"sizes/{'x'.join(map(str, sizes))}", sizes, np.dtype(np.int64))

    def factors(self, *factors: float) -> str:
        """Return a vector of numbers in float32, whatever the graph has, named by what is in it."""
        return self._kept(f"factors/{'x'.join(f'{factor:g}' for factor in factors)}", factors, np.dtype(np.float32))

    def value(self, name: str, dims: Dims) -> ValueInfoProto:
        """Return a value of the graph's dtype, as its inputs and outputs are declared."""
        return helper.make_tensor_value_info(name, self.type, dims)

    def proto(self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> GraphProto:
        """Return the graph."""
        return helper.make_graph(self._nodes, name, list(inputs), list(outputs), list(self._numbers.values()))

    def _kept(self, name: str, values: Any, dtype: np.dtype[Any]) -> str:
        if name not in self._numbers:
            array = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
            self._numbers[name] = numpy_helper.from_array(array, name)
            self.bytes += array.nbytes
        return name


@dataclass(frozen=True)
class NodeScope:
    """Where a node's operations go, and what they are called.

    Attributes:
        node: The node, or where a batch norm is folded into a layer, the layer.
        name: What operations are named by.
        gives: The name of the value.
        shapes: Those of the values that it reads, ``(C, H, W)`` or ``(F,)`` each.
        sizes: Gives the name of the sizes ``[T, …]``, for what follows T.
    """

    graph: OnnxGraph
    node: Node
    name: str
    gives: str
    shapes: Sequence[tuple[int, ...]]
    sizes: Callable[..., str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first value that it reads."""
        return self.shapes[0]

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append an operation on the way to the node's value; return the name of its result."""
        return self.graph.add(op, inputs, f"{self.name}/{op}", **attributes)

    def last(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append the operation that gives the node's value; return the name of the value."""
        return self.graph.add(op, inputs, self.name, [self.gives], **attributes)

    def numbers(self, name: str, values: Any) -> str:
        """Name numbers of the node: its weights under their names in the ``state_dict``."""
        return self.graph.numbers(f"{self.name}.{name}", values)
