"""Conversion of weights between key schemes, via the node paths of sewdsl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sewdsl.compiler import load
from sewdsl.exchange.errors import MissingKeyError, WeightsError
from sewdsl.exchange.weights.schemes import SCHEMES, Scheme
from sewdsl.exchange.weights.sequence_reader import LayerKeys
from sewdsl.exchange.weights.spikingjelly_classes import CLASSES
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.snn.runtime import Runtime

BATCH_COUNTER_KEY = "num_batches_tracked"
"""Suffix of the batch counter of a batch norm, which only training with ``momentum=None`` reads."""

SHOWN_KEYS = 8
"""Maximum number of unknown keys in a message."""


@dataclass(frozen=True)
class TensorKey:
    """Key of a tensor in a scheme."""

    node: Node
    node_key: str
    """Key in sewdsl's own scheme."""
    scheme_key: str
    like: Tensor
    """Tensor of the same shape and dtype in sewdsl, without data."""
    shape: tuple[int, ...]
    """Shape in the other scheme, which may have more or fewer axes of length 1."""
    part: int = 0
    """Index of the part in the other tensor, along the first axis."""
    parts: int = 1
    """Number of parts of the other tensor. Parts without axes share one value."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape of the other tensor with all parts."""
        return (self.shape[0] * self.parts, *self.shape[1:]) if self.shape else ()

    def __str__(self) -> str:
        return self.scheme_key if self.scheme_key == self.node_key else f"{self.scheme_key} ({self.node_key} in sewdsl)"

    def misfit(self, value: Tensor) -> str:
        """Return the reason why a value does not fit, or an empty text if it fits."""
        if value.is_sparse or value.is_floating_point() != self.like.is_floating_point():
            return f"{self.scheme_key} has dtype {value.dtype}, but {self.node.name} requires dense {self.like.dtype}"
        # Early versions of PyTorch stored scalars with shape (1,); load_state_dict accepts them too.
        is_scalar = not self.like.ndim and value.shape == (1,)
        if value.shape != self.full_shape and not is_scalar:
            shapes = list(value.shape), list(self.full_shape)
            return (
                f"{self.scheme_key} has shape {shapes[0]}, but {self.node.name} ({self.node.op}) requires {shapes[1]}"
            )
        return ""


def keys(network: Network, scheme: Scheme) -> dict[str, tuple[TensorKey, ...]]:
    """Return all tensors of a network by their keys in a scheme.

    There are several keys if they are parts of one tensor.

    Raises:
        WeightsError: If the scheme has no key for a layer.
    """
    try:
        layer_keys = {entry.node.name: entry for entry in scheme.layer_keys(network)}
        tensor_keys: list[TensorKey] = []
        for node in network.layers:
            if node.weights is not None:
                continue
            # The meta device: only names, shapes and dtypes are needed.
            with torch.device("meta"):
                state = network.op_with_init(node).build(Runtime, *network.inputs(node)).state_dict()
            if state and node.name not in layer_keys:
                raise MissingKeyError(node, "has no key")
            tensor_keys += [_tensor_key(layer_keys[node.name], suffix, like) for suffix, like in state.items()]
    except WeightsError as error:
        raise WeightsError(f"scheme {scheme.name} does not cover {network.name}: {error}") from None
    grouped: dict[str, tuple[TensorKey, ...]] = {}
    for key in tensor_keys:
        grouped[key.scheme_key] = (*grouped.get(key.scheme_key, ()), key)
    return grouped


def _tensor_key(entry: LayerKeys, suffix: str, like: Tensor) -> TensorKey:
    """Return the key of a tensor. ``suffix`` is the end of its sewdsl key."""
    node, shape = entry.node, tuple(like.shape)
    if len(shape) > 1:
        shape = (*shape, *[1] * entry.ones) if entry.ones >= 0 else shape[: entry.ones]
    scheme_key = f"{entry.prefix}.{entry.names.get(suffix, suffix)}"
    return TensorKey(node, f"{node.name}.{suffix}", scheme_key, like, shape, entry.part, entry.parts)


