"""Sequences of a network inferred from its edges, to write it as text of the language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from sewdsl.ir.graph import DominatorTree, Graph
from sewdsl.ir.structure import DelayedItem, Item, Items, LayerItem, LoopItem, MergeItem, ReadItem, children
from sewdsl.light_dataclass import dataclass

MAX_MERGE_DEPTH = 16
"""Maximum nesting of merges. With a repeat at each level, the text is within the default of --limit nesting."""
MAX_LOOP_DEPTH = 100
"""Maximum nesting of loops read from edges."""
MAX_NAMINGS = 4
"""Times that values are named to limit the nesting. A loop is written with named values the second time."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """The sequences of a network: one for each named value, and one for the output.

    A sequence starts at the input, unless its first item is a named value or a merge of named values.
    """

    values: tuple[tuple[int, Items], ...]
    """Node and sequence of each named value, in topological order."""
    body: Items
    """Output sequence, or empty if the outputs are named values."""


class UnstructuredError(ValueError):
    """Raised for edges that cannot be written as text.

    Args:
        node: Index of the first node that cannot be written, or None if no single node is the cause.
        why: Reason, as a clause about the node.
    """

    def __init__(self, node: int | None, why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why


def wiring(
    graph: Graph,
    output: int | tuple[int, ...],
    sums: frozenset[int] = frozenset(),
    long_delays: frozenset[int] = frozenset(),
    named: frozenset[int] = frozenset(),
) -> Sequences:
    """Return the sequences of a network from its edges, without the input: layers, merges, loops and named values.

    The operands of a merge start at its dominator. A value with several consumers is named, because text writes it
    once, as ``let``. The source of a delay outside of loops is named too.

    Args:
        graph: Edges. Node 0 is the input.
        output: Output node, or a tuple of output nodes, which are named.
        sums: Nodes that add two operands. A loop starts with one of them.
        named: Nodes whose values have names even if they are read once.

    Merges nested more than :data:`MAX_MERGE_DEPTH` deep are named too.

    Raises:
        UnstructuredError: If a value does not reach the output, or if loops are nested too deeply.
    """
    outputs = output if isinstance(output, tuple) else (output,)
    for _ in range(MAX_NAMINGS):
        loops = find_loops(graph, outputs, sums, long_delays, named)
        sequencer = _Sequencer(graph, outputs, loops, named, by_name=isinstance(output, tuple))
        sequences = sequencer.sequences()
        if not sequencer.too_deep:
            return sequences
        named |= sequencer.too_deep
    raise UnstructuredError(min(sequencer.too_deep), "loops are nested too deeply")


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop, by the indices of the sum at its start and of the last node of the body."""

    delay: int
    total: int
    source: int


class _Dominance:
    """Dominators of the nodes, where the delays of some loops count as consumers of the inputs of the loops.

    Args:
        loop_inputs: Node that each of these delays counts as reading.
    """

    def __init__(self, graph: Graph, loop_inputs: Mapping[int, int]) -> None:
        self.reads: Sequence[Sequence[int]] = graph.inputs
        self.tree = graph.dominators
        # Seen from outside, a loop is a sequence from its input to its last node. The delay has no inputs of its own,
        # so its edge is added here.
        if loop_inputs:
            self.reads = [(loop_inputs[i],) if i in loop_inputs else sources for i, sources in enumerate(graph.inputs)]
            self.tree = DominatorTree()
            for sources in self.reads:
                self.tree.add(sources)

    @cached_property
    def _intervals(self) -> tuple[list[int], list[int]]:
        """First position of each node in a preorder of the tree, and the end of its subtree."""
        count = len(self.reads)
        first, last = [0] * count, [0] * count
        dominated: list[list[int]] = [[] for _ in range(count)]
        for node in range(1, count):
            dominated[self.tree[node]].append(node)
        position, todo = 0, [(0, False)]
        # An explicit stack, because chains of dominators exceed the recursion limit.
        while todo:
            node, done = todo.pop()
            if done:
                last[node] = position
                continue
            first[node] = position
            position += 1
            todo.append((node, True))
            todo += [(each, False) for each in dominated[node]]
        return first, last

    def leads_through(self, node: int, other: int) -> bool:
        """Return whether every path to ``node`` contains ``other``, or both are equal."""
        first, last = self._intervals
        return first[other] <= first[node] < last[other]

    def below_input(self) -> list[int]:
        """Return for each node the first node after the input on every path to it."""
        roots = [0]
        for node in range(1, len(self.reads)):
            roots.append(roots[self.tree[node]] or node)
        return roots


