"""Network under construction from an imported model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from sewdsl.exchange.errors import ExportError
from sewdsl.ir.graph import DominatorTree
from sewdsl.ir.kind import Kind
from sewdsl.ir.node import Node, PathStep, Wired, graph_of
from sewdsl.ir.op import Layer, Op, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.ir.wiring import fed_back
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.ops.input import Input
from sewdsl.ops.joins import Add, And
from sewdsl.ops.layers.delay import Delay

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sewdsl.snn.runtime import Runtime


class ModelImportError(ExportError):
    """Model that cannot be read as a network."""


class UnsupportedPart(ModelImportError):
    """Part of a model that sewdsl cannot express.

    Args:
        name: Name in the source library: ``layer1.0.sn1``.
        kind: Type in the source library: ``LIF``, ``spikingjelly…neuron.QIFNode``.
        why: Predicate of the message, e.g. ``leaks towards 0.1``.
    """

    def __init__(self, name: str, kind: str, why: str) -> None:
        super().__init__(f"{name or 'the model itself'} ({kind}) {why}")
        self.name = name


@dataclass(frozen=True)
class SourcePart:
    """Part of the source model, for error messages, with its name and type in the source library."""

    name: str
    kind: str

    def refusal(self, why: str) -> UnsupportedPart:
        """Return an error about this part. ``why`` is the predicate of the message."""
        return UnsupportedPart(self.name, self.kind, why)


@dataclass(frozen=True)
class DraftLayer(Wired):
    """Operation of a draft."""

    op: Op
    inputs: tuple[int, ...]
    """Indices of the items it reads, all smaller than its own. A join reads (branch, identity)."""
    origin: SourcePart
    output: Signal
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """Parameters and buffers, by their names in its module."""
    delayed: int | None = None
    """For a delay in a loop, which has no inputs: index of the item whose previous value it outputs."""
    weights: int | None = None
    """Index of the item in the first call of a part, whose weights the item uses."""
    path: tuple[PathStep, ...] = ()
    """Calls of parts around it."""

    def to_node(self, name: str, nodes: Sequence[Node]) -> Node:
        """Return the node that follows ``nodes``. Its signal is inferred again, unless it is fed back."""
        # The source of a feedback delay comes later: its signal cannot be inferred here.
        inferred = self.op.infer(*(nodes[i].output for i in self.inputs)) if not self.feeds_back else self.output
        return Node(name, self.op, self.inputs, inferred, self.path, delayed=self.delayed, weights=self.weights)


class ScaleOp(Layer):
    """Multiplication by a constant.

    It occurs in drafts only and is absorbed before the network is built.

    The tensor ``factor`` has one element, or one per channel.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Return real values of the same shape."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """Raise NotImplementedError: networks never contain this operation."""
        raise NotImplementedError


OUTPUT = -1
"""Pseudo reader of the network outputs."""
OPEN = -1
"""Placeholder for the source of a delay, until its index is known."""


class Draft:
    """Items in order of computation.

    The first is the input, or represents the named inputs, which follow.

    Args:
        shape: Shape of the input, or of each named input.

    Attributes:
        inputs: Indices of the named inputs.
        outputs: Indices of the output items by name. A single output has an empty name.
    """

    def __init__(self, shape: Sequence[int] | Mapping[str, Sequence[int]], *, varies: bool = True) -> None:
        catalogue()  # Load all kinds: arguments refer to them by name.
        named, sizes = (shape, (0,)) if isinstance(shape, Mapping) else ({}, tuple(shape))
        op = Input(shape=sizes, varies=varies)
        self.outputs: dict[str, int] = {"": 0}
        self.dominators = DominatorTree()
        self.dominators.add(())
        self.items: list[DraftLayer] = [DraftLayer(op, (), SourcePart("input", "input"), op.infer())]
        self.inputs = [
            self.add(Input(shape=tuple(size), varies=varies), (0,), SourcePart(name, "input"))
            for name, size in named.items()
        ]

    def add(self, op: Op, inputs: Iterable[int], origin: SourcePart, **tensors: Tensor | None) -> int:
        """Append an item and return the index, or raise UnsupportedPart if the item does not fit the inputs."""
        sources = tuple(inputs)
        try:
            output = op.infer(*(self.items[i].output for i in sources))
        except ShapeMismatch as misfit:
            raise origin.refusal(f"does not fit: {misfit}") from None
        # Absent parameters, e.g. the bias of a layer without one, are passed as None.
        parameters = {name: value for name, value in tensors.items() if value is not None}
        self.items.append(DraftLayer(op, sources, origin, output, parameters))
        self.dominators.add(sources)
        return len(self.items) - 1

    def add_delay(self, signal: Signal, origin: SourcePart, steps: int = 1) -> int:
        """Append the delay of a later item with the given signal, and return its index."""
        op = Delay(steps=steps)
        self.items.append(DraftLayer(op, (), origin, op.infer(signal), delayed=OPEN))
        self.dominators.add(())
        return len(self.items) - 1

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the output shape of an item, ``(C, H, W)`` or ``(F,)``."""
        return self.items[index].output.shape

    def change(self, index: int, **changes: object) -> None:
        """Replace fields of an item."""
        self.items[index] = replace(self.items[index], **changes)  # type: ignore[arg-type]

    def static(self) -> None:
        """Make the inputs constant over time, and infer all signals again."""
        for index in (0, *self.inputs):
            self.change(index, op=Input(shape=self.shape(index), varies=False))
        for index, item in enumerate(self.items):
            if item.feeds_back:
                continue
            self.change(index, output=item.op.infer(*(self.items[i].output for i in item.inputs)))

    def readers(self) -> list[list[int]]:
        """Return the readers of each item. :data:`OUTPUT` represents an output of the network."""
        readers_of = [[*readers] for readers in graph_of(self.items).consumers]
        for index in self.outputs.values():
            readers_of[index].append(OUTPUT)
        return readers_of


