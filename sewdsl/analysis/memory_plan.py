"""Places of the values of a time-step in integers, in memory that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

Format: TypeAlias = Literal["bit", "uint8", "int8", "int16", "int32"]
"""Formats of integers. A bit is stored in a byte, unless the plan packs bits."""
Role: TypeAlias = Literal["value", "view", "sums", "neuron", "input", "delay"]
"""Purpose of a step. The sums of a layer with weights need no memory if only a neuron reads them."""
Block: TypeAlias = Literal["bytes", "halves", "words"]
"""Array of elements of one width. C does not allow elements of different widths in an array."""
BLOCKS: Mapping[Format, Block] = {
    "bit": "bytes",
    "uint8": "bytes",
    "int8": "bytes",
    "int16": "halves",
    "int32": "words",
}
"""Smallest block for each format."""
MAX_SIZES = 16
"""Largest number of sizes of values that are tried in words."""
WIDTHS: Mapping[Block, int] = {"bytes": 1, "halves": 2, "words": 4}
"""Bytes of an element of a block."""
WORD = 4
"""Bytes of a constant of a channel, of a potential of equations and of a counter."""


class MemoryStep(Protocol):
    """Step whose value needs memory."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the steps whose values are read."""

    @property
    def role(self) -> Role:
        """Purpose of the step."""

    @property
    def elements(self) -> int:
        """Number of elements of the value."""

    @property
    def format(self) -> Format:
        """Format of an element."""


class Lifetime(NamedTuple):
    """Memory of a value."""

    first: int
    """Step that writes the value."""
    last: int
    """Last step that reads the value."""
    size: int
    """Number of elements of the block."""
    block: Block
    offset: int = 0
    """First element in the block."""


class MemoryPlan(NamedTuple):
    """Places of all values of a time-step."""

    inlined: frozenset[int]
    """Convolutions whose sums the next neuron reads position by position, so that they are not stored."""
    hoisted: frozenset[int]
    """Steps that are computed in the first time-step only."""
    owners: Sequence[int]
    """For each step, the step that stores its value: another one for views."""
    values: Mapping[int, Lifetime]
    """Lifetimes by step."""
    sizes: Mapping[Block, int]
    """Number of elements of each block that is used."""
    packed: bool = False
    """Whether a byte holds eight spikes."""

    def state_size(self, members: Iterable[tuple[int, int]]) -> int:
        """Return the bytes of a state in C: potentials and delays, as width and number of elements, and the blocks."""
        started = [(1, 1)] if self.hoisted else []
        every = [*members, *((WIDTHS[block], size) for block, size in self.sizes.items()), *started]
        total, widest = sum(width * size for width, size in every), max((width for width, _ in every), default=1)
        # Members are ordered by width, so that C pads only the end. C does not allow a structure without members.
        return max(1, -(-total // widest) * widest)


def stored_elements(step: MemoryStep, *, packed: bool, steps: int = 1) -> int:
    """Return the number of elements of its block in which a value is stored, for a number of time-steps."""
    return -(-step.elements * steps // 8) if packed and step.format == "bit" else step.elements * steps


def plan_memory(
    steps: Sequence[MemoryStep], outputs: Sequence[int], *, hoist: bool = False, packed: bool = False
) -> MemoryPlan:
    """Return a plan in which values of one block share memory if their lifetimes do not overlap.

    The largest value is placed first, each at the lowest free offset. Values of 16 bits are words if words have room
    for them, except the sums of layers with weights, which are faster in 16 bits.

    Args:
        outputs: Steps whose values are read after all steps.
        hoist: Whether to store the values before the first neurons for all time-steps.
        packed: Whether a byte holds eight spikes.
    """
    owners: list[int] = []
    for index, step in enumerate(steps):
        owners.append(owners[step.inputs[0]] if step.role == "view" else index)
    readers: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        if step.role != "view":
            for source in step.inputs:
                # A delay reads its input after all steps.
                readers[owners[source]].append(len(steps) if step.role == "delay" else index)
    for output in outputs:
        readers[owners[output]].append(len(steps))
    hoisted = _static_steps(steps) if hoist else frozenset[int]()
    inlined = frozenset(
        index
        for index, (step, own) in enumerate(zip(steps, readers, strict=True))
        if step.role == "sums" and len(own) == 1 and own[0] < len(steps) and steps[own[0]].role == "neuron"
    ).difference(hoisted)
    # An inlined convolution reads its input when the neuron after it runs.
    lasts = [max((readers[i][0] if i in inlined else i for i in each), default=0) for each in readers]
    lifetimes = {
        index: Lifetime(index, max(index, lasts[index]), stored_elements(step, packed=packed), BLOCKS[step.format])
        for index, step in enumerate(steps)
        if owners[index] == index and index not in inlined and step.role not in {"input", "delay"}
    }
    for index in hoisted & lifetimes.keys():
        if not hoisted.issuperset(readers[index]):
            lifetimes[index] = lifetimes[index]._replace(first=0, last=len(steps))
    placed, sizes = _place_all(lifetimes)
    movable = {i: x.size for i, x in lifetimes.items() if x.block == "halves" and steps[i].role != "sums"}
    for size in sorted({*movable.values()}, reverse=True)[:MAX_SIZES]:
        moved = lifetimes | {i: lifetimes[i]._replace(block="words") for i, own in movable.items() if own == size}
        other_placed, other_sizes = _place_all(moved)
        if _total(other_sizes) < _total(sizes):
            lifetimes, placed, sizes = moved, other_placed, other_sizes
    return MemoryPlan(inlined, hoisted, owners, placed, sizes, packed)


def _static_steps(steps: Sequence[MemoryStep]) -> frozenset[int]:
    """Return the steps whose values depend on the input of the same time-step only."""
    static: set[int] = set()
    for index, step in enumerate(steps):
        if step.role == "input" or (static.issuperset(step.inputs) and step.role not in {"neuron", "delay"}):
            static.add(index)
    return frozenset(index for index in static if steps[index].role != "input")


def _total(sizes: Mapping[Block, int]) -> int:
    return sum(WIDTHS[block] * size for block, size in sizes.items())


def _place_all(lifetimes: Mapping[int, Lifetime]) -> tuple[dict[int, Lifetime], dict[Block, int]]:
    """Return the values with their offsets, and the sizes of the blocks."""
    placed: dict[int, Lifetime] = {}
    sizes: dict[Block, int] = {}
    for block in WIDTHS:
        own = _place({index: value for index, value in lifetimes.items() if value.block == block})
        placed |= own
        if own:
            sizes[block] = max(value.offset + value.size for value in own.values())
    return placed, sizes


def _place(lifetimes: Mapping[int, Lifetime]) -> dict[int, Lifetime]:
    """Return the values of a block with their offsets."""
    placed: dict[int, Lifetime] = {}
    for index in sorted(lifetimes, key=lambda i: (-lifetimes[i].size, i)):
        value, offset = lifetimes[index], 0
        overlapping = (x for x in placed.values() if x.first <= value.last and value.first <= x.last)
        for other in sorted(overlapping, key=lambda x: x.offset):
            if offset + value.size <= other.offset:
                break
            offset = max(offset, other.offset + other.size)
        placed[index] = value._replace(offset=offset)
    return placed
