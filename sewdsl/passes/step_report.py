"""Text reports of a training step: execution and saved tensors."""

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
    """Memory saved for the backward pass, for a node or a block."""

    layer: str
    """Layer in compact notation, or the call of the block."""
    path: str
    """Name of the node or block."""
    how: str
    """Format of the saved value."""
    bytes: int
    """Saved memory in bytes."""


def predict_memory(network: Network, batch: int | None, device: Literal["cpu", "cuda"]) -> PeakMemory:
    """Predict the memory of a training step for a batch size, or for that of the recipe if None."""
    recipe = network.recipe
    if recipe is not None and batch is not None:
        network = network.with_recipe(recipe.model_copy(update={"batch": batch}))
    return peak_memory(optimize_program(network), training_load(network.recipe, batch, device))


def describe_load(sizes: ValueSizes) -> str:
    """Return a text with the samples, time-steps, precision and device of a training step."""
    load = sizes.load
    samples, steps = f"{load.samples} sample{'' if load.samples == 1 else 's'}", f"T = {sizes.T}"
    device = "" if load.device == "cpu" else ", on a GPU"
    # The CPU is the default and is not mentioned.
    return f"{samples}, {steps}, {'mixed precision' if load.mixed else 'float32'}{device}"


def peak_node(peak: PeakMemory) -> Node:
    """Return the node in computation when memory peaks."""
    return peak.sizes.network.nodes[peak.sizes.plan.steps[peak.moment.step].gives]


def kept_values(network: Network, peak: PeakMemory) -> list[MemoryRow]:
    """Return a row for each node with a saved or recomputed value."""
    recomputed = peak.sizes.program.recomputed
    return [
        MemoryRow(node.op.label, node.name, _saved_format(peak, i), peak.kept.get(i, 0))
        for i, node in enumerate(network)
        if i in recomputed or peak.kept.get(i)
    ]


def kept_values_by_block(network: Network, peak: PeakMemory) -> list[MemoryRow]:
    """Return a row for each node outside blocks, and for each block call."""
    rows = []
    row_by_name = {row.path: row for row in kept_values(network, peak)}
    # The nodes of a block call are consecutive.
    for block, group in groupby(network, key=outermost_block):
        block_rows = [row_by_name[node.name] for node in group if node.name in row_by_name]
        if block is None:
            rows += block_rows
        elif block_rows:
            path, _, text = block
            formats = ", ".join(dict.fromkeys(row.how for row in block_rows))
            rows.append(MemoryRow(text, path, formats, sum(row.bytes for row in block_rows)))
    return rows


def _saved_format(peak: PeakMemory, index: int) -> str:
    program = peak.sizes.program
    if index in program.recomputed:
        return "recomputed"
    if peak.sizes.kept(index) is None or not peak.kept.get(index):
        return "unchanged"
    return _bits_text(program.bits[index])


def _bits_text(bits: int) -> str:
    return f"{bits} bit{'' if bits == 1 else 's'} per value"


class StepRow(NamedTuple):
    """Description of a planned step."""

    nodes: list[str]
    runs: list[str]
    """Kernels and options. Empty for a single node without options."""
    stored: str
    """Memory format of feature maps."""
    kept: str
    """Format of the value saved for the backward pass."""


_KERNELS: dict[Kernel, str] = {
    "norm_neuron": "in one kernel",
    "folded": "as one layer",
    "attention": "without the scores",
    "module": "by itself",
    "loop": "time-step by time-step",
}
_BY_EVENTS = {True: "event-driven if few are active, bit-identical", False: "event-driven if few are active"}
"""Description of an event-driven convolution, by whether it must be bit-identical to a dense one."""


def planned_steps(sizes: ValueSizes) -> list[StepRow]:
    """Return the planned steps of a training step: kernel, memory format, and format of the saved value."""
    program, network = sizes.program, sizes.network
    saved = {i for step in sizes.plan.steps for i in step.keeps}
    steps = []
    for step in sizes.plan.steps:
        runs = [_KERNELS[step.kernel]] if len(step.nodes) > 1 else []
        runs += ["for one time-step"] if step.once else []
        runs += [_BY_EVENTS[step.exact]] if step.events else []
        runs += ["Winograd's algorithm if large"] if step.winograd else []
        runs += ["frees its input early"] if step.frees_input else []
        runs += ["1 byte per maximum"] if step.byte_places else []
        is_map = len(network.nodes[step.gives].output.shape) == len("CHW")
        layout = ("channels last" if program.channels_last else "contiguous") if is_map else ""
        names = [network.nodes[i].name for i in step.nodes]
        bits = sizes.plan.bits.get(step.gives)
        if step.gives not in saved:
            saved_format = "no"
        elif step.recomputed:
            saved_format = "recomputed"
        else:
            saved_format = "unchanged" if bits is None else _bits_text(bits)
        steps.append(StepRow(names, runs, layout, saved_format))
    return steps