def find_loops(
    graph: Graph,
    outputs: Sequence[int],
    sums: frozenset[int],
    long_delays: frozenset[int] = frozenset(),
    required: frozenset[int] = frozenset(),
) -> tuple[_Loop, ...]:
    """Return the loops that text can express: one entry by a sum, and one exit.

    Args:
        sums: Nodes that add two operands, the input of the loop and its feedback.
        long_delays: Delays by several time-steps, whose cycles are no loops.
        required: Nodes whose values have names.
    """
    rejected = {*long_delays}
    while graph.back_edges.keys() - rejected:
        sum_by_delay = {delay: total for delay, (total, _) in _delayed_sums(graph, outputs, sums, rejected).items()}
        dominance = _Dominance(graph, {delay: graph.inputs[total][0] for delay, total in sum_by_delay.items()})
        loops = tuple(_Loop(delay, total, graph.back_edges[delay]) for delay, total in sorted(sum_by_delay.items()))
        named = _named(graph, outputs, dominance, loops, required)
        open_loops = {loop.delay for loop in loops if not _is_closed(graph, outputs, dominance, loop, named)}
        if not open_loops:
            return loops
        # Without a rejected loop, other values are named, and a loop around it may become valid or invalid.
        rejected |= open_loops
    return ()


def fed_back(graph: Graph, outputs: tuple[int, ...], sums: frozenset[int]) -> set[int]:
    """Return the sums that would start a loop with swapped operands: their first operand is the feedback."""
    delayed_sums = _delayed_sums(graph, outputs, sums, set(), either=True)
    return {total for total, operand in delayed_sums.values() if operand == 0}


def _delayed_sums(
    graph: Graph, outputs: Sequence[int], sums: frozenset[int], rejected: set[int], *, either: bool = False
) -> dict[int, tuple[int, int]]:
    """Return for each delay the sum at the start of its loop, and the index of the feedback operand.

    The feedback must be operand 1, unless ``either`` is true. Inner loops are found before the loops around them.
    """
    delayed_sums: dict[int, tuple[int, int]] = {}
    # Each round finds the loops that contain only loops of earlier rounds.
    for _ in range(MAX_LOOP_DEPTH):
        loop_inputs = {delay: graph.inputs[total][1 - operand] for delay, (total, operand) in delayed_sums.items()}
        # With the delay as root, all nodes that depend only on the delay form the feedback.
        roots = _Dominance(graph, loop_inputs).below_input()
        outside_readers: dict[int, set[int]] = {
            delay: set() for delay in graph.back_edges if delay not in delayed_sums and delay not in rejected
        }
        for node, root in enumerate(roots):
            if root in outside_readers:
                outside = {reader for reader in graph.consumers[node] if roots[reader] != root}
                outside_readers[root] |= outside if node not in outputs else {node}
        new = {}
        for delay, sums_reached in outside_readers.items():
            total = next(iter(sums_reached)) if len(sums_reached) == 1 else 0
            operands = [operand for operand, i in enumerate(graph.inputs[total]) if roots[i] == delay]
            if total not in sums or len(operands) != 1 or not (either or operands == [1]):
                continue
            # The input of a loop precedes its delay in topological order.
            if graph.inputs[total][1 - operands[0]] < delay:
                new[delay] = total, operands[0]
        if not new:
            break
        delayed_sums |= new
    return delayed_sums


def _is_closed(graph: Graph, outputs: Sequence[int], dominance: _Dominance, loop: _Loop, named: set[int]) -> bool:
    """Return whether all nodes outside a loop read only the last node of its body."""
    if not dominance.leads_through(loop.source, loop.total):
        return False
    # Topological order: all nodes of the loop are between its delay and its last node.
    for node in range(loop.delay, loop.source):
        inside = dominance.leads_through(node, loop.total)
        if (inside or dominance.leads_through(node, loop.delay)) and (node in named or node in outputs):
            return False
        if inside and not all(
            reader <= loop.source and dominance.leads_through(reader, loop.total) for reader in graph.consumers[node]
        ):
            return False
    return True


