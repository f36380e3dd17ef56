"""Weights by our keys for a network that they fit only in part: one with another head, or with blocks of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sewdsl.analysis.named_parts import enclosing_parts, fold_parts, match_nodes, part_names
from sewdsl.elaborate.suggestions import did_you_mean, listed
from sewdsl.exchange.errors import WeightsError
from sewdsl.exchange.weights.convert import BATCH_COUNTER_KEY, TensorKey, keys
from sewdsl.exchange.weights.schemes import SCHEMES
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass

MAX_LEFT = 20
"""Entries of what is left of a file: there may be thousands."""


@dataclass(frozen=True)
class TakenWeights:
    """What a network takes of the weights in a file.

    Attributes:
        tensors: The weights that it takes, by our keys: of each layer all, or none.
        total: How many tensors the network has.
        taken: Layers and parts that have them.
        new: Those that have weights of their own, and begin anew.
        left: What of the file is not taken, and why.
    """

    tensors: dict[str, Tensor]
    total: int
    taken: tuple[str, ...]
    new: tuple[str, ...]
    left: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the file has the weights of the network, no less and no more."""
        return not (self.new or self.left)


def take_weights(tensors: Mapping[str, Tensor], network: Network, only: Sequence[str] = ()) -> TakenWeights:
    """Return what of some weights fits a network, layer by layer: one of which a tensor does not fit begins anew.

    Args:
        tensors: The weights, by our keys.
        only: Patterns of the layers and parts that are to have them, see
            :func:`sewdsl.analysis.named_parts.match_nodes`; none: all.

    Raises:
        WeightsError: a pattern names no layer with weights, or nothing fits.
    """
    known = keys(network, SCHEMES["sewdsl"])
    index = {node.name: place for place, node in enumerate(network.nodes)}
    layers: dict[int, list[TensorKey]] = {}
    for (key,) in known.values():
        layers.setdefault(index[key.node.name], []).append(key)
    wanted = set() if only else {*layers}
    for pattern in only:
        named = match_nodes(network, pattern)
        if not named & layers.keys():
            with_weights = f"these have weights: {listed(fold_parts(network, layers, layers))}"
            hint = "" if named else did_you_mean(pattern, part_names(network))
            what = "names nothing that has weights" if named else f"names no layer or part of {network.name}"
            raise WeightsError(f"--weights-only '{pattern}' {what}; {hint or with_weights}")
        wanted |= named & layers.keys()
    taken: dict[str, Tensor] = {}
    chosen, unasked, left, uncounted = list[int](), list[int](), list[str](), list[str]()
    for place, parts in layers.items():
        there = [key for key in parts if key.ours in tensors]
        counts = [key for key in parts if key not in there and key.ours.endswith(f".{BATCH_COUNTER_KEY}")]
        missing = [key.ours for key in parts if key not in there and key not in counts]
        wrong = [*filter(None, (key.misfit(tensors[key.ours]) for key in there))]
        if not there:
            continue
        if place not in wanted:
            unasked.append(place)
        elif wrong or missing:
            left += wrong[:1] or [f"{network.nodes[place].name}, which has no {', '.join(missing)} there"]
        else:
            chosen.append(place)
            taken |= {key.ours: tensors[key.ours].reshape(key.like.shape) for key in there}
            taken |= {key.ours: torch.zeros_like(key.like, device="cpu") for key in counts}
            uncounted += [key.ours for key in counts]
    ours = {*part_names(network)}
    strange = dict.fromkeys(
        next((part for part in enclosing_parts(key) if part not in ours), key) for key in tensors if key not in known
    )
    if strange:
        left.append(f"{listed(strange)}, which {network.name} does not have")
    if not chosen:
        why = "; ".join(left[:MAX_LEFT]) or f"it holds nothing of {', '.join(only)}"
        raise WeightsError(f"nothing in it fits {network.name}: {why}")
    left[MAX_LEFT:] = [f"{len(left) - MAX_LEFT:,} more"] if len(left) > MAX_LEFT else []
    if unasked:
        left.append(f"{listed(fold_parts(network, unasked, layers))}, which --weights-only does not name")
    new = [place for place in layers if place not in chosen]
    return TakenWeights(
        taken,
        len(known),
        tuple(fold_parts(network, chosen, layers)),
        tuple(fold_parts(network, new, layers)),
        tuple(left),
        (f"{BATCH_COUNTER_KEY} was missing and is 0: {', '.join(uncounted)}",) if uncounted else (),
    )
