"""A network under construction from another library's model: layers, edges, weights, and why a part is unsupported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from sewdsl.exchange.errors import ExportError
from sewdsl.ir.graph import DominatorTree
from sewdsl.ir.kind import Kind
from sewdsl.ir.node import Node, Wired, graph_of
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
    """A model that cannot be read as a network; the message says which part, and why."""


class UnsupportedPart(ModelImportError):
    """A part of a model that has no place in the language.

    Args:
        name: The part, as its own library calls it: ``layer1.0.sn1``.
        kind: What it is there: ``LIF``, ``spikingjelly…neuron.QIFNode``.
        why: What speaks against it, in words that go on after its name: ``leaks towards 0.1, …``.
    """

    def __init__(self, name: str, kind: str, why: str) -> None:
        super().__init__(f"{name or 'the model itself'} ({kind}) {why}")
        self.name = name


@dataclass(frozen=True)
class SourcePart:
    """Where a part comes from.

    Attributes:
        name: As its library calls it.
    """

    name: str
    kind: str

    def refusal(self, why: str) -> UnsupportedPart:
        """Return the error that the part is unsupported, for words that go on after its name."""
        return UnsupportedPart(self.name, self.kind, why)


@dataclass(frozen=True)
class DraftLayer(Wired):
    """One operation.

    Attributes:
        inputs: Indices of the items that it reads, all smaller than its own; (branch, identity) for a join.
        tensors: Its parameters and buffers, by their names in its module.
        delayed: Of a delay in a loop, which reads nothing: index of the item whose value of the time-step before it
            gives.
    """

    op: Op
    inputs: tuple[int, ...]
    origin: SourcePart
    output: Signal
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    delayed: int | None = None

    def to_node(self, name: str, nodes: Sequence[Node]) -> Node:
        """Return the node after some others; its type is inferred again, but for that of what is fed back."""
        inferred = self.op.infer(*(nodes[i].output for i in self.inputs)) if not self.feeds_back else self.output
        return Node(name, self.op, self.inputs, inferred, delayed=self.delayed)


class ScaleOp(Layer):
    """Multiplies what it reads; it occurs in no network, but becomes part of a layer before one is made of the draft.

    Its tensor ``factor`` holds one number, or one for each channel.
    """

    def infer(self, *inputs: Signal) -> Signal:
        """Return real values in the same shape."""
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """It is never built."""
        raise NotImplementedError


OUTPUT = -1
"""Who reads the last item."""
OPEN = -1
"""What a delay gives a time-step later, until that is known."""


class Draft:
    """Items in order of computation; the first is the input.

    Attributes:
        outputs: Indices of the items that are read out over time, by name; the only one has an empty name.
    """

    def __init__(self, shape: Sequence[int], *, varies: bool = True) -> None:
        catalogue()  # defaults are found by name
        op = Input(shape=tuple(shape), varies=varies)
        self.outputs: dict[str, int] = {"": 0}
        self.dominators = DominatorTree()
        self.dominators.add(())
        self.items: list[DraftLayer] = [DraftLayer(op, (), SourcePart("input", "input"), op.infer())]

    def add(self, op: Op, inputs: Iterable[int], origin: SourcePart, **tensors: Tensor | None) -> int:
        """Append an item and return its index.

        Raises:
            UnsupportedPart: it does not fit what it reads.
        """
        read = tuple(inputs)
        try:
            output = op.infer(*(self.items[i].output for i in read))
        except ShapeMismatch as misfit:
            raise origin.refusal(f"does not fit: {misfit}") from None
        given = {name: value for name, value in tensors.items() if value is not None}
        self.items.append(DraftLayer(op, read, origin, output, given))
        self.dominators.add(read)
        return len(self.items) - 1

    def add_delay(self, signal: Signal, origin: SourcePart) -> int:
        """Append the delay of a later item of a type and return its index; ``close`` states the item."""
        self.items.append(DraftLayer(Delay(), (), origin, Delay().infer(signal), delayed=OPEN))
        self.dominators.add(())
        return len(self.items) - 1

    def close(self, delay: int, source: int) -> None:
        """State the item of a delay."""
        self.change(delay, delayed=source)

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape that an item gives, ``(C, H, W)`` or ``(F,)``."""
        return self.items[index].output.shape

    def change(self, index: int, **changes: object) -> None:
        """Replace fields of an item."""
        self.items[index] = replace(self.items[index], **changes)  # type: ignore[arg-type]

    def static(self) -> None:
        """Make the input one that is the same at every time-step."""
        self.change(0, op=Input(shape=self.shape(0), varies=False))
        for index, item in enumerate(self.items):
            if item.feeds_back:
                continue
            self.change(index, output=item.op.infer(*(self.items[i].output for i in item.inputs)))

    def reconnect(self, reader: int, before: int, after: int) -> None:
        """Replace an item that another one reads."""
        item = self.items[reader]
        self.items[reader] = item.moved({i: after if i == before else i for i in item.sources})

    def readers(self) -> list[list[int]]:
        """Return the readers of each item; :data:`OUTPUT` represents the reader of the network."""
        found = [[*readers] for readers in graph_of(self.items).consumers]
        for index in self.outputs.values():
            found[index].append(OUTPUT)
        return found