class _End(NamedTuple):
    """The item that ends with a node."""

    item: Item | None
    """None for the input, and for the sum and the delay of a loop."""
    depth: int = 0
    """Nesting depth of merges in the item."""
    alone: bool = False
    """Whether the item starts with named values and needs no input."""


class _Sequencer:
    """Builder of the sequences of a network.

    Args:
        by_name: Whether the outputs are named values instead of a body.

    Attributes:
        too_deep: Nodes whose values must be named, because merges are nested too deeply.
    """

    def __init__(
        self, graph: Graph, outputs: tuple[int, ...], loops: tuple[_Loop, ...], named: frozenset[int], *, by_name: bool
    ) -> None:
        self._graph, self._outputs, self._by_name = graph, outputs, by_name
        self._required = {*named, *(outputs if by_name else ())}
        dominance = _Dominance(graph, {loop.delay: graph.inputs[loop.total][0] for loop in loops})
        self._reads = dominance.reads
        self._starts = [dominance.tree[i] for i in range(len(self._reads))]  # start of the item that ends with a node
        self._named = _named(graph, outputs, dominance, loops, named) | self._required
        self._sums = {loop.total: loop for loop in loops}
        self._delays = {loop.delay for loop in loops}
        self._closing: dict[int, list[_Loop]] = {}
        # If several loops end with one node, the inner loops are closed first. Their sums come later.
        for loop in sorted(loops, key=lambda loop: -loop.total):
            self._closing.setdefault(loop.source, []).append(loop)
        self._ends: list[_End] = []  # item that ends with each node
        self.too_deep: set[int] = set()
        self._used = bytearray(len(self._reads))
        self._defining: set[int] = set()  # named value whose sequence is under construction, and cannot read itself

    def sequences(self) -> Sequences:
        """Return the sequences, none if values are too deep. Raise UnstructuredError if a value reaches no output."""
        for index in range(len(self._reads)):
            self._ends.append(self._item(index))
            for loop in self._closing.get(index, ()):
                self._close(loop)
        if self.too_deep:
            return Sequences((), ())
        values: dict[int, Items] = {}
        # The sequence of a named value must not start by reading itself.
        for index in sorted(self._named):
            self._defining.add(index)
            values[index] = self._between(index, 0)[0]
            self._defining.clear()
        body = self._between(self._outputs[0], 0)[0] if not self._by_name else ()
        unused = self._used.find(0, 1)
        if unused >= 0:
            raise UnstructuredError(unused, "its value does not reach the output")
        reads = Counter(item.node for sequence in (*values.values(), body) for item in _reads(sequence))
        # Delayed values and outputs need their names even if they are read once.
        required = {source for delay, source in self._graph.back_edges.items() if delay not in self._delays}
        required |= self._required
        # A value that is read once, at the start of a sequence, is written in place.
        for index, sequence in list(values.items()):
            if (first := _first_read(sequence)) is not None and reads[first] == 1 and first not in required:
                values[index] = (*values.pop(first), *sequence[1:])
        if (first := _first_read(body)) is not None and reads[first] == 1 and first not in required:
            body = (*values.pop(first), *body[1:])
        return Sequences(tuple(values.items()), body)

    def _item(self, index: int) -> _End:
        """Return the item that ends with a node."""
        sources = self._reads[index]
        if index in self._delays or index in self._sums:
            return _End(None)  # part of the item of the loop
        if index in self._graph.back_edges:
            return _End(DelayedItem(index, self._graph.back_edges[index]), alone=True)
        if len(sources) == 1:
            return _End(LayerItem(index))
        if sources:
            operands = [self._between(source, self._starts[index]) for source in sources]
            item = MergeItem(index, tuple(sequence for sequence, _, _ in operands))
            depth = self._nested(zip(sources, (depth for _, depth, _ in operands), strict=True))
            return _End(item, depth, all(alone for _, _, alone in operands))
        if index:
            raise UnstructuredError(index, "it has no inputs")
        return _End(None)

    def _nested(self, operands: Iterable[tuple[int, int]]) -> int:
        """Return the nesting depth of a merge, from the last node and the depth of each operand."""
        depths = [0]
        for end, depth in operands:
            if depth < MAX_MERGE_DEPTH:
                depths.append(depth)
            else:  # A name takes the place of the operand.
                self.too_deep.add(end)
        return 1 + max(depths)

    def _close(self, loop: _Loop) -> None:
        """Replace the item that ends with the last node of a loop body by the loop."""
        fed_back = self._graph.inputs[loop.total][1]
        feedback, feedback_depth, _ = self._between(fed_back, loop.delay)
        self._defining.add(loop.source)
        body, body_depth, _ = self._between(loop.source, loop.total)
        self._defining.clear()
        self._used[loop.total] = self._used[loop.delay] = True
        item = LoopItem(loop.total, loop.delay, body, feedback)
        self._ends[loop.source] = _End(item, self._nested(((fed_back, feedback_depth), (loop.source, body_depth))))
        self._starts[loop.source] = self._starts[loop.total]

    def _between(self, end: int, start: int) -> tuple[Items, int, bool]:
        """Return the items after node ``start`` up to node ``end``, their depth, and whether they need no input."""
        sequence: list[Item] = []
        deepest, needs_no_input = 0, False
        while end != start:
            item, depth, alone = self._ends[end]
            # A named value starts the sequence. Its own definition is another sequence.
            if end in self._named and (sequence or end not in self._defining):
                sequence.append(ReadItem(end))
                needs_no_input = True
                break
            if item is None:
                raise UnstructuredError(end, "it has no inputs")
            sequence.append(item)
            self._used[end] = True
            deepest = max(deepest, depth)
            if alone:
                needs_no_input = True
                break
            end = self._starts[end]
        return tuple(reversed(sequence)), deepest, needs_no_input


