"""The sequences of a network by its edges alone: what text of the language is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from sewdsl.ir.graph import DominatorTree, Graph
from sewdsl.ir.structure import DelayedItem, Item, Items, LayerItem, LoopItem, MergeItem, ReadItem, children
from sewdsl.light_dataclass import dataclass

MAX_MERGE_DEPTH = 100
"""Merges inside merges, as read from edges: more than --limit nesting lets anybody write, and safe to recurse into."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """What text of the language says of a network: the sequences of its named values, and of its output.

    A sequence begins with the input, unless its first item is a named value or a merge of these.

    Attributes:
        values: The node and the sequence of each named value, in order of computation.
        body: The sequence that is read out; none where named values are.
    """

    values: tuple[tuple[int, Items], ...]
    body: Items


class UnstructuredError(ValueError):
    """The edges of a network are not those of a text.

    Args:
        node: Index of the node at which that shows; None: there is none.
        why: What is wrong with it, as the end of a sentence about it.
    """

    def __init__(self, node: int | None, why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why


def wiring(graph: Graph, output: int | tuple[int, ...], sums: frozenset[int] = frozenset()) -> Sequences:
    """The sequences of a network by its edges alone, without the input: layers, merges, loops and named values.

    The operands of a merge begin at the last node that every path to the merge leads through. Where that leads through
    a node more than once, its value is named: text writes it once, as ``let``. So it is with what a delay gives back,
    unless that belongs to a loop.

    Args:
        graph: The edges; node 0 is the input.
        output: The node that is read out, or several, which are named.
        sums: The nodes that add two operands, which loops may begin with.

    Raises:
        UnstructuredError: a value does not reach the output, or merges nest more than :data:`MAX_MERGE_DEPTH` deep.
    """
    given = output if isinstance(output, tuple) else (output,)
    loops = find_loops(graph, given, sums)
    return _Sequencer(graph, given, loops, named=isinstance(output, tuple)).sequences()


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop by its edges.

    Attributes:
        total: That of its sum.
        source: That of the node that its body ends with.
    """

    delay: int
    total: int
    source: int


class _Dominance:
    """What every path to a node leads through, where the delays of some loops begin at what flows into these."""

    def __init__(self, graph: Graph, begins: Mapping[int, int]) -> None:
        self.reads: Sequence[Sequence[int]] = graph.inputs
        self.tree = graph.dominators
        if begins:
            self.reads = [(begins[i],) if i in begins else read for i, read in enumerate(graph.inputs)]
            self.tree = DominatorTree()
            for read in self.reads:
                self.tree.add(read)

    @cached_property
    def _places(self) -> tuple[list[int], list[int]]:
        """For each node its place in an order in which those that lead through it follow it, and where these end."""
        count = len(self.reads)
        first, last = [0] * count, [0] * count
        inside: list[list[int]] = [[] for _ in range(count)]
        for node in range(1, count):
            inside[self.tree[node]].append(node)
        place, todo = 0, [(0, False)]
        while todo:
            node, done = todo.pop()
            if done:
                last[node] = place
                continue
            first[node] = place
            place += 1
            todo.append((node, True))
            todo += [(each, False) for each in inside[node]]
        return first, last

    def leads_through(self, node: int, other: int) -> bool:
        """Whether every path to a node leads through another, or the node is that."""
        first, last = self._places
        return first[other] <= first[node] < last[other]

    def below_input(self) -> list[int]:
        """For each node, the first after the input that every path to it leads through."""
        found = [0]
        for node in range(1, len(self.reads)):
            found.append(found[self.tree[node]] or node)
        return found


def find_loops(graph: Graph, outputs: Sequence[int], sums: frozenset[int]) -> tuple[_Loop, ...]:
    """The loops that text can write as such: what flows around in each enters by one sum and leaves by one node.

    Args:
        sums: The nodes that add two operands: what flows in, and what the feedback gives.
    """
    refused: set[int] = set()
    while graph.back_edges.keys() - refused:
        found = {delay: total for delay, (total, _) in _delayed_sums(graph, outputs, sums, refused).items()}
        dominance = _Dominance(graph, {delay: graph.inputs[total][0] for delay, total in found.items()})
        loops = tuple(_Loop(delay, total, graph.back_edges[delay]) for delay, total in sorted(found.items()))
        named = _named(graph, outputs, dominance, loops)
        wrong = {loop.delay for loop in loops if not _is_closed(graph, outputs, dominance, loop, named)}
        if not wrong:
            return loops
        refused |= wrong
    return ()