def ordered_items(draft: Draft) -> tuple[list[DraftLayer], dict[str, int]]:
    """Return the items that the outputs depend on, as a text has them: a join's branch, its shortcut, the join.

    Where it does not matter which operand of a join is the branch, it is the longer one; of a sum that a loop begins
    with, what flows in.

    Returns:
        The items, and the indices of the outputs by name.
    """
    depth: list[int] = []
    for item in draft.items:
        depth.append(1 + max((depth[i] for i in item.inputs), default=0))
    graph = graph_of(draft.items)
    back: list[bool] = []  # whether an item follows from what is fed back alone
    for index, item in enumerate(draft.items):
        back.append(index > 0 and all(back[i] for i in item.inputs))

    def operands(item: DraftLayer) -> tuple[int, ...]:
        if isinstance(item.op, Add) and any(back[i] for i in item.inputs):
            return tuple(sorted(item.inputs, key=back.__getitem__))
        symmetric = isinstance(item.op, Add | And)
        return tuple(sorted(item.inputs, key=lambda i: -depth[i])) if symmetric else item.inputs

    places: dict[int, int] = {0: 0}
    ordered: list[DraftLayer] = [draft.items[0]]
    live = graph.lead_to(draft.outputs.values())
    waiting = [
        *reversed(draft.outputs.values()),
        *(source for delay, source in graph.back_edges.items() if delay in live),
    ]
    while waiting:
        index = waiting[-1]
        item = draft.items[index]
        first = next((i for i in operands(item) if i not in places), None)
        if index not in places and first is not None:
            waiting.append(first)
            continue
        waiting.pop()
        if index not in places:
            places[index] = len(ordered)
            ordered.append(replace(item, inputs=tuple(places[i] for i in operands(item))))
    closed = [item if item.delayed is None else replace(item, delayed=places[item.delayed]) for item in ordered]
    again = graph_of(closed)
    outputs = {name: places[index] for name, index in draft.outputs.items()}
    if again.back_edges:
        adds = frozenset(index for index, item in enumerate(closed) if isinstance(item.op, Add))
        for index in fed_back(again, tuple(outputs.values()), adds):
            closed[index] = replace(closed[index], inputs=closed[index].inputs[::-1])
    return closed, outputs


Made = TypeVar("Made", bound=Kind)


def make_op(kind: type[Made], origin: SourcePart, **arguments: Any) -> Made:
    """Return a kind with arguments of another library.

    Raises:
        UnsupportedPart: it does not take them.
    """
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(map(str, said["loc"]))
        message = f"{where}: {said['msg']}" if where else said["msg"]
        raise origin.refusal(f"has a value that {kind.kind} does not take: {message}") from None
