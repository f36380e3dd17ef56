"""Node list under construction, and the ops that follow each node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from sewdsl.ir.node import Node, PathStep, graph_of, innermost_part
from sewdsl.ir.op import Op, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.source import Span

MAX_ELEMENTS = 2**63
"""Maximum number of elements of an output. PyTorch uses signed 64-bit sizes."""


UNKNOWN = -1
"""Source of a delay before it is computed."""


class Expansion(NamedTuple):
    """Expansion of an item of the source: a layer, a repeat, a merge or a block call."""

    span: Span
    path: tuple[PathStep, ...]
    """Steps through repeats, blocks and merges."""
    before: int | None
    """Index of the input node. None after an error."""
    begin: int
    """Index of the first node of the item."""
    end: int
    """Index after the last node of the item. Equal to ``begin`` without nodes."""
    after: int | None
    """Index of the output node. None after an error."""


class BuilderMark(NamedTuple):
    """State of a node builder: the numbers of nodes and visits."""

    nodes: int
    visits: int


class NodeBuilder:
    """Builder of a node list in order of computation.

    Attributes:
        visits: Expansions of items in user code, in the order in which they end.
        called: Names of called blocks.
        named: Indices of neurons that the source names explicitly instead of by ``SN``.
        understood: Whether any call was resolved to a layer or a block.
        part_calls: Spans of the calls of parts, by the path to the sequence of the part.
    """

    def __init__(self, steps: int = 1) -> None:
        self._steps = steps
        self.nodes: list[Node] = []
        self.visits: list[Expansion] = []
        self.called: set[str] = set()
        self.named: list[int] = []
        self.understood = False
        self.part_calls: dict[tuple[PathStep, ...], Span] = {}
        self._delays: list[tuple[int, list[int]]] = []
        self._known: dict[tuple[int, tuple[Signal, ...]], tuple[Op, Signal, Op]] = {}

    def add(self, name: str, op: Op, inputs: tuple[int, ...], path: tuple[PathStep, ...], span: Span) -> int:
        """Append a node with its op for the time-steps of the network, and return its index.

        Raises:
            ShapeMismatch: If the op does not fit its inputs or T, or its output is too large for a tensor.
        """
        signals = tuple([self.nodes[i].output for i in inputs])
        key = id(op), signals
        if key not in self._known:
            timed = op.over_steps(self._steps)
            inferred = timed.infer(*signals)
            if inputs and inferred.elements > MAX_ELEMENTS:
                message = f"the output of {op.kind} exceeds 2^63 elements per time-step and sample"
                raise ShapeMismatch(
                    "network-too-large", message, "reduce the sizes of the layers, or the number of repeats"
                )
            self._known[key] = timed, inferred, op  # Keep a reference: CPython reuses the id of a deleted object.
        timed, output, _ = self._known[key]
        self.nodes.append(Node(name, timed, inputs, output, path, span))
        return len(self.nodes) - 1

    def add_delay(self, name: str, op: Op, signal: Signal, path: tuple[PathStep, ...], span: Span) -> int:
        """Append the delay of a value that is computed later, and return its index."""
        self.nodes.append(Node(name, op, (), op.infer(signal), path, span, UNKNOWN))
        return len(self.nodes) - 1

    def gather(self, delay: int, delays: list[int]) -> None:
        """Append the last node to the delays of a value. :meth:`cut` also removes it from there."""
        delays.append(delay)
        self._delays.append((delay, delays))

    def close(self, delays: Sequence[int], source: int) -> None:
        """Set the source of delays."""
        for delay in delays:
            self.nodes[delay] = replace(self.nodes[delay], delayed=source)

    @property
    def closed(self) -> bool:
        """True if all delays have a source. An error can prevent its computation."""
        return all(node.delayed != UNKNOWN for node in self.nodes)

    def signal(self, index: int) -> Signal:
        """Return the output signal of a node."""
        return self.nodes[index].output

    def mark(self) -> BuilderMark:
        """Return the current state, for :meth:`cut`."""
        return BuilderMark(len(self.nodes), len(self.visits))

    def cut(self, mark: BuilderMark) -> None:
        """Remove all nodes and visits after a mark."""
        del self.nodes[mark.nodes :]
        del self.visits[mark.visits :]
        while self.named and self.named[-1] >= mark.nodes:
            self.named.pop()
        while self._delays and self._delays[-1][0] >= mark.nodes:
            self._delays.pop()[1].pop()

    def prune(self, outputs: Sequence[int]) -> list[int]:
        """Remove the nodes of unused values, e.g. of rejected alternatives, and return the new indices of outputs."""
        graph = graph_of(self.nodes)
        live = graph.lead_to([0, *outputs])
        if len(live) == len(self.nodes):
            return [*outputs]
        # Enclosing values of a node, by the id of its path. Many nodes share a path.
        inside: dict[int, frozenset[str]] = {}
        for node in self.nodes:
            if id(node.path) not in inside:
                prefixes = zip(node.path, accumulate(f"{step.key}." for step in node.path), strict=True)
                inside[id(node.path)] = frozenset(prefix for step, prefix in prefixes if step.kind == "value")
        values = [inside[id(node.path)] for node in self.nodes]
        read = frozenset[str]().union(*(values[index] for index in live))
        gone = {index for index in range(len(self.nodes)) if index not in live and values[index] - read}
        unread = [index for index in range(len(self.nodes)) if index not in live and index not in gone]
        gone -= graph.lead_to(unread)  # Keep unused layers outside of named values: they are reported.
        moved = [*accumulate((int(index not in gone) for index in range(len(self.nodes))), initial=0)]
        self.nodes = [node.moved(moved) for index, node in enumerate(self.nodes) if index not in gone]
        self.named = [moved[index] for index in self.named if index not in gone]
        self.visits = [
            visit._replace(
                before=None if visit.before is None or visit.before in gone else moved[visit.before],
                begin=moved[visit.begin],
                end=moved[visit.end],
                after=None if visit.after is None or visit.after in gone else moved[visit.after],
            )
            for visit in self.visits
        ]
        return [moved[output] for output in outputs]

    def settled(self) -> tuple[Node, ...]:
        """Return the nodes, with the arguments that depend on following nodes filled in."""
        graph = graph_of(self.nodes)
        consumers: Sequence[Sequence[int]] = graph.consumers
        if self.part_calls:
            # Each call of a part must have equal ops, so that only readers in the same call count.
            calls = [node.path[: innermost_part(node.path)] for node in self.nodes]
            consumers = [
                [reader for reader in readers if self.nodes[reader].path[: len(call)] == call]
                for call, readers in zip(calls, consumers, strict=True)
            ]
        followers = FollowerIndex([node.op for node in self.nodes], consumers, self._steps)
        return tuple(
            node if (op := Followers(followers, i).settled(node.op)) is node.op else replace(node, op=op)
            for i, node in enumerate(self.nodes)
        )


class FollowerIndex:
    """Index of the ops that follow each node of a graph."""

    def __init__(self, ops: Sequence[Op], consumers: Sequence[Sequence[int]], steps: int = 1) -> None:
        self.ops, self.consumers, self.steps = ops, consumers, steps
        self._nearest: dict[type[Op], list[tuple[int, Op] | None]] = {}

    def nearest(self, family: type[Op], index: int) -> Op | None:
        """Return the nearest op of a family after a node. Among equally near ones, the first consumer decides."""
        if family not in self._nearest:
            self._nearest[family] = self._all_nearest(family)
        entry = self._nearest[family][index]
        return entry[1] if entry else None

    def _all_nearest(self, family: type[Op]) -> list[tuple[int, Op] | None]:
        """Return the distance and the nearest op of a family for all nodes."""
        nearest: list[tuple[int, Op] | None] = [None] * len(self.ops)
        # Consumers have higher indices, so one pass from the end suffices.
        for index in range(len(self.ops) - 1, -1, -1):
            for consumer in self.consumers[index]:
                op, after = self.ops[consumer], nearest[consumer]
                candidate = (1, op) if isinstance(op, family) else (after[0] + 1, after[1]) if after else None
                best = nearest[index]
                if candidate is not None and (best is None or candidate[0] < best[0]):
                    nearest[index] = candidate
        return nearest


class Followers:
    """Ops after a node (see :class:`sewdsl.ir.op.Downstream`)."""

    def __init__(self, followers: FollowerIndex, index: int) -> None:
        self._followers, self._index = followers, index

    @property
    def next(self) -> tuple[Op, ...]:
        """Ops that read the output of the node."""
        return tuple([self._followers.ops[i] for i in self._followers.consumers[self._index]])

    def nearest(self, family: type[Op]) -> Op | None:
        """Return the nearest op of a family in breadth-first order."""
        return self._followers.nearest(family, self._index)

    def settled(self, op: Op) -> Op:
        """Return an op with the arguments that depend on time-steps and following ops filled in.

        Raises:
            ShapeMismatch: If the op requires another number of time-steps.
        """
        return op.over_steps(self._followers.steps).settle(self)