def fed_back(graph: Graph, outputs: tuple[int, ...], sums: frozenset[int]) -> set[int]:
    """The sums that loops could begin with, were their operands in the other order: what is fed back is the first."""
    first = _delayed_sums(graph, outputs, sums, set(), either=True)
    return {total for total, place in first.values() if place == 0}


def _delayed_sums(
    graph: Graph, outputs: Sequence[int], sums: frozenset[int], refused: set[int], *, either: bool = False
) -> dict[int, tuple[int, int]]:
    """By delay, the sum that alone reads what follows from it, and as which operand; inner loops are found first.

    It has to be the second operand, unless it may be either.
    """
    found: dict[int, tuple[int, int]] = {}
    for _ in range(MAX_MERGE_DEPTH):
        begins = {delay: graph.inputs[total][1 - place] for delay, (total, place) in found.items()}
        roots = _Dominance(graph, begins).below_input()
        readers: dict[int, set[int]] = {
            delay: set() for delay in graph.back_edges if delay not in found and delay not in refused
        }
        for node, root in enumerate(roots):
            if root in readers:
                outside = {reader for reader in graph.consumers[node] if roots[reader] != root}
                readers[root] |= outside if node not in outputs else {node}
        new = {}
        for delay, read in readers.items():
            total = next(iter(read)) if len(read) == 1 else 0
            places = [place for place, i in enumerate(graph.inputs[total]) if roots[i] == delay]
            if total not in sums or len(places) != 1 or not (either or places == [1]):
                continue
            if graph.inputs[total][1 - places[0]] < delay:  # what flows into the loop is there before the delay
                new[delay] = total, places[0]
        if not new:
            break
        found |= new
    return found


def _is_closed(graph: Graph, outputs: Sequence[int], dominance: _Dominance, loop: _Loop, named: set[int]) -> bool:
    """Whether nothing outside a loop reads what is in it, but for what its body ends with."""
    if not dominance.leads_through(loop.source, loop.total):
        return False
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
    """The item that ends with a node.

    Attributes:
        item: None for the input, and for what is part of a loop.
        depth: How deep merges nest in it.
        alone: Whether it needs nothing to flow in: it begins with names.
    """

    item: Item | None
    depth: int = 0
    alone: bool = False