def _as_spelled(network: Network, scheme: Scheme, tensors: Mapping[str, Tensor]) -> dict[str, tuple[TensorKey, ...]]:
    """Return all tensors of a network by key, in the spelling of the library version that wrote ``tensors``."""
    known_keys = keys(network, scheme)
    # The keys show which version of the library wrote the file.
    if not scheme.omitted or any(scheme.omitted in scheme_key for scheme_key in tensors):
        return known_keys
    return {
        scheme_key.replace(scheme.omitted, ""): tuple(
            replace(key, scheme_key=key.scheme_key.replace(scheme.omitted, "")) for key in parts
        )
        for scheme_key, parts in known_keys.items()
    }


def detect_schemes(tensors: Mapping[str, Tensor], network: Network) -> tuple[Scheme, ...]:
    """Return the schemes that know the most keys.

    Several schemes may use the same keys for a network.

    Raises:
        WeightsError: If no scheme knows any key.
    """
    match_counts: dict[str, int] = {}
    refusals = []
    for name, scheme in SCHEMES.items():
        try:
            match_counts[name] = len(tensors.keys() & _as_spelled(network, scheme, tensors).keys())
        except WeightsError as error:
            refusals.append(str(error))
    # The node path scheme covers every network, so that there is at least one count.
    best = max(match_counts.values())
    if not best:
        rest = f" and {len(tensors) - SHOWN_KEYS:,} more" if len(tensors) > SHOWN_KEYS else ""
        listed = ", ".join([*tensors][:SHOWN_KEYS]) + rest or "no keys"
        hint = suggest_network(tensors, network)
        raise WeightsError(
            "\n  ".join([f"the keys match no scheme of {network.name}: {listed}", *([hint] if hint else refusals)])
        )
    return tuple(SCHEMES[name] for name, count in match_counts.items() if count == best)


