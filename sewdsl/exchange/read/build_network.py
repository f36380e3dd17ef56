"""A draft to a network, the text of a ``.net`` file, and weights under the keys of that network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.exchange.read.draft import (
    OUTPUT,
    Draft,
    DraftLayer,
    ModelImportError,
    ScaleOp,
    ordered_items,
)
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Neuron
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.notation.item_text import item_nodes, network_items
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool
from sewdsl.ops.layers.scaling import Dropout, Scale
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.source import Source

if TYPE_CHECKING:
    import torch
    from torch import Tensor


MAX_SCALE_FEATURES = 4096
"""Features of a linear layer that does nothing but multiply each by a number of its own."""


@dataclass(frozen=True)
class ImportedNetwork:
    """A model of another library, read.

    Attributes:
        tensors: Its weights, by the keys of its module's ``state_dict``.
        assumed: What of the header was made up, since nothing says it.
    """

    network: Network
    tensors: dict[str, Tensor]
    text: str
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def build_network(draft: Draft, name: str, settings: Settings, notes: tuple[str, ...] = ()) -> ImportedNetwork:
    """Return the network of a draft.

    Args:
        draft: What was read; it is changed.

    Raises:
        ModelImportError: the language has no text for it, for instance since it is not made of rows and joins.
    """
    _absorb_scales(draft)
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
        places = {old: new for new, old in enumerate(order)}
        items, outputs = (
            [items[old].moved(places) for old in order],
            {name: places[index] for name, index in outputs.items()},
        )
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
    """Return the nodes in the order in which the text of a network makes them."""
    if not network.graph.loops and not network.outputs:
        return [*range(len(network))]
    try:
        return [0, *item_nodes(network_items(network))]
    except UnwritableNetwork:
        return [*range(len(network))]  # which is said later


def _named_once(items: list[DraftLayer], settings: Settings) -> Settings:
    """Return the header's join and neuron: the only ones, if all of them are the same."""
    joins, neurons = ([item.op for item in items if isinstance(item.op, family)] for family in (Join, Activation))
    update = {
        key: ops[0] for key, ops in (("join", joins), ("neuron", neurons)) if ops and ops.count(ops[0]) == len(ops)
    }
    return settings.model_copy(update=update)


def _network(items: list[DraftLayer], outputs: dict[str, int], name: str, settings: Settings) -> Network:
    """Return nodes by the names that they have where they come from; types inferred again, since gains have gone."""
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
    """Return the text of a network, and what it compiles to: the same."""
    try:
        text = write_net(network)
        written = read(Source(network.name, text)).result()
    except UnwritableNetwork as error:
        raise ModelImportError(f"the language has no text for {network.name}: {error}") from None
    except SewdslError as error:
        said = "; ".join(diagnostic.message for diagnostic in error.diagnostics)
        raise ModelImportError(f"{network.name} breaks a rule of the language: {said}") from None
    same = (_edges(written), written.outputs) == (_edges(network), network.outputs)
    if not same or written.settings != network.settings:
        raise ModelImportError(f"{network.name} has no text of its own: what was written reads as another network")
    return text, written


def _edges(network: Network) -> list[tuple[object, ...]]:
    """Return the parts of a network that its text must have too."""
    return [(node.op, node.inputs, node.sources) for node in network]


def _absorb_scales(draft: Draft) -> None:
    """Take the gains out of a draft.

    A factor goes into the weights of the layers before it, through what is linear, if nothing else reads them. Else it
    becomes a layer: of one number above 0 a ``SCALE``, of others a convolution of one weight per channel, or a linear
    layer.

    Raises:
        UnsupportedPart: it would be a linear layer of too many features.
    """
    for index, item in enumerate(draft.items):
        if not isinstance(item.op, ScaleOp):
            continue
        (source,), factor, readers = item.inputs, item.tensors["factor"].double().flatten(), draft.readers()
        places = _scaled_items(draft, source, factor, readers)
        if places is None:
            _as_layer(draft, index, factor)
            continue
        for place in places:
            _multiply(draft, place, factor)
        draft.change(index, inputs=())  # it reads nothing any more
        draft.outputs = {name: source if i == index else i for name, i in draft.outputs.items()}
        for reader in set(readers[index]) - {OUTPUT}:
            draft.reconnect(reader, index, source)


def _scaled_items(draft: Draft, index: int, factor: Tensor, readers: Sequence[Sequence[int]]) -> list[int] | None:
    """Return the items whose weights take the factor of what an item gives; None: there are none."""
    item = draft.items[index]
    if len(readers[index]) != 1:
        return None
    if isinstance(item.op, Conv | Linear | BatchNorm):
        return [index]
    if not isinstance(item.op, AvgPool | GlobalAvgPool | Flatten | Dropout | Add):
        return None
    if factor.numel() > 1 and draft.shape(item.inputs[0])[0] != item.output.channels:
        return None
    places: list[int] = []
    for source in item.inputs:
        found = _scaled_items(draft, source, factor, readers)
        if found is None:
            return None
        places += found
    return places


def _multiply(draft: Draft, index: int, factor: Tensor) -> None:
    """Multiply weights and biases, each by the factor of its channel, in its own dtype."""
    tensors = dict(draft.items[index].tensors)
    for name in {"weight", "bias"} & tensors.keys():
        value = tensors[name]
        tensors[name] = (value.double() * factor.reshape(-1, *[1] * (value.ndim - 1))).to(value.dtype)
    draft.change(index, tensors=tensors)


def _shortest(number: float, dtype: torch.dtype) -> float:
    """Return the number of fewest digits that is the same in a dtype: 0.9, of the 0.8999999762 that float32 has."""
    import torch  # whoever asks only for the size of an input needs none

    tried = (float(f"{number:.{digits}g}") for digits in range(1, 17))
    wanted = torch.tensor(number, dtype=dtype)
    return next((near for near in tried if torch.equal(torch.tensor(near, dtype=dtype), wanted)), number)


def _as_layer(draft: Draft, index: int, factor: Tensor) -> None:
    item = draft.items[index]
    channels, dtype = item.output.channels, item.tensors["factor"].dtype
    numbers = {*factor.tolist()}
    if len(numbers) == 1 and min(numbers) > 0:
        draft.change(index, op=Scale(value=_shortest(numbers.pop(), dtype)), tensors={})
        return
    each = factor.expand(channels).to(dtype)
    if len(item.output.shape) > 1:
        op = Conv(channels=channels, kernel=(1, 1), padding=(0, 0), groups=channels, bias=False)
        draft.change(index, op=op, tensors={"weight": each.reshape(-1, 1, 1, 1).clone()})
    elif channels <= MAX_SCALE_FEATURES:
        draft.change(index, op=Linear(features=channels, bias=False), tensors={"weight": each.diag()})
    else:
        raise item.origin.refusal(f"multiplies {channels} features by numbers that no layer before it can take")


def header_assumptions(network: Network, *, steps: bool, readout: bool) -> tuple[str, ...]:
    """Return what to say of the header that was made up; a network without neurons is the same at every time-step.

    Args:
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
