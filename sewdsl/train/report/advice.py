"""What dead and saturated neurons mean where they are many, and what to change."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.ir.network import Network
from sewdsl.ops.layers.batch_norm import BatchNorm
from sewdsl.train.report.firing import kind, last_of_branch
from sewdsl.train.report.markup import Markup, tag
from sewdsl.train.report.words import format_share, join_names
from sewdsl.train.watch.names import SATURATED
from sewdsl.train.watch.population import Population

NOTABLE_SHARE = 0.1
"""A share of the neurons, the channels or the places of a layer from which on there is something to say."""


def has_many_unusual(layer: Population) -> bool:
    """Whether many of its neurons are dead, or many saturated."""
    return max(layer.dead_share, layer.saturated_share) >= NOTABLE_SHARE


def sort_by_unusual_share(layers: Mapping[str, Population]) -> list[str]:
    """Their names by the share of dead and saturated neurons together."""
    return sorted(layers, key=lambda name: -layers[name].dead_share - layers[name].saturated_share)


def paragraphs(layers: Mapping[str, Population], rates: Mapping[str, float], network: Network | None) -> list[Markup]:
    """A paragraph for each kind of trouble that many neurons are in.

    Layers that hardly fire as a whole, or always, are left out: the page has spoken of them. The worst come first.

    Args:
        layers: The neurons of each.
        rates: The firing rate of each as a whole.
        network: What they are layers of, if that is known.
    """
    names = (name for name in sort_by_unusual_share(layers) if not (name in rates and kind(rates[name])))
    rest = {name: layers[name] for name in names}
    found = (_channels(rest, network), _saturated(rest, network), _places(rest), _scattered(rest))
    return [paragraph for paragraph in found if paragraph]


def _channels(layers: Mapping[str, Population], network: Network | None) -> Markup:
    """Channels without a neuron that fires: what their filters look for is never passed on, and hardly learnt."""
    found = {
        name: f"{layer.dead_channels} of {layer.shape[0]} {'channels' if layer.shape[1:] else 'neurons'}"
        for name, layer in layers.items()
        if layer.dead_channels / layer.shape[0] >= NOTABLE_SHARE
    }
    said = (
        f"Silent channels in {join_names(found)}: whatever the sample, they never fire. {_held(found, network)} keeps "
        "their current below v_threshold, and so far from it hardly any gradient comes back. A lower learning rate or "
        "a warmup keeps channels from falling silent; a lower v_threshold, or a surrogate that reaches further (a "
        f"smaller alpha), can wake them. {_identity(found, network, 0)}Where accuracy is as hoped, fewer channels will "
        "do."
    )
    return tag("p", said, class_="warning") if found else Markup()


def _saturated(layers: Mapping[str, Population], network: Network | None) -> Markup:
    """Neurons that carry next to nothing, since they fire whatever comes."""
    found = {
        name: format_share(layer.saturated_share)
        for name, layer in layers.items()
        if layer.saturated_share >= NOTABLE_SHARE
    }
    always = sum(layers[name].always for name in found)
    said = (
        f"Saturated neurons in {join_names(found)}: they fire at more than {SATURATED:.0%} of the time-steps, {always:,} "
        f"of them at every one, which tells the layers behind them little. {_held(found, network)} keeps their current "
        f"above v_threshold. A higher v_threshold leaves them a choice; weight decay or a lower learning rate keeps "
        f"the current from growing so far. {_identity(found, network, 1)}"
    )
    return tag("p", said.rstrip(), class_="warning") if found else Markup()


def _places(layers: Mapping[str, Population]) -> Markup:
    """Places where nothing is to be seen; a layer that has but one is dead as a whole where that is."""
    found = {
        name: f"{layer.dead_places} of {layer.places}"
        for name, layer in layers.items()
        if layer.dead_places / layer.places >= NOTABLE_SHARE
    }
    said = (
        f"Silent places in {join_names(found)}: no channel ever fires there, as at a border that is empty in every sample. "
        "They cost time and no accuracy; smaller images would save it."
    )
    return tag("p", said, class_="note") if found else Markup()


def _scattered(layers: Mapping[str, Population]) -> Markup:
    """Neurons that never fire though others do at the same place, and in the same channel."""
    parts = {name: _alone(layer) / layer.neurons for name, layer in layers.items()}
    found = {name: format_share(part) for name, part in parts.items() if part >= NOTABLE_SHARE}
    said = (
        f"Silent neurons in {join_names(found)}: others do fire in the same channels and at the same places, but what "
        "these look for does not come up where they look. As long as accuracy is as hoped, nothing is amiss; if not, "
        "try a lower v_threshold."
    )
    return tag("p", said, class_="note") if found else Markup()


def _alone(layer: Population) -> int:
    """Dead neurons in channels and at places that are not dead as a whole."""
    channels, places = layer.dead_channels, layer.dead_places
    return layer.dead - channels * layer.places - places * (layer.shape[0] - channels)


def _held(names: Mapping[str, str], network: Network | None) -> str:
    """What sets the current of these layers, as the subject of a sentence."""
    if network is None:
        return "What comes before them"
    sources = [network.nodes[node.inputs[0]].op for node in network if node.name in names and node.inputs]
    normed = [isinstance(source, BatchNorm) for source in sources]
    if all(normed):
        return "The bias of the batch norm before them"
    return "The bias of a batch norm, or the weights," if any(normed) else "The weights, with no batch norm to help,"


def _identity(names: Mapping[str, str], network: Network | None, constant: int) -> str:
    """What a channel that never fires (0), or always (1), does where it ends the branch of a join."""
    joins = {last_of_branch(network, name) for name in names} if network else set()
    if any(join is not None and join.neutral_branch == constant for join in joins):
        state = "saturated" if constant else "silent"
        return f"At the end of a branch, a {state} channel makes its part of the block an identity. "
    return ""
