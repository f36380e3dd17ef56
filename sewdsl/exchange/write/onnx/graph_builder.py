"""ONNX graph under construction, with unique value names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass

Dims = Sequence[int | str | None]
"""Sizes. A string is a named dynamic size, None an unnamed one."""


class OnnxGraph:
    """Operations in order, constants, and value names.

    Attributes:
        dtype: Dtype of all values except sizes: float32 or float64.
        main: Main graph of the model, whose constants the body of an operation can read.
        bytes: Size of the constants in bytes.
    """

    def __init__(self, dtype: np.dtype[Any], main: OnnxGraph | None = None) -> None:
        self.dtype = dtype
        self.main = main or self
        self.bytes = 0
        self._nodes: list[NodeProto] = []
        self._numbers: dict[str, TensorProto] = {}
        self._contents: dict[str, tuple[tuple[int, ...], bytes]] = {}
        self._names: Counter[str] = Counter()

    @property
    def type(self) -> int:
        """ONNX number of the dtype."""
        return helper.np_dtype_to_tensor_dtype(self.dtype)

    def add(self, op: str, inputs: Sequence[str], name: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Append an operation and return the name of its first result.

        Args:
            name: Name of the operation. A number is appended if it is in use.
            outputs: Names of the results. Default: one result with the name of the operation.
        """
        self._names[name] += 1
        name = name if self._names[name] == 1 else f"{name}_{self._names[name]}"
        results = list(outputs) or [name]
        self._nodes.append(helper.make_node(op, list(inputs), results, name, **attributes))
        return results[0]

    def constant(self, name: str, values: Any) -> str:
        """Add a constant and return its name.

        An existing constant of this name and value is reused. Another value gets a number: two calls of a part can have
        other weights, if a batch norm after one of them is folded.
        """
        array = np.asarray(values, self.dtype)
        content = array.shape, array.tobytes()
        names = (name if ordinal == 1 else f"{name}_{ordinal}" for ordinal in count(1))
        free = next(each for each in names if self._contents.setdefault(each, content) == content)
        return self._constant(free, values, self.dtype)

    def sizes(self, *sizes: int) -> str:
        """Add a vector of integers, named by its content, and return its name."""
        return self._constant(f"sizes/{'x'.join(map(str, sizes))}", sizes, np.dtype(np.int64))

    def factors(self, *factors: float) -> str:
        """Add a vector of float32 values, whatever the dtype of the graph, named by its content. Return its name."""
        return self._constant(f"factors/{'x'.join(f'{factor:g}' for factor in factors)}", factors, np.dtype(np.float32))

    def value(self, name: str, dims: Dims, *, integers: bool = False) -> ValueInfoProto:
        """Return the declaration of a value of the graph's dtype, or of int64, for inputs and outputs."""
        return helper.make_tensor_value_info(name, TensorProto.INT64 if integers else self.type, dims)

    def proto(self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> GraphProto:
        """Return the finished graph."""
        return helper.make_graph(self._nodes, name, list(inputs), list(outputs), list(self._numbers.values()))

    def _constant(self, name: str, values: Any, dtype: np.dtype[Any]) -> str:
        if name not in self._numbers:
            # ascontiguousarray() turns scalars into vectors: restore the shape.
            array = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
            self._numbers[name] = numpy_helper.from_array(array, name)
            self.bytes += array.nbytes
        return name


@dataclass(frozen=True)
class NodeScope:
    """Target of the operations of one node."""

    graph: OnnxGraph
    node: Node
    """The node, or the layer that a batch norm is folded into."""
    name: str
    """Prefix of the operations' names."""
    output: str
    """Name of the node's value."""
    shapes: Sequence[tuple[int, ...]]
    """Shapes of its inputs, ``(C, H, W)`` or ``(F,)``."""
    sizes: Callable[..., str]
    """Returns the name of the sizes ``[T, …]``, given the sizes after T."""
    weights: str = ""
    """Name of the node whose module several nodes use, or empty."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first input."""
        return self.shapes[0]

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append an intermediate operation, and return the name of its result."""
        return self.graph.add(op, inputs, f"{self.name}/{op}", **attributes)

    def add_output(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append the operation that computes the node's value, and return the name of the value."""
        return self.graph.add(op, inputs, self.name, [self.output], **attributes)

    def constant(self, name: str, values: Any) -> str:
        """Add a constant of the node and return its name. Weights have their name in the ``state_dict``."""
        graph = self.graph.main if self.weights else self.graph
        return graph.constant(f"{self.weights or self.name}.{name}", values)
