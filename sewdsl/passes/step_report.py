"""A training step in words: how it runs, and what is kept for the backward pass."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

from sewdsl.analysis.listing import outermost_block
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.passes import optimize_program
from sewdsl.passes.memory import PeakMemory, peak_memory, training_load
from sewdsl.passes.memory.value_sizes import ValueSizes
from sewdsl.passes.plan import Kernel


class MemoryRow(NamedTuple):
    """What waits for the backward pass, of one node or of a block.

    Attributes:
        layer: As the notation writes it.
        path: The node's name, or the block's.
    """

    layer: str
    path: str
    how: str
    bytes: int


def predict_memory(network: Network, batch: int | None, device: Literal["cpu", "cuda"]) -> PeakMemory:
    """The memory of a training step of the network as its recipe says, with another batch if one is given."""
    recipe = network.recipe
    if recipe is not None and batch is not None:
        network = network.with_recipe(recipe.model_copy(update={"batch": batch}))
    return peak_memory(optimize_program(network), training_load(network.recipe, batch, device))


def describe_load(sizes: ValueSizes) -> str:
    """Samples, time-steps, precision and device of a training step."""
    load = sizes.load
    samples, steps = f"{load.samples} sample{'' if load.samples == 1 else 's'}", f"T = {sizes.T}"
    where = "" if load.device == "cpu" else ", on a GPU"
    return f"{samples}, {steps}, {'mixed precision' if load.mixed else 'float32'}{where}"


def peak_node(found: PeakMemory) -> Node:
    """The node at whose computation the peak is."""
    return found.sizes.network.nodes[found.sizes.plan.steps[found.moment.step].gives]


def kept_values(network: Network, found: PeakMemory) -> list[MemoryRow]:
    """One for each node of which something is kept, or computed again."""
    again = found.sizes.program.again
    return [
        MemoryRow(node.op.label, node.name, _how(found, i), found.kept.get(i, 0))
        for i, node in enumerate(network)
        if i in again or found.kept.get(i)
    ]


def kept_values_by_block(network: Network, found: PeakMemory) -> list[MemoryRow]:
    """One for each node outside blocks, and one for each call of a block."""
    rows = []
    kept = {row.path: row for row in kept_values(network, found)}
    for block, group in groupby(network, key=outermost_block):
        inside = [kept[node.name] for node in group if node.name in kept]
        if block is None:
            rows += inside
        elif inside:
            path, _, text = block
            how = ", ".join(dict.fromkeys(row.how for row in inside))
            rows.append(MemoryRow(text, path, how, sum(row.bytes for row in inside)))
    return rows


def _how(found: PeakMemory, index: int) -> str:
    program = found.sizes.program
    if index in program.again:
        return "computed again"
    if found.sizes.kept(index) is None or not found.kept.get(index):
        return "as it is"
    return _bits_text(program.bits[index])


def _bits_text(bits: int) -> str:
    return f"{bits} bit{'' if bits == 1 else 's'} a number"


class StepRow(NamedTuple):
    """A step of a plan, in words.

    Attributes:
        runs: How they run; empty: each by itself.
        stored: How the value of maps lies in memory.
        kept: What is kept of the value for the backward pass.
    """

    nodes: list[str]
    runs: list[str]
    stored: str
    kept: str


_KERNELS: dict[Kernel, str] = {
    "norm_neuron": "in one kernel",
    "folded": "as one layer",
    "module": "by itself",
    "loop": "time-step by time-step",
}
_BY_EVENTS = {True: "by events if few, to the bit", False: "by events if few"}
"""How a convolution runs that reads spikes, by whether every bit has to stay the same."""


def planned_steps(sizes: ValueSizes) -> list[StepRow]:
    """How a training step runs: each step's kernel, layout, and what is kept of its value."""
    program, network = sizes.program, sizes.network
    kept = {i for step in sizes.plan.steps for i in step.keeps}
    steps = []
    for step in sizes.plan.steps:
        runs = [_KERNELS[step.kernel]] if len(step.nodes) > 1 else []
        runs += ["for one time-step"] if step.once else []
        runs += [_BY_EVENTS[step.exact]] if step.events else []
        runs += ["by Winograd's algorithm if large"] if step.winograd else []
        runs += ["giving up its input early"] if step.frees_input else []
        runs += ["a byte for each maximum"] if step.byte_places else []
        maps = len(network.nodes[step.gives].output.shape) == len("CHW")
        layout = ("channels last" if program.channels_last else "row by row") if maps else ""
        names = [network.nodes[i].name for i in step.nodes]
        bits = sizes.plan.bits.get(step.gives)
        if step.gives not in kept:
            storage = "no"
        elif step.recomputed:
            storage = "computed again"
        else:
            storage = "as it is" if bits is None else _bits_text(bits)
        steps.append(StepRow(names, runs, layout, storage))
    return steps
