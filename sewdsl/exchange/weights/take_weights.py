"""Partial initialisation of a network from weights with sewdsl keys, e.g. with another classification head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sewdsl.analysis.named_parts import fold_parts, match_nodes, part_names
from sewdsl.exchange.errors import WeightsError
from sewdsl.exchange.weights.convert import BATCH_COUNTER_KEY, TensorKey, keys
from sewdsl.exchange.weights.schemes import SCHEMES
from sewdsl.ir.network import Network
from sewdsl.ir.node import enclosing_parts
from sewdsl.light_dataclass import dataclass
from sewdsl.syntax.suggestions import did_you_mean, listed

MAX_LEFT = 20
"""Maximum number of entries about unused weights. A file may have thousands."""


@dataclass(frozen=True)
class TakenWeights:
    """Weights of a file that fit a network."""

    tensors: dict[str, Tensor]
    """Tensors to load by node path. A layer has all of its tensors or none."""
    total: int
    """Number of tensors of the network."""
    taken: tuple[str, ...]
    """Layers and groups to load."""
    new: tuple[str, ...]
    """Layers and groups with weights that keep their initial values."""
    left: tuple[str, ...]
    """Weights of the file that are not used, with the reason."""
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the file has exactly the weights of the network."""
        return not (self.new or self.left)


def take_weights(tensors: Mapping[str, Tensor], network: Network, only: Sequence[str] = ()) -> TakenWeights:
    """Select the weights that fit a network, layer by layer.

    A layer with any misfit keeps its initial values.

    Args:
        tensors: Weights by node path.
        only: Patterns of the layers and groups to load, see :func:`sewdsl.analysis.named_parts.match_nodes`. Default:
            all.

    Raises:
        WeightsError: If a pattern matches no layer with weights, or if nothing fits.
    """
    known_keys = keys(network, SCHEMES["sewdsl"])
    node_index = {node.name: layer_index for layer_index, node in enumerate(network.nodes)}
    layers: dict[int, list[TensorKey]] = {}
    for (key,) in known_keys.values():
        layers.setdefault(node_index[key.node.name], []).append(key)
    selected = set() if only else {*layers}
    for pattern in only:
        matches = match_nodes(network, pattern)
        if not matches & layers.keys():
            with_weights = f"groups with weights: {listed(fold_parts(network, layers, layers))}"
            hint = "" if matches else did_you_mean(pattern, part_names(network))
            fault = "matches no layer with weights" if matches else f"matches no layer or group of {network.name}"
            raise WeightsError(f"--weights-only '{pattern}' {fault}; {hint or with_weights}")
        selected |= matches & layers.keys()
    tensors_taken: dict[str, Tensor] = {}
    loaded, unselected, unused, zeroed = list[int](), list[int](), list[str](), list[str]()
    for layer_index, parts in layers.items():
        present = [key for key in parts if key.node_key in tensors]
        counters = [key for key in parts if key not in present and key.node_key.endswith(f".{BATCH_COUNTER_KEY}")]
        missing = [key.node_key for key in parts if key not in present and key not in counters]
        wrong = [*filter(None, (key.misfit(tensors[key.node_key]) for key in present))]
        if not present:
            continue
        if layer_index not in selected:
            unselected.append(layer_index)
        elif wrong or missing:
            unused += wrong[:1] or [
                f"{network.nodes[layer_index].name}, for which the file has no {', '.join(missing)}"
            ]
        else:
            loaded.append(layer_index)
            tensors_taken |= {key.node_key: tensors[key.node_key].reshape(key.like.shape) for key in present}
            tensors_taken |= {key.node_key: torch.zeros_like(key.like, device="cpu") for key in counters}
            zeroed += [key.node_key for key in counters]
    own_parts = {*part_names(network)}
    # Report a foreign block once, not every tensor in it.
    foreign = dict.fromkeys(
        next((part for part in enclosing_parts(key) if part not in own_parts), key)
        for key in tensors
        if key not in known_keys
    )
    if foreign:
        unused.append(f"{listed(foreign)}, which {network.name} does not have")
    if not loaded:
        reasons = "; ".join(unused[:MAX_LEFT]) or f"it has no weights of {', '.join(only)}"
        raise WeightsError(f"no weights fit {network.name}: {reasons}")
    unused[MAX_LEFT:] = [f"{len(unused) - MAX_LEFT:,} more"] if len(unused) > MAX_LEFT else []
    if unselected:
        unused.append(f"{listed(fold_parts(network, unselected, layers))}, which --weights-only does not select")
    new = [layer_index for layer_index in layers if layer_index not in loaded]
    return TakenWeights(
        tensors_taken,
        len(known_keys),
        tuple(fold_parts(network, loaded, layers)),
        tuple(fold_parts(network, new, layers)),
        tuple(unused),
        (f"{BATCH_COUNTER_KEY} is missing and was set to 0: {', '.join(zeroed)}",) if zeroed else (),
    )
