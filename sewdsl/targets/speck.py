"""Speck, a chip with nine cores for event-driven convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool
from sewdsl.targets.layers import PASSED, LayerTarget, weighted_readers
from sewdsl.targets.target import Citation, Fit, Misfit, Row, at_most

KI = 1 << 10
MAP_AXES = 3


class Core(NamedTuple):
    """Entries of the memories of a core, or those that a layer needs."""

    weights: int
    neurons: int
    biases: int = KI

    def holds(self, need: Core) -> bool:
        """Return whether the core has enough memory for a layer."""
        return all(used <= size for used, size in zip(need, self, strict=True))


@dataclass(frozen=True, kw_only=True)
class Speck(LayerTarget):
    """Chip in which a core computes a layer with weights, its neurons and the pooling after it.

    Attributes:
        cores: Memories of the cores in Ki entries, for weights and neurons.
        destinations: Number of cores that a core can send events to.
        classes: Number of classes of the readout layer.
    """

    cores: tuple[tuple[int, int], ...] = ((16, 64),) * 3 + ((32, 32),) * 2 + ((64, 16),) * 2 + ((16, 16),) * 2
    destinations: int = 2
    input_size: int = 128
    map_size: int = 64
    channels: int = 1024
    kernel: int = 16
    strides: tuple[int, ...] = (1, 2, 4, 8)
    padding: int = 7
    pools: tuple[int, ...] = (1, 2, 4)
    classes: int = 15

    @property
    def limits(self) -> tuple[str, ...]:
        strides, pools = (", ".join(map(str, numbers)) for numbers in (self.strides, self.pools))
        sizes = ", ".join(f"{weights}/{neurons}" for weights, neurons in self.cores)
        return (
            f"events as input, of at most {self.input_size}x{self.input_size}",
            *super().limits,
            f"square kernels of at most {self.kernel}, strides {strides}, padding of at most {self.padding}",
            f"at most {self.channels:,} channels, and feature maps of at most {self.map_size}x{self.map_size}",
            f"square pooling of {pools} without overlap",
            f"{len(self.cores)} cores, with weights/neurons in Ki entries: {sizes}; {KI:,} biases each",
            f"each core sends events to at most {self.destinations} cores",
        )

    def check(self, network: Network) -> Fit:
        misfits, _, unknown, _ = super().check(network)
        needs, cores = layer_entries(network), [Core(weights * KI, neurons * KI) for weights, neurons in self.cores]
        placed = place([*needs.values()], cores) if len(needs) <= len(cores) else {}
        more, rows = [*self._shapes(network), *self._routes(network)], list[Row]()
        for position, (index, need) in enumerate(needs.items()):
            node, core = network.nodes[index], placed.get(position)
            fits = any(each.holds(need) for each in cores)
            if not fits or (core is None and len(needs) <= len(cores)):
                which = "core is left that has both" if fits else "core has both"
                message = f"needs {need.weights:,} weights and {need.neurons:,} neurons, and no {which}"
                more.append(Misfit(node, message, "reduce the channels, the kernel or the feature map"))
            elif position == len(cores):
                more += at_most(node, len(needs), len(cores), "layers with weights", "remove layers")
            if core is not None:
                sizes = {"weights": need.weights, "weight memory": cores[core].weights, "neurons": need.neurons}
                rows.append({"layer": node.name, "core": core, **sizes, "neuron memory": cores[core].neurons})
        if any(need.biases for need in needs.values()):
            unknown = ("biases: the chip adds them at each tick of a clock, not at each time-step", *unknown)
        if (count := network.nodes[network.output].output.channels) > self.classes:
            unknown = (f"{count:,} outputs: the readout layer of the chip has {self.classes} classes", *unknown)
        return Fit((*misfits, *more), tuple(rows), unknown)

    def _shapes(self, network: Network) -> Iterator[Misfit]:
        """Yield inputs, layers with weights and pooling whose sizes a core does not have."""
        maps = _maps(network)
        for index, node in enumerate(network.nodes):
            op, output = node.op, node.output
            if index in network.input_indices:
                size = max(output.shape[1:], default=0)
                yield from at_most(node, size, self.input_size, "rows or columns", "reduce the input")
                if not output.varies:
                    yield Misfit(node, "expected events, got an image", "train on events, without encode direct")
            elif isinstance(op, AvgPool):
                if len(output.shape) < MAP_AXES or op.kernel != op.stride or any(op.padding):
                    got = f"{op.short} to {output.size}"
                    yield Misfit(node, f"expected pooling of maps without overlap and padding, got {got}", "use APk2")
            elif isinstance(op, Conv | Linear):
                channels, *lengths = maps[node.sources[0]]
                rows, columns = op.kernel if isinstance(op, Conv) else lengths
                if rows != columns:
                    yield Misfit(node, f"expected a square kernel, got {rows}x{columns}", "use a square kernel")
                hint = "reduce the kernel, or the feature map before FC"
                yield from at_most(node, max(rows, columns), self.kernel, "rows of a kernel", hint)
                channels = max(channels, output.channels)
                yield from at_most(node, channels, self.channels, "channels", "reduce the channels")
                if isinstance(op, Conv):
                    yield from self._window(node, op)

    def _window(self, node: Node, op: Conv) -> Iterator[Misfit]:
        if not {*op.stride} <= {*self.strides}:
            expected = ", ".join(map(str, self.strides))
            yield Misfit(node, f"expected a stride of {expected}, got {max(op.stride)}", "use s2")
        yield from at_most(node, max(op.pads), self.padding, "rows of padding", "reduce the padding")
        size, hint = max(node.output.shape[1:]), "use a larger stride, or pooling before the layer"
        yield from at_most(node, size, self.map_size, "rows or columns of a feature map", hint)
        if len(node.output.shape) < MAP_AXES:
            yield Misfit(node, f"expected a feature map, got {node.output.size}", "use an input of 3 axes")

    def _routes(self, network: Network) -> Iterator[Misfit]:
        """Yield neurons and inputs whose events the chip cannot send to all their readers."""
        readers, nodes = weighted_readers(network, len(self.cores) + 1), network.nodes
        for index, node in enumerate(nodes):
            if isinstance(node.op, Activation):
                hint = "remove shortcuts: n consecutive identities need n + 1 destinations"
                yield from at_most(node, len(readers[index]), self.destinations, "layers that read its events", hint)
            for reader, pooling in readers[index].items():
                if pooling not in self.pools and (isinstance(node.op, Activation) or index in network.input_indices):
                    expected, got = ", ".join(map(str, self.pools)), pooling or "windows that are not square"
                    message = f"expected pooling of {expected} before {nodes[reader].name}, got {got}"
                    yield Misfit(node, message, "use APk2 or APk4")


def _maps(network: Network) -> list[tuple[int, int, int]]:
    """Return channels, height and width of the output of each node, before it is flattened."""
    maps: list[tuple[int, int, int]] = []
    for node in network.nodes:
        channels, height, width = (*node.output.shape, 1, 1)[:3]
        maps.append(maps[node.sources[0]] if isinstance(node.op, PASSED) else (channels, height, width))
    return maps


def layer_entries(network: Network) -> dict[int, Core]:
    """Return the entries that each layer with weights needs in a core, by index."""
    hosts, maps, needs = set(foldable_norms(network).values()), _maps(network), {}
    for index, node in enumerate(network.nodes):
        if isinstance(node.op, Conv | Linear):
            channels, *lengths = maps[node.sources[0]]
            rows, columns = node.op.kernel if isinstance(node.op, Conv) else lengths
            outputs, height, width = maps[index]
            needs[index] = Core(
                channels << _bits(rows * columns) + _bits(outputs),
                outputs << _bits(height) + _bits(width),
                outputs if node.op.bias or index in hosts else 0,
            )
    return needs


def _bits(count: int) -> int:
    """Return the number of bits of an address, the logarithm of a count rounded up."""
    return (count - 1).bit_length()


def place(needs: Sequence[Core], cores: Sequence[Core]) -> Mapping[int, int]:
    """Return a core for as many layers as possible, by layer, from augmenting paths."""
    layers: dict[int, int] = {}

    def move(layer: int, tried: set[int]) -> bool:
        """Place a layer, and move layers in its way to other cores."""
        for number, core in enumerate(cores):
            if number not in tried and core.holds(needs[layer]):
                tried.add(number)
                if number not in layers or move(layers[number], tried):
                    layers[number] = layer
                    return True
        return False

    for layer in range(len(needs)):
        move(layer, set())
    return {layer: core for core, layer in layers.items()}


SINABS = "https://pypi.org/project/sinabs/3.1.3/"
DOCS = "https://github.com/synsense/sinabs/blob/13ad316c0485de6a46d611781567e159f26f127b/docs/speck"
SPECK2F = Speck(
    name="speck2f",
    title="Speck 2f, and 2e with the same memories",
    sources=(
        Citation("Sinabs, Overview: sizes of a core, memory formulas, destinations", f"{DOCS}/overview.md"),
        Citation("Sinabs, Available Network Architecture: order of layers", f"{DOCS}/faqs/available_network_arch.md"),
        Citation("Sinabs 3.1.3, backend/dynapcnn/chips/dynapcnn.py: memories of the cores, options of a layer", SINABS),
        Citation("Sinabs 3.1.3, backend/dynapcnn/dynapcnn_layer.py: entries of a layer, square kernels, IAF", SINABS),
        Citation("Sinabs 3.1.3, backend/dynapcnn/connectivity_specs.py: order of layers, merges", SINABS),
    ),
    unknown=(
        "rounding: weights, biases and threshold of a layer share one scale, which can round all weights to 0",
        "spikes: a neuron of the chip can spike several times in a time-step",
    ),
    layers=(Conv, Linear, AvgPool, GlobalAvgPool, Add),
    leak="none",
    resets=("to zero", "by subtraction"),
    fires=True,
    plain=True,
)
