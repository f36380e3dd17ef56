"""The memory of one training step over time, simulated allocation by allocation."""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.pool import MaxPool
from sewdsl.passes.memory.value_sizes import NARROW, TrainingLoad, ValueSizes
from sewdsl.passes.plan import PlannedStep
from sewdsl.passes.program import Program


@dataclass(slots=True)
class Allocation:
    """A piece of memory and how many hold it."""

    bytes: int
    holders: int = 0


@dataclass(slots=True)
class SavedRecord:
    """What is kept of a value.

    Attributes:
        store: Its bits, or the value itself; None: it is recomputed.
        step: What computes it again, if anything does.
        cached: The value, once it is there again.
        holders: How many may still ask for it.
    """

    index: int
    store: Allocation | None
    raw: bool = False
    operands: tuple[SavedRecord, ...] = ()
    step: PlannedStep | None = None
    cached: Allocation | None = None
    holders: int = 0


class SimulatedHeap:
    """What is there.

    Attributes:
        now: Bytes.
    """

    def __init__(self, standing: int) -> None:
        self.now = standing

    def hold(self, store: Allocation) -> Allocation:
        """One more holds it; the first asks for it."""
        if not store.holders:
            self.now += store.bytes
        store.holders += 1
        return store

    def drop(self, store: Allocation | None) -> None:
        """One fewer holds it; after the last, it is given back."""
        if store is not None:
            store.holders -= 1
            if not store.holders:
                self.now -= store.bytes

    def let(self, stores: list[Allocation]) -> None:
        """Drops each of several, and empties the list."""
        while stores:
            self.drop(stores.pop())

    def ask(self, record: SavedRecord) -> SavedRecord:
        """One more may ask for a value."""
        record.holders += 1
        return record

    def forget(self, record: SavedRecord | None) -> None:
        """One fewer; after the last, nothing is kept of it, nor of what it would be computed from."""
        if record is None:
            return
        record.holders -= 1
        if not record.holders:
            self.drop(record.store)
            self.drop(record.cached)
            for operand in record.operands:
                self.forget(operand)


INDEX_BYTES = 8
"""Bytes of the place of a maximum, while torch works with it."""


class Moment(NamedTuple):
    """One step at work.

    Attributes:
        step: Its place in the order of computation.
        bytes: Of everything that is there then.
    """

    step: int
    backward: bool
    bytes: int


@dataclass(frozen=True)
class PeakMemory:
    """What a training step takes.

    Attributes:
        kept: Bytes that wait for the backward pass when it begins, by the node whose value or step they belong to.
        again: Multiply-accumulates, or as long, of what is recomputed.
    """

    sizes: ValueSizes
    moments: tuple[Moment, ...]
    kept: dict[int, int]
    again: int

    @property
    def bytes(self) -> int:
        """The most that is there at once."""
        return max((moment.bytes for moment in self.moments), default=sum(self.sizes.standing.values()))

    @property
    def moment(self) -> Moment:
        """When that is: the first such moment."""
        return max(self.moments, key=lambda moment: moment.bytes)


def peak_memory(program: Program, load: TrainingLoad) -> PeakMemory:
    """The memory of a training step of a program; see :class:`PeakMemory`."""
    return _Run(ValueSizes(program, load)).peak()


