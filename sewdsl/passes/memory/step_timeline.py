"""Memory of a training step over time, simulated allocation by allocation."""

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
    """A block of memory, with the number of its references."""

    bytes: int
    references: int = 0


@dataclass(slots=True)
class SavedRecord:
    """Saved tensor of a value."""

    index: int
    store: Allocation | None
    """Memory of the packed or unchanged value, or None if the value is recomputed."""
    raw: bool = False
    operands: tuple[SavedRecord, ...] = ()
    step: PlannedStep | None = None
    """Step for recomputing the value, if any."""
    cached: Allocation | None = None
    """Memory of the recomputed value, after its first use."""
    references: int = 0
    """Number of steps and records with a reference to the value."""


class SimulatedHeap:
    """Allocated memory: ``now`` is the number of bytes."""

    def __init__(self, standing: int) -> None:
        self.now = standing

    def hold(self, store: Allocation) -> Allocation:
        """Add a reference and allocate the memory with the first one."""
        if not store.references:
            self.now += store.bytes
        store.references += 1
        return store

    def drop(self, store: Allocation | None) -> None:
        """Remove a reference and free the memory with the last one."""
        if store is not None:
            store.references -= 1
            if not store.references:
                self.now -= store.bytes

    def drop_all(self, stores: list[Allocation]) -> None:
        """Remove a reference to each block, and empty the list."""
        while stores:
            self.drop(stores.pop())

    def retain(self, record: SavedRecord) -> SavedRecord:
        """Add a reference to a saved value."""
        record.references += 1
        return record

    def release(self, record: SavedRecord | None) -> None:
        """Remove a reference to a saved value, and with the last reference free the memory and the operands."""
        if record is None:
            return
        record.references -= 1
        if not record.references:
            self.drop(record.store)
            self.drop(record.cached)
            for operand in record.operands:
                self.release(operand)


INDEX_BYTES = 8
"""Bytes per index in PyTorch's max pooling."""


class Moment(NamedTuple):
    """Allocated bytes while one step, by its index in the plan, runs."""

    step: int
    backward: bool
    bytes: int


@dataclass(frozen=True)
class PeakMemory:
    """Memory of a training step."""

    sizes: ValueSizes
    moments: tuple[Moment, ...]
    kept: dict[int, int]
    """Saved bytes at the start of the backward pass, by node of the value or step."""
    recompute_macs: int
    """Cost of recomputation, in multiply-accumulates."""

    @property
    def bytes(self) -> int:
        """Peak in bytes."""
        return max((moment.bytes for moment in self.moments), default=sum(self.sizes.standing.values()))

    @property
    def moment(self) -> Moment:
        """First moment at which memory peaks."""
        return max(self.moments, key=lambda moment: moment.bytes)


def peak_memory(program: Program, load: TrainingLoad) -> PeakMemory:
    """Predict the memory of a training step of a program (see :class:`PeakMemory`)."""
    return _Run(ValueSizes(program, load)).peak()