def live_items(draft: Draft) -> tuple[list[DraftLayer], dict[str, int]]:
    """Return the items that the outputs depend on, with the operands of joins as in a text.

    If the operands of a join commute, the longer one is the branch. For the sum at the start of a loop, it is the input
    of the loop.

    Returns:
        The items, and the indices of the outputs by name.
    """
    depth: list[int] = []
    from_feedback: list[bool] = []  # Whether an item depends on feedback only.
    for index, item in enumerate(draft.items):
        depth.append(1 + max((depth[i] for i in item.inputs), default=0))
        from_feedback.append(index > 0 and all(from_feedback[i] for i in item.inputs))

    keeps_operands = any(item.weights is not None for item in draft.items)  # Calls of parts keep their order.

    def with_operands(item: DraftLayer) -> DraftLayer:
        if keeps_operands or not isinstance(item.op, Add | And):
            return item
        fed = isinstance(item.op, Add) and any(from_feedback[i] for i in item.inputs)
        key = from_feedback.__getitem__ if fed else lambda i: -depth[i]
        return replace(item, inputs=tuple(sorted(item.inputs, key=key)))

    graph = graph_of(draft.items)
    kept = sorted(graph.lead_to(draft.outputs.values()).union((0, *draft.inputs)))
    new_index = {old: new for new, old in enumerate(kept)}
    items = [with_operands(draft.items[old]).moved(new_index) for old in kept]
    outputs = {name: new_index[index] for name, index in draft.outputs.items()}
    # Put the fed-back operand second, as the text of a loop requires.
    if any(item.feeds_back for item in items):
        adds = frozenset(index for index, item in enumerate(items) if isinstance(item.op, Add))
        for index in fed_back(graph_of(items), tuple(outputs.values()), adds):
            items[index] = replace(items[index], inputs=items[index].inputs[::-1])
    return items, outputs


KindT = TypeVar("KindT", bound=Kind)


def make_op(kind: type[KindT], origin: SourcePart, **arguments: Any) -> KindT:
    """Create a kind with arguments of another library, or raise UnsupportedPart if the kind rejects them."""
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        problem = error.errors()[0]
        location = ".".join(map(str, problem["loc"]))
        message = f"{location}: {problem['msg']}" if location else problem["msg"]
        raise origin.refusal(f"has a value that {kind.kind} does not accept: {message}") from None
