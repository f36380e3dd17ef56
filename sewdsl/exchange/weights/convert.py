"""From one scheme's keys to another's, by way of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sewdsl.exchange.errors import NoPlaceError, WeightsError
from sewdsl.exchange.weights.schemes import SCHEMES, Scheme
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ops.neurons.parametric_lif import PLIF
from sewdsl.snn.runtime import Runtime

BATCH_COUNTER_KEY = "num_batches_tracked"
"""Of a batch norm: not read in evaluation, and in training only by one without a momentum, as none here."""


@dataclass(frozen=True)
class TensorKey:
    """A tensor of a network.

    Attributes:
        node: Whose it is.
        ours: Its key in our scheme.
        theirs: Its key in another one.
        like: A tensor of its shape and kind, without contents.
    """

    node: Node
    ours: str
    theirs: str
    like: Tensor

    def __str__(self) -> str:
        return self.theirs if self.theirs == self.ours else f"{self.theirs}, which is {self.ours}"

    def misfit(self, value: Tensor) -> str:
        """What is wrong with a value; empty: nothing."""
        if value.is_sparse or value.is_floating_point() != self.like.is_floating_point():
            return f"{self.theirs} holds {value.dtype}, but {self.node.name} needs plain {self.like.dtype}"
        scalar = not self.like.ndim and value.shape == (1,)  # as for torch: scalars were of this shape once
        if value.shape != self.like.shape and not scalar:
            shapes = list(value.shape), list(self.like.shape)
            return f"{self.theirs} is {shapes[0]}, but {self.node.name} ({self.node.op}) needs {shapes[1]}"
        return ""


def keys(network: Network, scheme: Scheme) -> dict[str, TensorKey]:
    """All tensors of a network, by their keys in a scheme.

    Raises:
        WeightsError: the scheme has no place for a layer.
    """
    try:
        places = {node.name: place for node, place in scheme.places(network)}
        found = [
            TensorKey(node, f"{node.name}.{last}", f"{_place(places, node)}.{last}", like)
            for node in network.nodes[1:]
            for last, like in _state(network, node).items()
        ]
    except WeightsError as error:
        message = f"{network.name} has no keys in {scheme.name}: {error}"
        raise WeightsError(message) from None
    return {key.theirs: key for key in found}


def _as_spelled(network: Network, scheme: Scheme, tensors: Mapping[str, Tensor]) -> dict[str, TensorKey]:
    """All tensors of a network by the keys of the library's version that has named the given ones."""
    known = keys(network, scheme)
    if not scheme.omitted or any(scheme.omitted in theirs for theirs in tensors):
        return known
    shorter = (replace(key, theirs=key.theirs.replace(scheme.omitted, "")) for key in known.values())
    return {key.theirs: key for key in shorter}


def _state(network: Network, node: Node) -> dict[str, Tensor]:
    """The tensors of a layer, without contents."""
    with torch.device("meta"):
        return node.op.build(Runtime, *network.inputs(node)).state_dict()


def _place(places: Mapping[str, str], node: Node) -> str:
    if node.name not in places:
        raise NoPlaceError(node, "has no place")
    return places[node.name]


def detect_schemes(tensors: Mapping[str, Tensor], network: Network) -> tuple[Scheme, ...]:
    """The schemes that know the most keys; several where they name this network's weights alike.

    Raises:
        WeightsError: no scheme knows any.
    """
    known: dict[str, int] = {}
    refusals = []
    for name, scheme in SCHEMES.items():
        try:
            known[name] = len(tensors.keys() & _as_spelled(network, scheme, tensors).keys())
        except WeightsError as error:
            refusals.append(str(error))
    most = max(known.values())
    if not most:
        shown = ", ".join(tensors) or "none at all"
        message = "\n  ".join([f"no scheme names weights of {network.name} like this: {shown}", *refusals])
        raise WeightsError(message)
    return tuple(SCHEMES[name] for name, count in known.items() if count == most)


