"""From one scheme's keys to another's, by way of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sewdsl.compiler import load
from sewdsl.exchange.errors import NoPlaceError, WeightsError
from sewdsl.exchange.weights.schemes import SCHEMES, Scheme
from sewdsl.exchange.weights.sequence_reader import Place
from sewdsl.exchange.weights.spikingjelly_classes import CLASSES
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.snn.runtime import Runtime

BATCH_COUNTER_KEY = "num_batches_tracked"
"""Of a batch norm: not read in evaluation, and in training only by one without a momentum, as none here."""

SHOWN_KEYS = 8
"""Of weights that nothing here knows: there may be thousands."""


@dataclass(frozen=True)
class TensorKey:
    """A tensor of a network.

    Attributes:
        ours: Its key in our scheme.
        theirs: Its key in another one.
        like: A tensor of its shape and kind, without contents.
        shape: Its shape in the other one, where it may have fewer axes of length 1, or more.
        part: Which part of the other tensor it is, along the first axis.
        parts: How many that has. A tensor without axes is shared.
    """

    node: Node
    ours: str
    theirs: str
    like: Tensor
    shape: tuple[int, ...]
    part: int = 0
    parts: int = 1

    @property
    def whole(self) -> tuple[int, ...]:
        """The shape of the other tensor, with all parts."""
        return (self.shape[0] * self.parts, *self.shape[1:]) if self.shape else ()

    def __str__(self) -> str:
        return self.theirs if self.theirs == self.ours else f"{self.theirs}, which is {self.ours}"

    def misfit(self, value: Tensor) -> str:
        """Return the reason why a value does not fit; empty if it fits."""
        if value.is_sparse or value.is_floating_point() != self.like.is_floating_point():
            return f"{self.theirs} holds {value.dtype}, but {self.node.name} needs plain {self.like.dtype}"
        scalar = not self.like.ndim and value.shape == (1,)  # as for torch: scalars were of this shape once
        if value.shape != self.whole and not scalar:
            shapes = list(value.shape), list(self.whole)
            return f"{self.theirs} is {shapes[0]}, but {self.node.name} ({self.node.op}) needs {shapes[1]}"
        return ""


def keys(network: Network, scheme: Scheme) -> dict[str, tuple[TensorKey, ...]]:
    """Return all tensors of a network, by their keys in a scheme; several where they are parts of one there.

    Raises:
        WeightsError: the scheme has no place for a layer.
    """
    try:
        places = {place.node.name: place for place in scheme.places(network)}
        found: list[TensorKey] = []
        for node in network.nodes[1:]:
            with torch.device("meta"):
                state = node.op.build(Runtime, *network.inputs(node)).state_dict()
            if state and node.name not in places:
                raise NoPlaceError(node, "has no place")
            found += [_tensor_key(places[node.name], last, like) for last, like in state.items()]
    except WeightsError as error:
        raise WeightsError(f"{network.name} has no keys in {scheme.name}: {error}") from None
    known: dict[str, tuple[TensorKey, ...]] = {}
    for key in found:
        known[key.theirs] = (*known.get(key.theirs, ()), key)
    return known


def _tensor_key(place: Place, last: str, like: Tensor) -> TensorKey:
    node, shape = place.node, tuple(like.shape)
    if len(shape) > 1:
        shape = (*shape, *[1] * place.ones) if place.ones >= 0 else shape[: place.ones]
    theirs = f"{place.prefix}.{place.names.get(last, last)}"
    return TensorKey(node, f"{node.name}.{last}", theirs, like, shape, place.part, place.parts)


def _as_spelled(network: Network, scheme: Scheme, tensors: Mapping[str, Tensor]) -> dict[str, tuple[TensorKey, ...]]:
    """Return all tensors of a network by the keys of the library's version that has named the given ones."""
    known = keys(network, scheme)
    if not scheme.omitted or any(scheme.omitted in theirs for theirs in tensors):
        return known
    return {
        theirs.replace(scheme.omitted, ""): tuple(
            replace(key, theirs=key.theirs.replace(scheme.omitted, "")) for key in parts
        )
        for theirs, parts in known.items()
    }


