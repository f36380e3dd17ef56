"""A draft to a network, the text of a ``.net`` file, and weights under the keys of that network."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.exchange.read.absorb_scales import absorb_scales
from sewdsl.exchange.read.draft import (
    OUTPUT,
    Draft,
    DraftLayer,
    ModelImportError,
    ordered_items,
    reordered_items,
)
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Neuron
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.notation.item_text import item_nodes, network_items
from sewdsl.ops.layers.flatten import Flatten
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.source import Source

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImportedNetwork:
    """A model of another library, read.

    Attributes:
        network: The network, compiled from the text.
        tensors: Its weights, by the keys of its module's ``state_dict``.
        text: What a ``.net`` file holds of it.
        notes: What a reader should know of how it was read.
        assumed: What of the header was made up, since nothing says it.
    """

    network: Network
    tensors: dict[str, Tensor]
    text: str
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def build_network(draft: Draft, name: str, settings: Settings, notes: tuple[str, ...] = ()) -> ImportedNetwork:
    """The network of a draft.

    Args:
        draft: What was read; it is changed.
        name: The network's.
        settings: Its header.
        notes: What to say of it.

    Raises:
        ModelImportError: the language has no text for it, for instance since it is not made of rows and joins.
    """
    absorb_scales(draft)
    _one_start(draft)
    _global_pools(draft)
    _without_flattening(draft)
    items, outputs = ordered_items(draft)
    settings = _named_once(items, settings)
    network = _network(items, outputs, name, settings)
    for _ in range(MAX_REORDERINGS):
        order = _text_order(network)
        if order == [*range(len(network))]:
            break
        items, outputs = reordered_items(items, outputs, order)
        network = _network(items, outputs, name, settings)
    text, written = _written(network)
    tensors = {
        f"{node.name}.{key}": value
        for node, item in zip(written.nodes, items, strict=True)
        for key, value in item.tensors.items()
    }
    return ImportedNetwork(written, tensors, text, notes)


def _one_start(draft: Draft) -> None:
    """PLIF neurons that have learned different time constants start, without their weights, from the usual one."""
    learned = [(index, item.op) for index, item in enumerate(draft.items) if isinstance(item.op, PLIF)]
    if len({op.tau for _, op in learned}) > 1:
        for index, op in learned:
            draft.change(index, op=op.replace(tau=PLIF().tau))


def _global_pools(draft: Draft) -> None:
    """An average over whole maps that is flattened, and nothing else, is a global average pooling."""
    readers = draft.readers()
    for index, item in enumerate(draft.items):
        if isinstance(item.op, Flatten):
            (before,) = item.inputs
            pool = draft.items[before]
            whole = isinstance(pool.op, AvgPool) and pool.op.kernel == draft.shape(pool.inputs[0])[1:]
            if whole and pool.op.padding == (0, 0) and readers[before] == [index]:  # type: ignore[attr-defined]
                draft.change(index, op=GlobalAvgPool(), inputs=pool.inputs)


def _without_flattening(draft: Draft) -> None:
    """A linear layer flattens what it reads."""
    readers = draft.readers()
    for index, item in enumerate(draft.items):
        linear = (i != OUTPUT and isinstance(draft.items[i].op, Linear) for i in readers[index])
        if isinstance(item.op, Flatten) and all(linear):
            for reader in readers[index]:
                draft.change(reader, inputs=item.inputs)


MAX_REORDERINGS = 4
"""How often nodes are put in the order of the text that is written of them, until it stays the same."""


def _text_order(network: Network) -> list[int]:
    """The nodes in the order in which the text of a network makes them."""
    if not network.graph.loops and not network.outputs:
        return [*range(len(network))]
    try:
        return [0, *item_nodes(network_items(network))]
    except UnwritableNetwork:
        return [*range(len(network))]  # which is said later


def _named_once(items: list[DraftLayer], settings: Settings) -> Settings:
    """The header's join and neuron: the only ones, if all of them are the same."""
    joins, neurons = ([item.op for item in items if isinstance(item.op, family)] for family in (Join, Activation))
    update = {
        key: ops[0] for key, ops in (("join", joins), ("neuron", neurons)) if ops and ops.count(ops[0]) == len(ops)
    }
    return settings.model_copy(update=update)


def _network(items: list[DraftLayer], outputs: dict[str, int], name: str, settings: Settings) -> Network:
    """Nodes by the names that they have where they come from; types inferred again, since gains have gone."""
    nodes: list[Node] = []
    counts: Counter[str] = Counter()
    for item in items:
        name_there = item.origin.name or item.op.key
        counts[name_there] += 1
        own = name_there if counts[name_there] == 1 else f"{name_there} ({counts[name_there]})"
        nodes.append(item.to_node(own, nodes))
    named = () if "" in outputs else tuple(outputs.items())
    return Network(name, tuple(nodes), max(outputs.values()), settings, outputs=named).validate()


def _written(network: Network) -> tuple[str, Network]:
    """The text of a network, and what it compiles to: the same.

    Raises:
        ModelImportError: there is no such text, or what it says breaks a rule of the language.
    """
    try:
        text = write_net(network)
        written = read(Source(network.name, text)).result()
    except UnwritableNetwork as error:
        message = f"the language has no text for {network.name}: {error}"
        raise ModelImportError(message) from None
    except SewdslError as error:
        said = "; ".join(diagnostic.message for diagnostic in error.diagnostics)
        message = f"{network.name} breaks a rule of the language: {said}"
        raise ModelImportError(message) from None
    same = (_edges(written), written.outputs) == (_edges(network), network.outputs)
    if not same or written.settings != network.settings:
        message = f"{network.name} has no text of its own: what was written reads as another network"
        raise ModelImportError(message)
    return text, written


def _edges(network: Network) -> list[tuple[object, ...]]:
    """What has to be the same of a network and its text."""
    return [(node.op, node.inputs, node.sources) for node in network]


def header_assumptions(network: Network, *, steps: bool, readout: bool) -> tuple[str, ...]:
    """What to say of the header that was made up; a network without neurons is the same at every time-step.

    Args:
        network: As it was read.
        steps: Whether nothing said how many time-steps there are.
        readout: Whether nothing said how they become one output.
    """
    if not any(isinstance(node.op, Neuron) for node in network):
        return ()
    steps_said = "steps is 1, since nothing says how many time-steps there are; --steps says it"
    readout_said = "readout is mean, since nothing says how the time-steps become one output; --readout says it"
    return (steps_said,) * steps + (readout_said,) * readout


_TEXT = re.compile(r"[1-9][0-9]{0,8}(?:x[1-9][0-9]{0,8}x[1-9][0-9]{0,8})?")


def parse_input_size(said: str | tuple[int, ...]) -> tuple[int, ...]:
    """``(C, H, W)`` or ``(F,)``, of ``"2x128x128"``, ``(2, 128, 128)``, ``"784"`` or ``(784,)``.

    Raises:
        ValueError: it is none of these.
    """
    text = said if isinstance(said, str) else "x".join(map(str, said)) if isinstance(said, tuple | list) else ""
    if not _TEXT.fullmatch(text):
        message = f"input takes a shape, '2x128x128' or (2, 128, 128), or a number of features, '784', not {said!r:.40}"
        raise ValueError(message)
    return tuple(map(int, text.split("x")))
