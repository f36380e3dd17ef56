"""Targets with a fixed set of layers and neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, LinearNeuron, Merge, Op, WeightedLayer
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout, DropPath
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.targets.target import Fit, Misfit, Row, Target, at_most

Reset: TypeAlias = Literal["to zero", "by subtraction", "to v_reset"]
Leak: TypeAlias = Literal["none", "required", "any"]
NEURONS: Mapping[Leak, str] = {"none": "IF", "required": "LIF, PLIF or DLIF", "any": "IF, LIF, PLIF or DLIF"}
"""Neurons with and without leak, in messages."""
PASSED = (Dropout, DropPath, Flatten)
"""Layers that compute nothing in evaluation."""
HINTS: Sequence[tuple[type[Op], type[Op], str]] = (
    (MaxPool, AvgPool, "use average pooling, e.g. APk2, or a stride"),
    (MaxPool, Conv, "use a stride instead of pooling"),
    (AvgPool, Conv, "use a stride instead of pooling"),
    (Join, Add, "use ADD"),
)
"""Help for a kind of layers, if the target has another kind."""


@dataclass(frozen=True, kw_only=True)
class LayerTarget(Target):
    """Target with a fixed set of layers and neurons.

    Attributes:
        layers: Kinds of layers. Neurons, dropout, flattening and norms that fold into weights are not listed.
        undocumented: Kinds that the sources neither list nor exclude.
        chain: Whether each layer has one reader.
        fires: Whether each layer with weights is before one layer of neurons, and each layer of neurons after weights.
        separate: Whether layers with weights must not read each other.
        plain: Whether convolutions have neither groups nor dilation.
        neurons: Largest number of neurons that are not outputs, or None without a limit.
    """

    layers: tuple[type[Op], ...]
    undocumented: tuple[type[Op], ...] = ()
    leak: Leak = "any"
    resets: tuple[Reset, ...] = ("to zero",)
    chain: bool = False
    fires: bool = False
    separate: bool = False
    plain: bool = False
    bias: bool = True
    neurons: int | None = None

    @property
    def limits(self) -> tuple[str, ...]:
        rules = {
            "each layer has one reader": self.chain,
            "each layer with weights is before neurons, and neurons are the output": self.fires,
            "no layer with weights directly after another": self.separate,
            "convolutions without groups and dilation": self.plain,
            "no biases": not self.bias,
            f"at most {self.neurons or 0:,} neurons that are not outputs": self.neurons is not None,
        }
        return (
            f"layers {', '.join(kind.kind for kind in self.layers)}, and batch norms directly after weights",
            f"neurons {NEURONS[self.leak]}, with reset {' or '.join(self.resets)}",
            *(rule for rule, applies in rules.items() if applies),
        )

    def check(self, network: Network) -> Fit:
        kinds = dict.fromkeys(node.op.kind for node in network.layers if isinstance(node.op, self.undocumented))
        unknown = (f"{kind}: no source states whether the target reads this layer" for kind in kinds)
        neurons = (node for node in network.nodes if isinstance(node.op, Activation))
        rows: list[Row] = [{"layer": node.name, "neurons": node.output.elements} for node in neurons]
        return Fit(tuple(self.misfits(network)), tuple(rows), (*unknown, *self.unknown))

    def hidden(self, network: Network) -> dict[int, int]:
        """Return the number of neurons of each layer that is not an output."""
        outputs = network.output_indices
        neurons = ((i, n) for i, n in enumerate(network.nodes) if isinstance(n.op, Activation) and i not in outputs)
        return {index: node.output.elements for index, node in neurons}

    def misfits(self, network: Network) -> Iterator[Misfit]:
        """Yield the layers that the target does not compute."""
        hosts, currents, hidden = foldable_norms(network), _currents(network), self.hidden(network)
        if self.neurons is not None and hidden:
            largest = network.nodes[max(hidden, key=hidden.__getitem__)]
            count = sum(hidden.values())
            yield from at_most(largest, count, self.neurons, "neurons in all layers", "use fewer neurons")
        for index, node in enumerate(network.nodes[network.first_layer :], network.first_layer):
            op, readers = node.op, network.graph.consumers[index]
            if isinstance(op, Activation):
                yield from self._neuron(node)
            elif not isinstance(op, PASSED) and index not in hosts:
                yield from self._layer(node)
            elif index in hosts and not self.bias:
                yield Misfit(node, "expected no bias, got a norm, which becomes one", f"remove {op.kind}")
            after_weights = [currents[i] for i in node.sources]
            if self.fires and isinstance(op, Activation) and not all(after_weights):
                yield Misfit(node, "expected a layer with weights before the neuron", "add FC or a convolution")
            if self.fires and isinstance(op, WeightedLayer) and neuron_after(network, index) is None:
                yield Misfit(node, "expected a neuron as the only reader", "add a neuron after the layer")
            if self.fires and index in network.output_indices and not isinstance(op, (Activation, WeightedLayer)):
                yield Misfit(node, f"expected a neuron as output, got {op.kind}", "end the network with a neuron")
            if self.separate and isinstance(op, WeightedLayer) and any(after_weights):
                yield Misfit(node, "expected no layer with weights directly before", "add a neuron between the layers")
            if self.chain:
                yield from at_most(node, len(readers), 1, "reader", "remove shortcuts and branches")

    def _neuron(self, node: Node) -> Iterator[Misfit]:
        numbers, expected = neuron_numbers(node.op), NEURONS[self.leak]
        decay, reset = numbers or (-1, self.resets[0])
        if not {"none": decay == 1, "required": 0 < decay < 1, "any": 0 <= decay <= 1}[self.leak]:
            yield Misfit(node, f"expected the neuron {expected}, got {node.op.kind}", f"use neuron {expected}")
        if reset not in self.resets:
            usable = "v_reset=0" if "to zero" in self.resets else "v_reset=none"
            yield Misfit(node, f"expected a reset {' or '.join(self.resets)}, got one {reset}", f"use {usable}")

    def _layer(self, node: Node) -> Iterator[Misfit]:
        op = node.op
        if not isinstance(op, (*self.layers, *self.undocumented)):
            same = [kind.kind for kind in self.layers if issubclass(kind, Merge) == isinstance(op, Merge)]
            hints = (hint for kind, other, hint in HINTS if isinstance(op, kind) and other in self.layers)
            hint = next(hints, f"remove {op.kind}")
            if isinstance(op, BatchNorm) and self.bias:
                hint = "move the norm directly after a convolution or FC"
            yield Misfit(node, f"expected {', '.join(same) or 'no merge'}, got {op.kind}", hint)
        if self.plain and isinstance(op, Conv) and (op.groups > 1 or max(op.dilation) > 1):
            got = f"{op.groups} groups" if op.groups > 1 else f"dilation {max(op.dilation)}"
            yield Misfit(node, f"expected a convolution without groups and dilation, got {got}", "use g1 and d1")
        if not self.bias and getattr(op, "bias", False):
            yield Misfit(node, "expected no bias", "add b0 to the layer")


def _currents(network: Network) -> list[bool]:
    """Return for each node whether its output is a weighted sum, possibly with a norm."""
    currents: list[bool] = []
    for node in network.nodes:
        through = isinstance(node.op, (*PASSED, BatchNorm)) and all(currents[i] for i in node.sources)
        currents.append(through or isinstance(node.op, WeightedLayer))
    return currents


def neuron_after(network: Network, index: int) -> int | None:
    """Return the neurons that are the only reader of a layer, after norms, or None."""
    while len(network.graph.consumers[index]) == 1 and index not in network.output_indices:
        (index,) = network.graph.consumers[index]
        if not isinstance(network.nodes[index].op, (*PASSED, BatchNorm)):
            return index if isinstance(network.nodes[index].op, Activation) else None
    return None


def neuron_numbers(op: Op) -> tuple[float, Reset] | None:
    """Return the initial decay per time-step and the reset of a linear neuron, or None for other activations."""
    decay, v_reset = None, None
    if isinstance(op, LinearNeuron):
        dynamics, v_reset = op.at_start(), op.v_reset
        decay = None if dynamics is None else dynamics.decay
    elif isinstance(op, Activation) and op.equations is not None:
        constants = op.hard_reset_numbers({name: each.value for name, each in op.equations.learned.items()})
        decay, v_reset = (None, None) if constants is None else (float(constants[0]), float(constants[-1]))
    if decay is None:
        return None
    return decay, "by subtraction" if v_reset is None else "to zero" if v_reset == 0 else "to v_reset"


def weighted_readers(network: Network, limit: int) -> list[Mapping[int, int]]:
    """Return the layers with weights that read the output of each node, and the size of the pooling before them.

    The size is 0 for windows that are not square.

    Args:
        limit: Largest number of readers that are returned for a node, which bounds the time.
    """
    nodes = network.nodes
    readers: list[Mapping[int, int]] = [{}] * len(nodes)
    for index in reversed(range(len(nodes))):
        own: dict[int, int] = {}
        for reader in network.graph.consumers[index]:
            op, pooling = nodes[reader].op, 1
            if isinstance(op, AvgPool | GlobalAvgPool):
                lengths = op.kernel if isinstance(op, AvgPool) else nodes[index].output.shape[1:]
                pooling = lengths[0] if len({*lengths}) == 1 else 0
            if isinstance(op, WeightedLayer):
                own.setdefault(reader, 1)
            elif isinstance(op, (*PASSED, AvgPool, GlobalAvgPool, Add)):
                own |= {target: size * pooling for target, size in readers[reader].items()}
        readers[index] = dict(sorted(own.items())[:limit])
    return readers