def detect_schemes(tensors: Mapping[str, Tensor], network: Network) -> tuple[Scheme, ...]:
    """Return the schemes that know the most keys; several where they name this network's weights alike.

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
        more = f" and {len(tensors) - SHOWN_KEYS:,} more" if len(tensors) > SHOWN_KEYS else ""
        shown = ", ".join([*tensors][:SHOWN_KEYS]) + more or "none at all"
        hint = suggest_network(tensors, network)
        raise WeightsError(
            "\n  ".join(
                [f"no scheme names weights of {network.name} like this: {shown}", *([hint] if hint else refusals)]
            )
        )
    return tuple(SCHEMES[name] for name, count in known.items() if count == most)


def to_node_paths(
    tensors: Mapping[str, Tensor], network: Network, scheme: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights by our keys, every number as it is, and what there is to say about them.

    Args:
        tensors: The weights, by their keys in a scheme.

    Raises:
        WeightsError: the scheme has no place for a layer, or keys or shapes do not fit; all of them are listed.
    """
    known = _as_spelled(network, scheme, tensors)
    missing = [key for theirs, parts in known.items() if theirs not in tensors for key in parts]
    uncounted = [key for key in missing if key.ours.endswith(f".{BATCH_COUNTER_KEY}")]
    wrong = {
        "missing": [str(key) for key in missing if key not in uncounted],
        "not of this network": [theirs for theirs in tensors if theirs not in known],
        "of another shape or kind": [
            *filter(None, (known[key][0].misfit(x) for key, x in tensors.items() if key in known))
        ],
    }
    if any(wrong.values()):
        raise WeightsError(_misfits(network, scheme, known, wrong, tensors))
    zeros = {key.theirs: torch.zeros_like(key.like, device="cpu") for key in uncounted}
    given = {**tensors, **zeros}
    found: dict[str, Tensor] = {}
    for theirs, parts in known.items():
        values = given[theirs].chunk(len(parts)) if parts[0].shape else [given[theirs]] * len(parts)
        found |= {key.ours: values[key.part].reshape(key.like.shape) for key in parts}
    return found, [f"{BATCH_COUNTER_KEY} was missing and is 0: {', '.join(zeros)}"] if zeros else []


def _misfits(
    network: Network,
    scheme: Scheme,
    known: Mapping[str, tuple[TensorKey, ...]],
    wrong: Mapping[str, list[str]],
    tensors: Mapping[str, Tensor],
) -> str:
    """Return the message about keys and shapes that do not fit, with counts and hints first."""
    counts = ", ".join(f"{len(items):,} {what}" for what, items in wrong.items() if items)
    lines = [
        *(f"missing: {item}" for item in wrong["missing"]),
        *(f"not of this network: {item}" for item in wrong["not of this network"]),
        *wrong["of another shape or kind"],
    ]
    first = f"the weights do not fit {network.name} by the keys of {scheme.name} ({counts}):"
    hints = filter(None, [_suggest_neurons(known, wrong), suggest_network(tensors, network)])
    return "\n  ".join([first, *hints, *lines])


def _suggest_neurons(known: Mapping[str, tuple[TensorKey, ...]], wrong: Mapping[str, list[str]]) -> str:
    """Return a hint for weights of neurons that learn in a network of others, or the other way round."""
    learned = tuple(f".{name}" for name in PLIF().learnable())
    ours = [str(key) for theirs, parts in known.items() if theirs.endswith(learned) for key in parts]
    if not ours and any(theirs.endswith(learned) for theirs in wrong["not of this network"]):
        return f"keys that end with {learned[0]} are of PLIF neurons: --neuron PLIF, where the network says SN"
    if ours and {*ours} <= {*wrong["missing"]}:
        return f"no key ends with {learned[0]}, as those of PLIF neurons do: --neuron IF, or whichever these had"
    return ""


def suggest_network(tensors: Mapping[str, Tensor], network: Network) -> str:
    """Return a hint at the network of weights: another class of SpikingJelly, or another network of that class."""
    known = next((known for known in reversed(CLASSES) if {*known.marks} <= tensors.keys()), None)
    if known is None:
        return ""
    whose = f"these are keys of SpikingJelly's {known.name}"
    shapes = {key: tuple(value.shape) for key, value in tensors.items() if not key.endswith(BATCH_COUNTER_KEY)}
    for name in known.networks:
        if load(name) != network and shapes == {
            theirs: parts[0].whole
            for theirs, parts in keys(load(name), SCHEMES["spikingjelly"]).items()
            if not theirs.endswith(BATCH_COUNTER_KEY)
        }:
            return f"{whose}, and they fit another network: --net {name}"
    return "" if known.builds(network) else f"{whose}, as those of {', '.join(known.networks)} are"


def to_scheme_keys(tensors: Mapping[str, Tensor], network: Network, scheme: Scheme) -> dict[str, Tensor]:
    """Return weights by a scheme's keys, stored row by row, as safetensors wants them.

    Args:
        tensors: All weights of the network, by our keys.

    Raises:
        WeightsError: the scheme has no place for a layer.
    """
    found = {}
    for theirs, parts in keys(network, scheme).items():
        values = [tensors[key.ours] for key in parts]
        first = parts[0].like
        if first.ndim:
            value = torch.cat([x.reshape(key.shape) for key, x in zip(parts, values, strict=True)])
        elif any(not torch.equal(x, values[0]) for x in values[1:]):
            which = " and ".join(f"{key.ours}, {value.item():g}" for key, value in zip(parts, values, strict=True))
            raise WeightsError(f"{theirs} is one number in {scheme.name}, and here several: {which}")
        else:
            value = values[0].reshape(scheme.scalar) if first.is_floating_point() else values[0]
        found[theirs] = value.contiguous()
    return found


def convert(
    tensors: Mapping[str, Tensor], network: Network, source: Scheme, target: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights by another scheme's keys, every number as it is, and what there is to say about them.

    Raises:
        WeightsError: one of the schemes has no place for a layer, or the weights do not fit the network.
    """
    ours, notes = to_node_paths(tensors, network, source)
    return to_scheme_keys(ours, network, target), notes