@dataclass
class _Run:
    """A training step, without its numbers.

    Attributes:
        values: What is there of the values, by node, on the way forward.
        records: What is kept of them, by node, as long as somebody may still read them.
        held: What each step will ask for on the way back, by its place.
        aside: What each step keeps in addition.
        gradients: By node, on the way back.
    """

    sizes: ValueSizes
    moments: list[Moment] = field(default_factory=list)
    values: dict[int, Allocation] = field(default_factory=dict)
    records: dict[int, SavedRecord] = field(default_factory=dict)
    held: dict[int, list[SavedRecord]] = field(default_factory=dict)
    aside: dict[int, list[Allocation]] = field(default_factory=dict)
    gradients: dict[int, Allocation] = field(default_factory=dict)
    again: int = 0

    def peak(self) -> PeakMemory:
        sizes = self.sizes
        self.heap = SimulatedHeap(sum(sizes.standing.values()))
        self.values[0] = self.heap.hold(Allocation(sizes.value(0)))
        self.heap.hold(self.values[0])  # the caller's
        for place, step in enumerate(sizes.plan.steps):
            self._forward(place, step)
        kept = self._waiting()
        for output in sizes.network.output_indices:
            self.gradients[output] = self.heap.hold(Allocation(sizes.value(output, once=False)))
            self._release((output,))  # it was read out
        for place in reversed(range(len(sizes.plan.steps))):
            self._backward(place, sizes.plan.steps[place])
        return PeakMemory(sizes, tuple(self.moments), kept, self.again)

    def _moment(self, place: int, *, backward: bool, extra: int = 0) -> None:
        self.moments.append(Moment(place, backward, self.heap.now + extra))

    def _forward(self, place: int, step: PlannedStep) -> None:
        sizes, heap = self.sizes, self.heap
        if step.loop:
            self._forward_loop(place, step)
            return
        kept = [self._record(i) for i in sorted(step.keeps)]
        view = sizes.network.nodes[step.gives].op.view
        out = self.values[step.operands[0]] if view else Allocation(sizes.value(step.gives))
        self.values[step.gives] = heap.hold(out)
        self._moment(place, backward=False, extra=self._scratch(step))
        self.held[place] = [heap.ask(record) for record in kept]
        extra = Allocation(sizes.aside(step) + self._cast(step))
        self.aside[place] = [heap.hold(extra), *([heap.hold(out)] if sizes.gives_on(step) else [])]
        if step.recomputed:
            operands = tuple(heap.ask(self._record(i)) for i in step.operands)
            self.records[step.gives] = heap.ask(SavedRecord(step.gives, None, operands=operands, step=step))
        self._release(step.spent)

    def _forward_loop(self, place: int, step: PlannedStep) -> None:
        """A loop keeps values as they are, and its own of each time-step; what it gives is put together at the end."""
        sizes, heap = self.sizes, self.heap
        loop = sizes.loop(step)
        self.held[place] = []
        kept = [heap.hold(self.values[i]) for i in sorted(step.keeps)]
        self.aside[place] = [*kept, heap.hold(Allocation(loop.kept))]
        for i in step.given:
            self.values[i] = heap.hold(Allocation(sizes.value(i)))
        self._moment(place, backward=False, extra=loop.stacked + loop.widest)
        self._release(step.spent)

    def _backward_loop(self, place: int, step: PlannedStep) -> None:
        """What is kept of a time-step goes as the gradients of what the loop reads come, which are put together."""
        sizes, heap = self.sizes, self.heap
        gradients = [gradient for i in step.given if (gradient := self.gradients.pop(i, None)) is not None]
        if gradients:
            loop = sizes.loop(step)
            self._moment(place, backward=True, extra=loop.weights + 3 * loop.widest)
        heap.let(self.aside.pop(place))
        if gradients:
            heap.let(gradients)
            for i in step.operands:
                if i:
                    fresh = heap.hold(Allocation(sizes.value(i, once=False)))
                    self._moment(place, backward=True, extra=fresh.bytes + loop.weights)
                    self._add(place, i, fresh)
            self._settle(step)
        del self.held[place]

    def _release(self, nodes: tuple[int, ...]) -> None:
        """Drops values that nothing reads any more."""
        for i in nodes:
            self.heap.drop(self.values.pop(i, None))
            self.heap.forget(self.records.pop(i, None))

    def _record(self, index: int) -> SavedRecord:
        """What is kept of a value, from now on."""
        if index not in self.records:
            bits = self.sizes.kept(index)
            store = self.values[index] if bits is None else Allocation(bits)
            record = SavedRecord(index, self.heap.hold(store), raw=bits is None)
            self.records[index] = self.heap.ask(record)
        return self.records[index]

    def _scratch(self, step: PlannedStep) -> int:
        """What a forward or backward needs only while it runs: places of maxima as torch has them."""
        op = self.sizes.network.nodes[step.gives].op
        searched = isinstance(op, MaxPool) and not step.byte_places
        return INDEX_BYTES * self.sizes.numbers(step.gives) if searched else 0

    def _cast(self, step: PlannedStep) -> int:
        """What a layer in 16 bits keeps of an input in 32."""
        sizes, first = self.sizes, self.sizes.network.nodes[step.nodes[0]].op
        wide = [i for i in step.keeps if sizes.value(i) > NARROW * sizes.numbers(i) and sizes.kept(i) is None]
        return NARROW * sum(map(sizes.numbers, wide)) if sizes.load.mixed and isinstance(first, Conv) else 0

    def _waiting(self) -> dict[int, int]:
        """Bytes kept by node: of a value those of the record, and what its step keeps in addition."""
        found: dict[int, int] = {}
        seen, known = set[int](), set[int]()
        records = [record for kept in self.held.values() for record in kept]
        while records:
            record = records.pop()
            if id(record) in known:
                continue
            known.add(id(record))
            records += record.operands
            if record.store is not None and id(record.store) not in seen:
                seen.add(id(record.store))
                found[record.index] = found.get(record.index, 0) + record.store.bytes
        for place, stores in self.aside.items():
            node = self.sizes.plan.steps[place].gives
            for store in stores:
                if id(store) not in seen and store.bytes:
                    seen.add(id(store))
                    found[node] = found.get(node, 0) + store.bytes
        return found

    def _backward(self, place: int, step: PlannedStep) -> None:
        if step.loop:
            self._backward_loop(place, step)
            return
        gradient = self.gradients.pop(step.gives, None)
        if gradient is not None:
            self._pull(place, step, gradient)
            self.heap.drop(gradient)
        for record in self.held.pop(place):
            self.heap.forget(record)
        self.heap.let(self.aside.pop(place))

    def _pull(self, place: int, step: PlannedStep, gradient: Allocation) -> None:
        """The gradients of what a step reads, from that of what it gives."""
        heap, sizes = self.heap, self.sizes
        unpacked = [store for record in self.held[place] for store in self._fetch(record, place)]
        if step.frees_input:  # the input is given up before there is room for its gradient
            self._moment(place, backward=True, extra=sizes.weights(step))
            heap.let(unpacked)
        passed = self._passes(step)
        for i in step.operands:
            if i == 0:
                continue
            fresh = gradient if i in passed else Allocation(sizes.value(i, once=step.once and i in sizes.once))
            self._add(place, i, heap.hold(fresh))
        self._moment(place, backward=True, extra=self._scratch(step))
        heap.let(unpacked)
        self._settle(step)

    def _passes(self, step: PlannedStep) -> set[int]:
        """Operands to which the gradient passes as it is: of views, and of a sum."""
        op = self.sizes.network.nodes[step.gives].op
        if op.view:
            return {*step.operands}
        node = self.sizes.network.nodes[step.gives]
        kept = op.keeps(*self.sizes.network.inputs(node))
        adds = len(node.inputs) > 1 and not (kept.inputs or kept.bytes_per_step)
        return {i for i in node.inputs if i in step.operands} if adds else set()

    def _fetch(self, record: SavedRecord, place: int) -> list[Allocation]:
        """Room for values that come back; those recomputed stay where they are."""
        if record.step is not None:
            self._compute(record, place)
            return []
        if record.raw:
            return []
        return [self.heap.hold(Allocation(self.sizes.value(record.index)))]

    def _compute(self, record: SavedRecord, place: int) -> None:
        """Computes a value again, from what is kept."""
        if record.cached is not None or record.step is None:
            return
        unpacked = [store for operand in record.operands for store in self._fetch(operand, place)]
        record.cached = self.heap.hold(Allocation(self.sizes.value(record.index)))
        self.again += self.sizes.cost(record.step)
        self._moment(place, backward=True, extra=self._scratch(record.step))
        self.heap.let(unpacked)

    def _add(self, place: int, index: int, fresh: Allocation) -> None:
        """One more gradient of a value; if it is the second, both are there until they are one."""
        before = self.gradients.get(index)
        if before is None:
            self.gradients[index] = fresh
            return
        self._moment(place, backward=True)
        if before.holders > 1 and fresh.holders > 1:
            both = self.heap.hold(Allocation(before.bytes))
            self._moment(place, backward=True)
            self.heap.drop(before)
            self.heap.drop(fresh)
            self.gradients[index] = both
        else:
            one, other = (before, fresh) if before.holders == 1 else (fresh, before)
            self.heap.drop(other)
            self.gradients[index] = one

    def _settle(self, step: PlannedStep) -> None:
        """Gradients of a value that is the same at all time-steps are added up over them."""
        for i in step.operands:
            if i in self.sizes.once and not step.once and i in self.gradients:
                whole = self.gradients.pop(i)
                self.gradients[i] = self.heap.hold(Allocation(self.sizes.value(i)))
                self.heap.drop(whole)