class _Sequencer:
    """Makes the sequences of a network from its edges.

    Args:
        named: Whether what is read out is named, not the body.
    """

    def __init__(self, graph: Graph, outputs: tuple[int, ...], loops: tuple[_Loop, ...], *, named: bool) -> None:
        self._graph, self._outputs, self._by_name = graph, outputs, named
        dominance = _Dominance(graph, {loop.delay: graph.inputs[loop.total][0] for loop in loops})
        self._reads = dominance.reads
        self._starts = [
            dominance.tree[i] for i in range(len(self._reads))
        ]  # where the item that ends with a node starts
        self._named = _named(graph, outputs, dominance, loops) | ({*outputs} if named else set())
        self._sums = {loop.total: loop for loop in loops}
        self._delays = {loop.delay for loop in loops}
        self._closing: dict[int, list[_Loop]] = {}
        for loop in sorted(
            loops, key=lambda loop: -loop.total
        ):  # of several that end with one node, the inner ones first
            self._closing.setdefault(loop.source, []).append(loop)
        self._ends: list[_End] = []  # for each node, the item that ends with it
        self._met = bytearray(len(self._reads))
        self._giving: set[int] = set()  # the named value whose own sequence is being made: it is not read there

    def sequences(self) -> Sequences:
        """All of them."""
        for index in range(len(self._reads)):
            self._ends.append(self._item(index))
            for loop in self._closing.get(index, ()):
                self._close(loop)
        values: dict[int, Items] = {}
        for index in sorted(self._named):
            self._giving.add(index)
            values[index] = self._between(index, 0)[0]
            self._giving.clear()
        body = self._between(self._outputs[0], 0)[0] if not self._by_name else ()
        idle = self._met.find(0, 1)
        if idle >= 0:
            raise UnstructuredError(idle, "its value does not reach the output")
        reads = Counter(item.node for sequence in (*values.values(), body) for item in _read(sequence))
        kept = {source for delay, source in self._graph.back_edges.items() if delay not in self._delays}
        kept |= {*self._outputs} if self._by_name else set()
        for index, sequence in list(values.items()):  # what is read once, by a whole sequence, is part of that
            if (first := _first_read(sequence)) is not None and reads[first] == 1 and first not in kept:
                values[index] = (*values.pop(first), *sequence[1:])
        if (first := _first_read(body)) is not None and reads[first] == 1 and first not in kept:
            body = (*values.pop(first), *body[1:])
        return Sequences(tuple(values.items()), body)

    def _item(self, index: int) -> _End:
        """The item that ends with a node."""
        sources = self._reads[index]
        if index in self._delays or index in self._sums:
            return _End(None)  # they are part of the item of their loop
        if index in self._graph.back_edges:
            return _End(DelayedItem(index, self._graph.back_edges[index]), alone=True)
        if len(sources) == 1:
            return _End(LayerItem(index))
        if sources:
            operands = [self._between(source, self._starts[index]) for source in sources]
            item = MergeItem(index, tuple(sequence for sequence, _, _ in operands))
            depth = self._nested(index, *(inside for _, inside, _ in operands))
            return _End(item, depth, all(no_start for _, _, no_start in operands))
        if index:
            raise UnstructuredError(index, "it reads nothing")
        return _End(None)

    def _nested(self, index: int, *depths: int) -> int:
        """How deep merges nest in one around others."""
        depth = 1 + max(depths)
        if depth > MAX_MERGE_DEPTH:
            raise UnstructuredError(index, f"joins nest more than {MAX_MERGE_DEPTH} deep")
        return depth

    def _close(self, loop: _Loop) -> None:
        """Makes the item that ends with the last node of a loop's body the loop itself."""
        feedback, deep, _ = self._between(self._graph.inputs[loop.total][1], loop.delay)
        self._giving.add(loop.source)
        body, deeper, _ = self._between(loop.source, loop.total)
        self._giving.clear()
        self._met[loop.total] = self._met[loop.delay] = True
        item = LoopItem(loop.total, loop.delay, body, feedback)
        self._ends[loop.source] = _End(item, self._nested(loop.total, deep, deeper))
        self._starts[loop.source] = self._starts[loop.total]

    def _between(self, end: int, start: int) -> tuple[Items, int, bool]:
        """The items from one node on up to another, how deep merges nest in them, and whether they need no start."""
        sequence: list[Item] = []
        deepest, by_itself = 0, False
        while end != start:
            item, depth, alone = self._ends[end]
            if end in self._named and (sequence or end not in self._giving):
                sequence.append(ReadItem(end))
                by_itself = True
                break
            if item is None:
                raise UnstructuredError(end, "it reads nothing")
            sequence.append(item)
            self._met[end] = True
            deepest = max(deepest, depth)
            if alone:
                by_itself = True
                break
            end = self._starts[end]
        return tuple(reversed(sequence)), deepest, by_itself


def _first_read(sequence: Items) -> int | None:
    """The named value that a sequence begins with."""
    return sequence[0].node if sequence and isinstance(sequence[0], ReadItem) else None


def _read(sequence: Items) -> Iterator[ReadItem]:
    """The named values that are read anywhere in a sequence."""
    for item in sequence:
        if isinstance(item, ReadItem):
            yield item
        for inside in children(item):
            yield from _read(inside)


def _named(graph: Graph, outputs: Sequence[int], dominance: _Dominance, loops: Sequence[_Loop]) -> set[int]:
    """The nodes that sequences lead through more than once, and those that delays give back outside of loops.

    Each sequence is followed from its end back to where it begins, or to a node that another one has led through. That
    node is then named, and its own sequence goes on from where the other one began, back to the input.
    """
    inputs, starts = dominance.reads, [dominance.tree[i] for i in range(len(dominance.reads))]
    begun: list[int | None] = [None] * len(inputs)  # where the sequence begins that leads through a node
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
    todo.reverse()
    inside = {loop.delay for loop in loops}
    for delay, source in graph.back_edges.items():
        if delay not in inside and source not in named:
            named.add(source)
            begun[source] = 0
            todo.append((starts[source], 0))
    while todo:
        end, start = todo.pop()
        while end not in {start, 0}:
            other = begun[end]
            if other is None:
                begun[end] = start
                end = starts[end]
                continue
            if end not in named:
                named.add(end)
                begun[end] = 0
                todo.append((other, 0))
            break
    return named