def to_node_paths(
    tensors: Mapping[str, Tensor], network: Network, scheme: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights by our keys, every number as it is, and what there is to say about them.

    Args:
        tensors: The weights, by their keys in a scheme.
        network: What they are for.
        scheme: Which scheme.

    Raises:
        WeightsError: the scheme has no place for a layer, or keys or shapes do not fit; all of them are listed.
    """
    known = _as_spelled(network, scheme, tensors)
    missing = [key for theirs, key in known.items() if theirs not in tensors]
    uncounted = [key for key in missing if key.ours.endswith(f".{BATCH_COUNTER_KEY}")]
    wrong = {
        "missing": [str(key) for key in missing if key not in uncounted],
        "not of this network": [theirs for theirs in tensors if theirs not in known],
        "of another shape or kind": [
            *filter(None, (known[key].misfit(x) for key, x in tensors.items() if key in known))
        ],
    }
    if any(wrong.values()):
        raise WeightsError(_misfits(network, scheme, known, wrong))
    zeros = {key.theirs: torch.zeros_like(key.like, device="cpu") for key in uncounted}
    given = {**tensors, **zeros}
    found = {key.ours: given[theirs].reshape(key.like.shape) for theirs, key in known.items()}
    return found, [f"{BATCH_COUNTER_KEY} was missing and is 0: {', '.join(zeros)}"] if zeros else []


def _misfits(network: Network, scheme: Scheme, known: Mapping[str, TensorKey], wrong: Mapping[str, list[str]]) -> str:
    """How much does not fit, and then all of it."""
    counts = ", ".join(f"{len(items):,} {what}" for what, items in wrong.items() if items)
    lines = [
        *(f"missing: {item}" for item in wrong["missing"]),
        *(f"not of this network: {item}" for item in wrong["not of this network"]),
        *wrong["of another shape or kind"],
    ]
    first = f"the weights do not fit {network.name} by the keys of {scheme.name} ({counts}):"
    return "\n  ".join([first, *lines, *filter(None, [_suggest_neurons(known, wrong)])])


def _suggest_neurons(known: Mapping[str, TensorKey], wrong: Mapping[str, list[str]]) -> str:
    """What to do where the weights are of neurons that learn and the network's do not, or the other way round."""
    learned = tuple(f".{name}" for name in PLIF().learnable())
    ours = [str(key) for theirs, key in known.items() if theirs.endswith(learned)]
    if not ours and any(theirs.endswith(learned) for theirs in wrong["not of this network"]):
        return f"keys that end with {learned[0]} are of PLIF neurons: --neuron PLIF, where the network says SN"
    if ours and {*ours} <= {*wrong["missing"]}:
        return f"no key ends with {learned[0]}, as those of PLIF neurons do: --neuron IF, or whichever these had"
    return ""


def to_scheme_keys(tensors: Mapping[str, Tensor], network: Network, scheme: Scheme) -> dict[str, Tensor]:
    """Weights by a scheme's keys, stored row by row, as safetensors wants them.

    Args:
        tensors: All weights of the network, by our keys.
        network: Which network.
        scheme: Which scheme.

    Raises:
        WeightsError: the scheme has no place for a layer.
    """
    found = {}
    for theirs, key in keys(network, scheme).items():
        value = tensors[key.ours]
        if not key.like.ndim and key.like.is_floating_point():
            value = value.reshape(scheme.scalar)
        found[theirs] = value.contiguous()
    return found


def convert(
    tensors: Mapping[str, Tensor], network: Network, source: Scheme, target: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights by another scheme's keys, every number as it is, and what there is to say about them.

    Raises:
        WeightsError: one of the schemes has no place for a layer, or the weights do not fit the network.
    """
    ours, notes = to_node_paths(tensors, network, source)
    return to_scheme_keys(ours, network, target), notes
