"""Conversion of a draft to a network, its ``.net`` text and its weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.exchange.read.draft import OUTPUT, Draft, DraftLayer, ModelImportError, ScaleOp, live_items
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Neuron
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass
from sewdsl.notation import UnwritableNetwork, write_net
from sewdsl.notation.part_text import text_order
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
"""Maximum features of a linear layer that represents a scale with one factor per feature."""


@dataclass(frozen=True)
class ImportedNetwork:
    """Network imported from another library."""

    network: Network
    tensors: dict[str, Tensor]
    """Weights with the keys of the ``state_dict`` of the compiled network."""
    text: str
    """The network as a ``.net`` file."""
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    """One sentence for each header setting that the model does not specify."""


def build_network(draft: Draft, name: str, settings: Settings, notes: tuple[str, ...] = ()) -> ImportedNetwork:
    """Convert a draft to a network.

    Args:
        draft: Layers of the model. The draft is modified.

    Raises:
        ModelImportError: If a ``.net`` file cannot express the network.
    """
    _absorb_scales(draft)
    _unify_initial_tau(draft)
    _use_global_pools(draft)
    _remove_flattens(draft)
    items, outputs = live_items(draft)
    settings = _with_header_ops(items, settings)
    network = _make_network(items, outputs, name, settings)
    # The text of a network determines the order of its nodes, and a new order can change the text.
    for _ in range(MAX_REORDERINGS):
        order = _text_order(network)
        if order == [*range(len(network))]:
            break
        new_index = {old: new for new, old in enumerate(order)}
        items = [items[old].moved(new_index) for old in order]
        outputs = {name: new_index[index] for name, index in outputs.items()}
        network = _make_network(items, outputs, name, settings)
    text, written = _write_and_reparse(network)
    # Both sequences have the same order here, so that the weights get the names of the nodes in the text.
    tensors = {
        f"{node.name}.{key}": value
        for node, item in zip(written.nodes, items, strict=True)
        if item.weights is None
        for key, value in item.tensors.items()
    }
    return ImportedNetwork(written, tensors, text, notes)


def _unify_initial_tau(draft: Draft) -> None:
    """Set the initial tau of all PLIF neurons to the default, if their learned values differ."""
    neurons = [(index, item.op) for index, item in enumerate(draft.items) if isinstance(item.op, PLIF)]
    if len({op.tau for _, op in neurons}) > 1:
        # The weights hold the learned values, so that one neuron in the header suffices.
        for index, op in neurons:
            draft.change(index, op=op.replace(tau=PLIF().tau))


def _use_global_pools(draft: Draft) -> None:
    """Replace average pooling of the whole feature map, followed by Flatten, with global average pooling."""
    readers = draft.readers()
    for index, item in enumerate(draft.items):
        if isinstance(item.op, Flatten):
            (before,) = item.inputs
            pool = draft.items[before]
            is_global = isinstance(pool.op, AvgPool) and pool.op.kernel == draft.shape(pool.inputs[0])[1:]
            is_global = is_global and pool.path == item.path
            if is_global and pool.op.padding == (0, 0) and readers[before] == [index]:  # type: ignore[attr-defined]
                draft.change(index, op=GlobalAvgPool(), inputs=pool.inputs)


def _remove_flattens(draft: Draft) -> None:
    """Remove every Flatten whose readers are all linear layers."""
    readers = draft.readers()
    for index, item in enumerate(draft.items):
        # A linear layer flattens its own input.
        reads_linear = (
            i != OUTPUT and isinstance(draft.items[i].op, Linear) and draft.items[i].path == item.path
            for i in readers[index]
        )
        if isinstance(item.op, Flatten) and all(reads_linear):
            for reader in readers[index]:
                draft.change(reader, inputs=item.inputs)


MAX_REORDERINGS = 4
"""Maximum number of passes that sort the nodes by their order in the text."""


def _text_order(network: Network) -> list[int]:
    try:
        return [*range(network.first_layer), *text_order(network)]
    except UnwritableNetwork:
        return [*range(len(network))]  # _write_and_reparse() reports the error.


def _with_header_ops(items: list[DraftLayer], settings: Settings) -> Settings:
    """Return settings with the join and the neuron of the network, if it uses only one of each."""
    joins, neurons = ([item.op for item in items if isinstance(item.op, family)] for family in (Join, Activation))
    header_ops = {
        key: ops[0] for key, ops in (("join", joins), ("neuron", neurons)) if ops and ops.count(ops[0]) == len(ops)
    }
    return settings.model_copy(update=header_ops)


def _make_network(items: list[DraftLayer], outputs: dict[str, int], name: str, settings: Settings) -> Network:
    """Build a network with the node names of the source model. Number duplicate names from 2."""
    nodes: list[Node] = []
    counts: Counter[str] = Counter()
    for item in items:
        base_name = item.origin.name or item.op.key
        counts[base_name] += 1
        unique_name = base_name if counts[base_name] == 1 else f"{base_name} ({counts[base_name]})"
        # Infer the signals again: absorbed scales are gone.
        nodes.append(item.to_node(unique_name, nodes))
    named_outputs = () if "" in outputs else tuple(outputs.items())
    network = Network(name, tuple(nodes), max(outputs.values()), settings, outputs=named_outputs)
    try:
        return network.validate()
    except ValueError as error:  # E.g. a part that is called with sizes that its layers do not share.
        raise ModelImportError(str(error)) from None


def _write_and_reparse(network: Network) -> tuple[str, Network]:
    """Return the text of a network, and the network that the text compiles to."""
    try:
        text = write_net(network)
        written = read(Source(network.name, text)).result()
    except UnwritableNetwork as error:
        raise ModelImportError(f"cannot write {network.name} as a .net file: {error}") from None
    except SewdslError as error:
        messages = "; ".join(diagnostic.message for diagnostic in error.diagnostics)
        raise ModelImportError(f"{network.name} is not a valid network: {messages}") from None
    # Guard against text that is valid but describes another network.
    is_same = (_edges(written), written.outputs) == (_edges(network), network.outputs)
    if not is_same or written.settings != network.settings:
        raise ModelImportError(f"cannot write {network.name} as a .net file: its text compiles to another network")
    return text, written


def _edges(network: Network) -> list[tuple[object, ...]]:
    """Return the operations and edges of a network, without names."""
    return [(node.op, node.inputs, node.sources, node.weights) for node in network]


def _absorb_scales(draft: Draft) -> None:
    """Remove all ``ScaleOp`` from a draft.

    A factor is multiplied into the weights of preceding layers, across linear operations, if only the scale reads them.
    Otherwise the scale becomes a layer: ``SCALE`` for one positive factor, else a 1x1 depthwise convolution or a
    diagonal linear layer.

    Raises:
        UnsupportedPart: If the linear layer would have too many features.
    """
    for index, item in enumerate(draft.items):
        if not isinstance(item.op, ScaleOp):
            continue
        (source,), factor, readers = item.inputs, item.tensors["factor"].double().flatten(), draft.readers()
        absorbing = _scaled_items(draft, source, factor, readers) if not item.path else None
        if absorbing is None:
            _replace_by_layer(draft, index, factor)
            continue
        for target in absorbing:
            _multiply(draft, target, factor)
        draft.change(index, inputs=())  # Disconnected: live_items() drops it.
        draft.outputs = {name: source if i == index else i for name, i in draft.outputs.items()}
        for reader in set(readers[index]) - {OUTPUT}:
            sources = {i: source if i == index else i for i in draft.items[reader].sources}
            draft.items[reader] = draft.items[reader].moved(sources)


def _scaled_items(draft: Draft, index: int, factor: Tensor, readers: Sequence[Sequence[int]]) -> list[int] | None:
    """Return the layers that can absorb a factor on the output of an item, or None."""
    item = draft.items[index]
    # Other readers, and other calls of a part, must see the unscaled value.
    if len(readers[index]) != 1 or item.path:
        return None
    if isinstance(item.op, Conv | Linear | BatchNorm):
        return [index]
    if not isinstance(item.op, AvgPool | GlobalAvgPool | Flatten | Dropout | Add):
        return None
    if factor.numel() > 1 and draft.shape(item.inputs[0])[0] != item.output.channels:
        return None
    absorbing: list[int] = []
    for source in item.inputs:
        upstream = _scaled_items(draft, source, factor, readers)
        if upstream is None:
            return None
        absorbing += upstream
    return absorbing


def _multiply(draft: Draft, index: int, factor: Tensor) -> None:
    """Multiply weights and biases by the factor of their channel, computed in float64."""
    tensors = dict(draft.items[index].tensors)
    for name in {"weight", "bias"} & tensors.keys():
        value = tensors[name]
        tensors[name] = (value.double() * factor.reshape(-1, *[1] * (value.ndim - 1))).to(value.dtype)
    draft.change(index, tensors=tensors)


def _shortest(value: float, dtype: torch.dtype) -> float:
    """Return the shortest decimal that rounds to the same value in a dtype, e.g. 0.9 for 0.8999999762 in float32."""
    import torch  # Imported here because parse_input_size() does not need it.

    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 17))
    exact = torch.tensor(value, dtype=dtype)
    return next(
        (candidate for candidate in candidates if torch.equal(torch.tensor(candidate, dtype=dtype), exact)), value
    )


def _replace_by_layer(draft: Draft, index: int, factor: Tensor) -> None:
    item = draft.items[index]
    channels, dtype = item.output.channels, item.tensors["factor"].dtype
    factors = {*factor.tolist()}
    if len(factors) == 1 and min(factors) > 0:
        draft.change(index, op=Scale(value=_shortest(factors.pop(), dtype)), tensors={})
        return
    weights = factor.expand(channels).to(dtype)
    if len(item.output.shape) > 1:
        # A 1x1 depthwise convolution multiplies each channel by its own factor.
        op = Conv(channels=channels, kernel=(1, 1), padding=(0, 0), groups=channels, bias=False)
        draft.change(index, op=op, tensors={"weight": weights.reshape(-1, 1, 1, 1).clone()})
    elif channels <= MAX_SCALE_FEATURES:
        draft.change(index, op=Linear(features=channels, bias=False), tensors={"weight": weights.diag()})
    else:
        raise item.origin.refusal(
            f"scales {channels:,} features by individual factors, which no layer before it can absorb; "
            f"the limit is {MAX_SCALE_FEATURES:,} features"
        )


def header_assumptions(network: Network, *, steps: bool, readout: bool) -> tuple[str, ...]:
    """Return notes on the header settings that the model does not specify.

    Args:
        steps: Whether the number of time-steps is unspecified.
        readout: Whether the readout is unspecified.
    """
    # Without neurons, the output is the same for all values of these settings.
    if not any(isinstance(node.op, Neuron) for node in network):
        return ()
    steps_note = "steps is 1: the model does not specify the number of time-steps; set it with --steps"
    readout_note = "readout is mean: the model does not specify a readout over time; set it with --readout"
    return (steps_note,) * steps + (readout_note,) * readout


_TEXT = re.compile(r"[1-9][0-9]{0,8}(?:x[1-9][0-9]{0,8}){0,2}")
InputSize = tuple[int, ...] | dict[str, tuple[int, ...]]
"""Shape of one time-step of one sample, or of each input by its name."""


def parse_input_sizes(value: str | tuple[int, ...] | Mapping[str, str | tuple[int, ...]]) -> InputSize:
    """Parse an input size, or the sizes of several inputs: ``"left=1x28x28,right=784"`` or a mapping.

    Raises:
        ValueError: If the value has another form.
    """
    if isinstance(value, str) and "=" in value:
        pairs = [pair.partition("=")[::2] for pair in value.split(",")]
        named = {name.strip(): size.strip() for name, size in pairs}
        value = named if len(named) == len(pairs) and all(named) else value
    if isinstance(value, Mapping):
        return {name: parse_input_size(size) for name, size in value.items()}
    return parse_input_size(value)


def parse_input_size(value: str | tuple[int, ...]) -> tuple[int, ...]:
    """Parse an input size: ``"2x128x128"``, ``(2, 128, 128)``, ``"2x700"``, ``"784"`` or ``(784,)``.

    Raises:
        ValueError: If the value has another form.
    """
    text = value if isinstance(value, str) else "x".join(map(str, value)) if isinstance(value, tuple | list) else ""
    if not _TEXT.fullmatch(text):
        message = f"input must be a shape, '2x128x128', (2, 128, 128), '2x700' or '784'; got {value!r:.40}"
        raise ValueError(message)
    return tuple(map(int, text.split("x")))