def to_node_paths(
    tensors: Mapping[str, Tensor], network: Network, scheme: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights by node path, with unchanged values, and notes about the conversion.

    Args:
        tensors: Weights by their keys in ``scheme``.

    Raises:
        WeightsError: If the scheme does not cover the network, or if keys or shapes do not fit. All are listed.
    """
    known_keys = _as_spelled(network, scheme, tensors)
    missing = [key for scheme_key, parts in known_keys.items() if scheme_key not in tensors for key in parts]
    counters = [key for key in missing if key.node_key.endswith(f".{BATCH_COUNTER_KEY}")]
    faults = {
        "missing": [str(key) for key in missing if key not in counters],
        "unexpected": [scheme_key for scheme_key in tensors if scheme_key not in known_keys],
        "of another shape or dtype": [
            *filter(None, (known_keys[key][0].misfit(x) for key, x in tensors.items() if key in known_keys))
        ],
    }
    if any(faults.values()):
        raise WeightsError(_misfits(network, scheme, known_keys, faults, tensors))
    # Files from before PyTorch 0.4.1 have no batch counters.
    zeros = {key.scheme_key: torch.zeros_like(key.like, device="cpu") for key in counters}
    available = {**tensors, **zeros}
    converted: dict[str, Tensor] = {}
    for scheme_key, parts in known_keys.items():
        values = available[scheme_key].chunk(len(parts)) if parts[0].shape else [available[scheme_key]] * len(parts)
        converted |= {key.node_key: values[key.part].reshape(key.like.shape) for key in parts}
    return converted, [f"{BATCH_COUNTER_KEY} is missing and was set to 0: {', '.join(zeros)}"] if zeros else []


def _misfits(
    network: Network,
    scheme: Scheme,
    known_keys: Mapping[str, tuple[TensorKey, ...]],
    faults: Mapping[str, list[str]],
    tensors: Mapping[str, Tensor],
) -> str:
    """Return the message about keys and shapes that do not fit: counts, hints, then all entries."""
    counts = ", ".join(f"{len(items):,} {fault}" for fault, items in faults.items() if items)
    lines = [
        *(f"missing: {item}" for item in faults["missing"]),
        *(f"unexpected: {item}" for item in faults["unexpected"]),
        *faults["of another shape or dtype"],
    ]
    summary = f"the weights do not fit {network.name} in scheme {scheme.name} ({counts}):"
    # Hints come before the list of keys, which can be long.
    hints = filter(None, [_suggest_neurons(known_keys, faults), suggest_network(tensors, network)])
    return "\n  ".join([summary, *hints, *lines])


def _suggest_neurons(known_keys: Mapping[str, tuple[TensorKey, ...]], faults: Mapping[str, list[str]]) -> str:
    """Return a hint if only one of network and weights has PLIF neurons, else an empty text."""
    suffixes = tuple(f".{name}" for name in PLIF().learnable())
    plif_keys = [str(key) for scheme_key, parts in known_keys.items() if scheme_key.endswith(suffixes) for key in parts]
    if not plif_keys and any(scheme_key.endswith(suffixes) for scheme_key in faults["unexpected"]):
        return f"keys that end with {suffixes[0]} belong to PLIF neurons; pass --neuron PLIF if the network uses SN"
    if plif_keys and {*plif_keys} <= {*faults["missing"]}:
        return f"no key ends with {suffixes[0]}, as keys of PLIF neurons do; pass the original neuron, e.g. --neuron IF"
    return ""


def suggest_network(tensors: Mapping[str, Tensor], network: Network) -> str:
    """Return a hint if the weights belong to another SpikingJelly class or network, else an empty text."""
    # A class derived from another one comes later and has the more specific marks.
    model_class = next(
        (model_class for model_class in reversed(CLASSES) if {*model_class.marks} <= tensors.keys()), None
    )
    if model_class is None:
        return ""
    origin = f"the keys belong to SpikingJelly's {model_class.name}"
    shapes = {key: tuple(value.shape) for key, value in tensors.items() if not key.endswith(BATCH_COUNTER_KEY)}
    for name in model_class.networks:
        if load(name) != network and shapes == {
            scheme_key: parts[0].full_shape
            for scheme_key, parts in keys(load(name), SCHEMES["spikingjelly"]).items()
            if not scheme_key.endswith(BATCH_COUNTER_KEY)
        }:
            return f"{origin} and fit another network; pass --net {name}"
    return (
        "" if model_class.builds(network) else f"{origin}; its shipped networks are {', '.join(model_class.networks)}"
    )


def to_scheme_keys(tensors: Mapping[str, Tensor], network: Network, scheme: Scheme) -> dict[str, Tensor]:
    """Return weights by the keys of a scheme, as contiguous tensors.

    Args:
        tensors: All weights of the network by node path.

    Raises:
        WeightsError: If the scheme does not cover the network.
    """
    converted = {}
    for scheme_key, parts in keys(network, scheme).items():
        values = [tensors[key.node_key] for key in parts]
        first = parts[0].like
        if first.ndim:
            # Fuse the layers that are one layer in the scheme, in the order of their parts.
            value = torch.cat([x.reshape(key.shape) for key, x in zip(parts, values, strict=True)])
        elif any(not torch.equal(x, values[0]) for x in values[1:]):
            listed = " and ".join(f"{key.node_key}={value.item():g}" for key, value in zip(parts, values, strict=True))
            raise WeightsError(
                f"{scheme_key} is a single value in {scheme.name}, but the network has several: {listed}"
            )
        else:
            value = values[0].reshape(scheme.scalar) if first.is_floating_point() else values[0]
        converted[scheme_key] = value.contiguous()  # As safetensors requires.
    return converted


def convert(
    tensors: Mapping[str, Tensor], network: Network, source: Scheme, target: Scheme
) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights by the keys of another scheme, with unchanged values, and notes about the conversion.

    Raises:
        WeightsError: If a scheme does not cover the network, or the weights do not fit it.
    """
    by_node, notes = to_node_paths(tensors, network, source)
    return to_scheme_keys(by_node, network, target), notes
