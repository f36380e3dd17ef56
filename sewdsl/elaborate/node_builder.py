"""The growing list of nodes, and which source span each came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from sewdsl.ir.node import Node, PathStep, graph_of
from sewdsl.ir.op import Op, ShapeMismatch
from sewdsl.ir.signal import Signal
from sewdsl.source import Span

MAX_ELEMENTS = 2**63
"""Numbers that a layer gives at most: torch counts them in 64 bits."""


UNKNOWN = -1
"""What a delay gives a time-step later, until that is computed."""


class Expansion(NamedTuple):
    """One expansion of an item of a text: a layer, a repeat, a join or the call of a block.

    Attributes:
        path: The way to it through repeats, blocks and joins.
        before: Index of the node that flows into it; None after something broken.
        begin: Index of its first node, if it has nodes.
        end: Index after its last node.
        after: Index of the node that flows out of it; None if it is broken.
    """

    span: Span
    path: tuple[PathStep, ...]
    before: int | None
    begin: int
    end: int
    after: int | None


class BuilderMark(NamedTuple):
    """How much there is so far."""

    nodes: int
    visits: int


class NodeBuilder:
    """Nodes in order of computation.

    Attributes:
        visits: What became of each item of the user's own texts, in the order in which they end.
        named: Indices of neurons that a text names, where it could say ``SN``.
        understood: Whether any call named a layer or a block.
    """

    def __init__(self, steps: int = 1) -> None:
        self._steps = steps
        self.nodes: list[Node] = []
        self.visits: list[Expansion] = []
        self.called: set[str] = set()
        self.named: list[int] = []
        self.understood = False
        self._delays: list[tuple[int, list[int]]] = []
        self._known: dict[tuple[int, tuple[Signal, ...]], tuple[Op, Signal, Op]] = {}

    def add(self, name: str, op: Op, inputs: tuple[int, ...], path: tuple[PathStep, ...], span: Span) -> int:
        """Appends a node; its index. Its op is that for the network's time-steps.

        Raises:
            ShapeMismatch: the op does not fit its inputs, gives more than a tensor can hold, or is for another T.
        """
        signals = tuple([self.nodes[i].output for i in inputs])
        key = id(op), signals
        if key not in self._known:
            timed = op.over_steps(self._steps)
            given = timed.infer(*signals)
            if inputs and given.elements > MAX_ELEMENTS:
                message = f"{op.kind} would give more than 2^63 numbers for each time-step and sample"
                raise ShapeMismatch("network-too-large", message, "no tensor has as many: repeat it less often")
            self._known[key] = timed, given, op  # kept, so that its id is not given to another
        timed, output, _ = self._known[key]
        self.nodes.append(Node(name, timed, inputs, output, path, span))
        return len(self.nodes) - 1

    def add_delay(self, name: str, op: Op, signal: Signal, path: tuple[PathStep, ...], span: Span) -> int:
        """Appends the delay of a value that is computed further down, and has a type; its index."""
        self.nodes.append(Node(name, op, (), op.infer(signal), path, span, UNKNOWN))
        return len(self.nodes) - 1

    def gather(self, delay: int, delays: list[int]) -> None:
        """Appends the last node to the delays of a value; where the node is taken back, it is taken from there too."""
        delays.append(delay)
        self._delays.append((delay, delays))

    def close(self, delays: Sequence[int], source: int) -> None:
        """States the value that delays give a time-step later."""
        for delay in delays:
            self.nodes[delay] = replace(self.nodes[delay], delayed=source)

    @property
    def closed(self) -> bool:
        """Whether all delays have a value: not where something broken kept it from being computed."""
        return all(node.delayed != UNKNOWN for node in self.nodes)

    def signal(self, index: int) -> Signal:
        """What a node gives."""
        return self.nodes[index].output

    def mark(self) -> BuilderMark:
        """A place to come back to."""
        return BuilderMark(len(self.nodes), len(self.visits))

    def cut(self, mark: BuilderMark) -> None:
        """Takes back all that came after a mark."""
        del self.nodes[mark.nodes :]
        del self.visits[mark.visits :]
        while self.named and self.named[-1] >= mark.nodes:
            self.named.pop()
        while self._delays and self._delays[-1][0] >= mark.nodes:
            self._delays.pop()[1].pop()

    def prune(self, outputs: Sequence[int]) -> list[int]:
        """Takes out the nodes of named values that nothing reads after all: of operands, or where ``id`` fits as well.

        Returns:
            The indices of the outputs among what is left.
        """
        graph = graph_of(self.nodes)
        live = graph.lead_to([0, *outputs])
        if len(live) == len(self.nodes):
            return [*outputs]
        inside: dict[int, frozenset[str]] = {}  # the values around the nodes of a path, which many nodes share
        for node in self.nodes:
            if id(node.path) not in inside:
                ways = zip(node.path, accumulate(f"{step.key}." for step in node.path), strict=True)
                inside[id(node.path)] = frozenset(way for step, way in ways if step.kind == "value")
        values = [inside[id(node.path)] for node in self.nodes]
        read = frozenset[str]().union(*(values[index] for index in live))
        gone = {index for index in range(len(self.nodes)) if index not in live and values[index] - read}
        unread = [index for index in range(len(self.nodes)) if index not in live and index not in gone]
        gone -= graph.lead_to(unread)  # those stay, to be reported
        place = [*accumulate((int(index not in gone) for index in range(len(self.nodes))), initial=0)]
        self.nodes = [node.moved(place) for index, node in enumerate(self.nodes) if index not in gone]
        self.named = [place[index] for index in self.named if index not in gone]
        self.visits = [
            visit._replace(
                before=None if visit.before is None or visit.before in gone else place[visit.before],
                begin=place[visit.begin],
                end=place[visit.end],
                after=None if visit.after is None or visit.after in gone else place[visit.after],
            )
            for visit in self.visits
        ]
        return [place[output] for output in outputs]

    def settled(self) -> tuple[Node, ...]:
        """The nodes, with the arguments filled in that depend on what follows."""
        graph = graph_of(self.nodes)
        followers = FollowerIndex([node.op for node in self.nodes], graph.consumers, self._steps)
        return tuple(
            node if (op := Followers(followers, i).settled(node.op)) is node.op else replace(node, op=op)
            for i, node in enumerate(self.nodes)
        )


class FollowerIndex:
    """The ops that follow each node of a graph, and the number of time-steps."""

    def __init__(self, ops: Sequence[Op], consumers: Sequence[Sequence[int]], steps: int = 1) -> None:
        self.ops, self.consumers, self.steps = ops, consumers, steps
        self._nearest: dict[type[Op], list[tuple[int, Op] | None]] = {}

    def nearest(self, family: type[Op], index: int) -> Op | None:
        """The nearest op of a family after a node; of several as near, that on the way through the first reader."""
        if family not in self._nearest:
            self._nearest[family] = self._all_nearest(family)
        found = self._nearest[family][index]
        return found[1] if found else None

    def _all_nearest(self, family: type[Op]) -> list[tuple[int, Op] | None]:
        """The same for all nodes at once, from the last, with how many steps it is."""
        found: list[tuple[int, Op] | None] = [None] * len(self.ops)
        for index in range(len(self.ops) - 1, -1, -1):
            for consumer in self.consumers[index]:
                op, behind = self.ops[consumer], found[consumer]
                there = (1, op) if isinstance(op, family) else (behind[0] + 1, behind[1]) if behind else None
                here = found[index]
                if there is not None and (here is None or there[0] < here[0]):
                    found[index] = there
        return found


class Followers:
    """The ops after a node (see :class:`sewdsl.ir.op.Downstream`)."""

    def __init__(self, followers: FollowerIndex, index: int) -> None:
        self._followers, self._index = followers, index

    @property
    def next(self) -> tuple[Op, ...]:
        """The ops that read the node's output."""
        return tuple([self._followers.ops[i] for i in self._followers.consumers[self._index]])

    def nearest(self, family: type[Op]) -> Op | None:
        """The nearest op of a family, breadth first."""
        return self._followers.nearest(family, self._index)

    def settled(self, op: Op) -> Op:
        """An op at the node's place, with all filled in that depends on its surroundings: time-steps, what follows.

        Raises:
            ShapeMismatch: it is for another number of time-steps.
        """
        return op.over_steps(self._followers.steps).settle(self)