@dataclass
class _Run:
    sizes: ValueSizes
    moments: list[Moment] = field(default_factory=list)
    values: dict[int, Allocation] = field(default_factory=dict)
    """Allocated values of the forward pass, by node."""
    records: dict[int, SavedRecord] = field(default_factory=dict)
    """Saved values by node, until their last reader."""
    held: dict[int, list[SavedRecord]] = field(default_factory=dict)
    """Saved values of each step, by step index."""
    extra: dict[int, list[Allocation]] = field(default_factory=dict)
    """Additional memory saved by each step, by step index."""
    gradients: dict[int, Allocation] = field(default_factory=dict)
    """Gradients in the backward pass, by node."""
    recompute_macs: int = 0

    def peak(self) -> PeakMemory:
        """Simulate the step and return its memory."""
        sizes = self.sizes
        self.heap = SimulatedHeap(sum(sizes.standing.values()))
        for i in sizes.network.input_indices:
            self.values[i] = self.heap.hold(Allocation(sizes.value(i)))
            self.heap.hold(self.values[i])  # reference of the caller
        for index, step in enumerate(sizes.plan.steps):
            self._forward(index, step)
        saved = self._saved_by_node()
        for output in sizes.network.output_indices:
            self.gradients[output] = self.heap.hold(Allocation(sizes.value(output, once=False)))
            self._release((output,))  # the readout frees the output
        for index in reversed(range(len(sizes.plan.steps))):
            self._backward(index, sizes.plan.steps[index])
        return PeakMemory(sizes, tuple(self.moments), saved, self.recompute_macs)

    def _moment(self, index: int, *, backward: bool, extra: int = 0) -> None:
        self.moments.append(Moment(index, backward, self.heap.now + extra))

    def _forward(self, index: int, step: PlannedStep) -> None:
        sizes, heap = self.sizes, self.heap
        if step.loop:
            self._forward_loop(index, step)
            return
        saved = [self._record(i) for i in sorted(step.keeps)]
        view = sizes.network.nodes[step.gives].op.view
        output = self.values[step.operands[0]] if view else Allocation(sizes.value(step.gives))
        # A view shares the memory of its operand.
        self.values[step.gives] = heap.hold(output)
        self._moment(index, backward=False, extra=self._scratch(step))
        self.held[index] = [heap.retain(record) for record in saved]
        additional = Allocation(sizes.extra_saved(step) + self._cast(step))
        self.extra[index] = [heap.hold(additional), *([heap.hold(output)] if sizes.gives_on(step) else [])]
        # The operands must stay available until the value is recomputed.
        if step.recomputed:
            operands = tuple(heap.retain(self._record(i)) for i in step.operands)
            self.records[step.gives] = heap.retain(SavedRecord(step.gives, None, operands=operands, step=step))
        self._release(step.spent)

    def _forward_loop(self, index: int, step: PlannedStep) -> None:
        """Simulate the forward pass of a loop, with operands saved unchanged and values saved at each time-step."""
        sizes, heap = self.sizes, self.heap
        loop = sizes.loop(step)
        self.held[index] = []
        operands = [heap.hold(self.values[i]) for i in sorted(step.keeps)]
        self.extra[index] = [*operands, heap.hold(Allocation(loop.kept))]
        for i in step.outputs:
            self.values[i] = heap.hold(Allocation(sizes.value(i)))
        # The outputs of all time-steps exist until they are concatenated.
        self._moment(index, backward=False, extra=loop.stacked + loop.widest)
        self._release(step.spent)

    def _backward_loop(self, index: int, step: PlannedStep) -> None:
        sizes, heap = self.sizes, self.heap
        # Memory saved at a time-step is freed while the gradients of the operands grow, so the total stays about
        # constant.
        gradients = [gradient for i in step.outputs if (gradient := self.gradients.pop(i, None)) is not None]
        if gradients:
            loop = sizes.loop(step)
            self._moment(index, backward=True, extra=loop.weights + 3 * loop.widest)
        heap.drop_all(self.extra.pop(index))
        if gradients:
            heap.drop_all(gradients)
            for i in step.operands:
                if i >= sizes.network.first_layer:
                    gradient_sum = heap.hold(Allocation(sizes.value(i, once=False)))
                    self._moment(index, backward=True, extra=gradient_sum.bytes + loop.weights)
                    self._add(index, i, gradient_sum)
            self._sum_over_steps(step)
        del self.held[index]

    def _release(self, nodes: tuple[int, ...]) -> None:
        """Drop values without further readers."""
        for i in nodes:
            self.heap.drop(self.values.pop(i, None))
            self.heap.release(self.records.pop(i, None))

    def _record(self, index: int) -> SavedRecord:
        """Return the saved record of a value, and create it on first use."""
        if index not in self.records:
            bits = self.sizes.kept(index)
            store = self.values[index] if bits is None else Allocation(bits)
            record = SavedRecord(index, self.heap.hold(store), raw=bits is None)
            self.records[index] = self.heap.retain(record)
        return self.records[index]

    def _scratch(self, step: PlannedStep) -> int:
        """Return the temporary memory of a step: 64-bit indices of PyTorch's max pooling."""
        op = self.sizes.network.nodes[step.gives].op
        uses_indices = isinstance(op, MaxPool) and not step.byte_places
        return INDEX_BYTES * self.sizes.elements(step.gives) if uses_indices else 0

    def _cast(self, step: PlannedStep) -> int:
        """Return the memory of the 16-bit copy of a 32-bit input, which a convolution saves under autocast."""
        sizes, first = self.sizes, self.sizes.network.nodes[step.nodes[0]].op
        wide = [i for i in step.keeps if sizes.value(i) > NARROW * sizes.elements(i) and sizes.kept(i) is None]
        return NARROW * sum(map(sizes.elements, wide)) if sizes.load.mixed and isinstance(first, Conv) else 0

    def _saved_by_node(self) -> dict[int, int]:
        """Return the saved bytes by node, for its value and for its step."""
        result: dict[int, int] = {}
        counted, visited = set[int](), set[int]()
        records = [record for records_of_step in self.held.values() for record in records_of_step]
        while records:
            record = records.pop()
            if id(record) in visited:
                continue
            visited.add(id(record))
            records += record.operands
            # Steps may share the memory of a value, which is counted once.
            if record.store is not None and id(record.store) not in counted:
                counted.add(id(record.store))
                result[record.index] = result.get(record.index, 0) + record.store.bytes
        for index, stores in self.extra.items():
            node = self.sizes.plan.steps[index].gives
            for store in stores:
                if id(store) not in counted and store.bytes:
                    counted.add(id(store))
                    result[node] = result.get(node, 0) + store.bytes
        return result

    def _backward(self, index: int, step: PlannedStep) -> None:
        if step.loop:
            self._backward_loop(index, step)
            return
        gradient = self.gradients.pop(step.gives, None)
        if gradient is not None:
            self._compute_gradients(index, step, gradient)
            self.heap.drop(gradient)
        for record in self.held.pop(index):
            self.heap.release(record)
        # Saved memory is freed after the gradients have been computed.
        self.heap.drop_all(self.extra.pop(index))

    def _compute_gradients(self, index: int, step: PlannedStep, gradient: Allocation) -> None:
        heap, sizes = self.heap, self.sizes
        unpacked = [store for record in self.held[index] for store in self._fetch(record, index)]
        # The weight gradient is computed first. The input is freed before its gradient is allocated.
        if step.frees_input:
            self._moment(index, backward=True, extra=sizes.weights(step))
            heap.drop_all(unpacked)
        passed_operands = self._passed_operands(step)
        for i in step.operands:
            if i < sizes.network.first_layer:
                continue
            input_gradient = (
                gradient if i in passed_operands else Allocation(sizes.value(i, once=step.once and i in sizes.once))
            )
            self._add(index, i, heap.hold(input_gradient))
        self._moment(index, backward=True, extra=self._scratch(step))
        heap.drop_all(unpacked)
        self._sum_over_steps(step)

    def _passed_operands(self, step: PlannedStep) -> set[int]:
        """Return the operands of views and sums, whose gradient is the output gradient."""
        op = self.sizes.network.nodes[step.gives].op
        if op.view:
            return {*step.operands}
        node = self.sizes.network.nodes[step.gives]
        saved = op.keeps(*self.sizes.network.inputs(node))
        # Merges without saved tensors pass on the output gradient, or slices of it.
        adds = len(node.inputs) > 1 and not (saved.inputs or saved.bytes_per_step)
        return {i for i in node.inputs if i in step.operands} if adds else set()

    def _fetch(self, record: SavedRecord, index: int) -> list[Allocation]:
        """Allocate an unpacked value, or recompute and cache it."""
        if record.step is not None:
            self._compute(record, index)
            return []
        if record.raw:
            return []
        return [self.heap.hold(Allocation(self.sizes.value(record.index)))]

    def _compute(self, record: SavedRecord, index: int) -> None:
        # A value is recomputed once, even if several steps read it.
        if record.cached is not None or record.step is None:
            return
        unpacked = [store for operand in record.operands for store in self._fetch(operand, index)]
        record.cached = self.heap.hold(Allocation(self.sizes.value(record.index)))
        self.recompute_macs += self.sizes.cost(record.step)
        self._moment(index, backward=True, extra=self._scratch(record.step))
        self.heap.drop_all(unpacked)

    def _add(self, step_index: int, index: int, gradient: Allocation) -> None:
        """Add a gradient of a value. A second gradient is added to the first one."""
        existing = self.gradients.get(index)
        # The first gradient is stored without a copy.
        if existing is None:
            self.gradients[index] = gradient
            return
        self._moment(step_index, backward=True)
        # Autograd adds in place, unless both gradients are referenced elsewhere.
        if existing.references > 1 and gradient.references > 1:
            total = self.heap.hold(Allocation(existing.bytes))
            self._moment(step_index, backward=True)
            self.heap.drop(existing)
            self.heap.drop(gradient)
            self.gradients[index] = total
        else:
            target, source = (existing, gradient) if existing.references == 1 else (gradient, existing)
            self.heap.drop(source)
            self.gradients[index] = target

    def _sum_over_steps(self, step: PlannedStep) -> None:
        """Sum the gradients of time-independent values over time."""
        for i in step.operands:
            if i in self.sizes.once and not step.once and i in self.gradients:
                gradient = self.gradients.pop(i)
                self.gradients[i] = self.heap.hold(Allocation(self.sizes.value(i)))
                self.heap.drop(gradient)