def _first_read(sequence: Items) -> int | None:
    """Return the node of the named value at the start of a sequence, if any."""
    return sequence[0].node if sequence and isinstance(sequence[0], ReadItem) else None


def _reads(sequence: Items) -> Iterator[ReadItem]:
    for item in sequence:
        if isinstance(item, ReadItem):
            yield item
        for inside in children(item):
            yield from _reads(inside)


def _named(
    graph: Graph,
    outputs: Sequence[int],
    dominance: _Dominance,
    loops: Sequence[_Loop],
    required: frozenset[int] = frozenset(),
) -> set[int]:
    """Return the nodes of values that need a name.

    These are the values with several consumers, the sources of delays outside of loops, and the required ones.
    """
    # Each sequence is followed from its end back to its start, or to a node of another sequence. That node is then
    # named. Its own sequence continues from the start of the other one, back to the input.
    inputs, starts = dominance.reads, [dominance.tree[i] for i in range(len(dominance.reads))]
    sequence_starts: list[int | None] = [None] * len(inputs)  # start of the sequence that contains a node
    named: set[int] = set()
    todo: list[tuple[int, int]] = []
    sums = {loop.total for loop in loops}
    for index, sources in enumerate(inputs):
        if len(sources) > 1 and index not in sums:
            todo += [(source, starts[index]) for source in sources]
    for loop in sorted(loops, key=lambda loop: -loop.total):
        todo.append((graph.inputs[loop.total][1], loop.delay))
        if loop.source != loop.total:
            todo.append((starts[loop.source], loop.total))
        starts[loop.source] = starts[loop.total]
    todo += [(output, 0) for output in outputs]
    # The stack is processed in source order, because the first sequence through a node keeps it.
    todo.reverse()
    loop_delays = {loop.delay for loop in loops}
    delayed = (source for delay, source in graph.back_edges.items() if delay not in loop_delays)
    for source in (*delayed, *sorted(required)):
        if source not in named:
            named.add(source)
            sequence_starts[source] = 0
            todo.append((starts[source], 0))
    while todo:
        end, start = todo.pop()
        while end not in {start, 0}:
            other_start = sequence_starts[end]
            if other_start is None:
                sequence_starts[end] = start
                end = starts[end]
                continue
            if end not in named:
                named.add(end)
                sequence_starts[end] = 0
                todo.append((other_start, 0))
            break
    return named
