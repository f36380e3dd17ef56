"""Report section on firing rates: layers, histograms of neurons, and advice on dead and saturated ones."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.ops.layers.batch_norm import BatchNorm
from sewdsl.train.report.html import Markup, breakable, format_share, join_names, tag
from sewdsl.train.store.neuron_populations import DEAD, EDGES, SATURATED, Population
from sewdsl.train.store.run_record import RunRecord

MAX_LAYERS = 40
"""More are folded away."""
DEAD_LAYER_ADVICE = "A lower v_threshold, a batch norm before it, a larger gain or a higher learning rate can wake it."


def firing_section(facts: RunRecord) -> list[Markup]:
    """A sentence, a bar for each layer with its way there, and advice."""
    rates = facts.firing_rates
    if not rates:
        return []
    scale = max(*rates.values(), DEAD)
    history = {name: [facts.rates(epoch).get(name) for epoch in facts.epochs] for name in rates}
    where = "over the test samples, by the last weights" if facts.result.get("firing_rates") else "in the last epoch"
    note = f"Spikes per neuron, sample and time-step, {where}."
    if len(facts.epochs) > 1:
        note += " The small line is the way there, from the first epoch to the last."
    rows = {n: _row(n, rate, scale, [r for r in history[n] if r is not None]) for n, rate in rates.items()}
    return [tag("p", note, class_="note"), *_warnings(rates, facts.network), *_lists(rows, rates)]


def _lists(rows: dict[str, Markup], rates: dict[str, float]) -> list[Markup]:
    """All layers; where they are many, those in trouble, and all folded under a line."""
    every = tag("ol", *rows.values(), class_="rates")
    if len(rows) <= MAX_LAYERS:
        return [every]
    low, high = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    said = f"all {len(rows)} layers, from {rates[low]:.2%} ({low}) to {rates[high]:.2%} ({high})"
    troubled = [row for name, row in rows.items() if kind(rates[name])]
    first = [tag("ol", *troubled, class_="rates")] if troubled else []
    return [*first, tag("details", tag("summary", said), every)]


def kind(rate: float) -> str:
    """``dead``, ``saturated``, or nothing to worry about."""
    return "dead" if rate < DEAD else "saturated" if rate > SATURATED else ""


def _row(name: str, rate: float, scale: float, history: list[float]) -> Markup:
    state = kind(rate)
    return tag(
        "li",
        tag("span", name, class_="layer"),
        tag("span", tag("span", style=f"width:{100 * rate / scale:.2f}%"), class_="bar"),
        tag("span", f"{rate:.2%}", class_="number"),
        _way(history, scale),
        tag("span", state, class_="flag"),
        class_=state or None,
    )


def _way(history: list[float], scale: float) -> Markup:
    """A line of 64 by 16 units, all layers to one scale."""
    if len(history) < 2:  # noqa: PLR2004 -- a point is no line
        return tag("span")
    step = 64 / (len(history) - 1)
    top = max(scale, *history)
    points = " ".join(f"{index * step:.1f},{15 - 14 * rate / top:.1f}" for index, rate in enumerate(history))
    line = tag("polyline", points=points)
    return tag("svg", line, viewBox="0 0 64 16", class_="way", aria_hidden="true")


def _warnings(rates: dict[str, float], network: Network | None) -> list[Markup]:
    dead = [name for name, rate in rates.items() if kind(rate) == "dead"]
    full = [name for name, rate in rates.items() if kind(rate) == "saturated"]
    said = []
    if dead:
        what = f"{_count(dead)} at less than {DEAD:.0%}: little passes, and little gradient comes back. "
        joins = {last_of_branch(network, name) for name in dead} if network else set()
        neutral = {join.neutral_branch == 0 for join in joins if join is not None}
        if True in neutral:
            what += "At the end of a branch, silence makes its block an identity. "
        if False in neutral:
            what += "At the end of a branch of AND, silence silences the block. "
        said.append(tag("p", f"{what}{DEAD_LAYER_ADVICE}", class_="warning"))
    if full:
        what = f"{_count(full)} at more than {SATURATED:.0%}: the spikes say little about the input."
        cure = "A higher v_threshold, or a batch norm before it, leaves it a choice."
        said.append(tag("p", f"{what} {cure}", class_="warning"))
    return said


def _count(names: list[str]) -> str:
    return f"{names[0]} fires" if len(names) == 1 else f"{len(names)} layers fire"


def last_of_branch(network: Network, name: str) -> Join | None:
    """The join whose branch ends in this layer."""
    index = next((i for i, node in enumerate(network) if node.name == name), None)
    if index is None:
        return None
    readers = (network.nodes[reader] for reader in network.graph.consumers[index])
    return next((n.op for n in readers if isinstance(n.op, Join) and n.inputs[0] == index), None)


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
        f"Saturated neurons in {join_names(found)}: they fire at more than {SATURATED:.0%} of the time-steps, "
        f"{always:,} of them at every one, which tells the layers after them little. "
        f"{_held(found, network)} keeps their current "
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
        f"Silent places in {join_names(found)}: no channel ever fires there, as at a border that is empty in every "
        "sample. They cost time and no accuracy; smaller images would save it."
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


MAX_HISTOGRAMS = 6
"""Layers that are shown, at most, where all of them are folded away."""
PITCH, TALL = 14, 52
"""From one bar to the next, and the highest bar, in units of the picture."""
TICKS = {0.001: "0.1%", 0.01: "1%", 0.1: "10%", 0.5: "50%", SATURATED: f"{SATURATED:.0%}"}
NOTE = (
    "How many neurons of each layer fire how often, over the test samples, by the last weights: half decades up to 10% "
    f"of the time-steps, then tenths. Outermost are those that never fire, and those at more than {SATURATED:.0%}."
)


def neurons_section(facts: RunRecord) -> list[Markup]:
    """A sentence, advice, and a histogram for each layer."""
    found = facts.populations
    if not found:
        return []
    said = paragraphs(found, facts.firing_rates, facts.network)
    return [tag("p", NOTE, class_="note"), *said, *_neuron_lists(found)]


def _neuron_lists(found: dict[str, Population]) -> list[Markup]:
    """All layers; where they are many, those with most to say about, and all folded under a line."""
    cards = {name: _card(name, layer) for name, layer in found.items()}
    every = tag("ol", *cards.values(), class_="neurons")
    if len(found) <= MAX_LAYERS:
        return [every]
    troubled = [name for name in sort_by_unusual_share(found) if has_many_unusual(found[name])]
    first = [tag("ol", *map(cards.__getitem__, troubled[:MAX_HISTOGRAMS]), class_="neurons")] if troubled else []
    neurons, dead = (sum(counts) for counts in zip(*((one.neurons, one.dead) for one in found.values()), strict=True))
    said = f"all {len(found)} layers: of {neurons:,} neurons, {format_share(dead / neurons)} never fire"
    return [*first, tag("details", tag("summary", said), every)]


def _card(name: str, layer: Population) -> Markup:
    return tag(
        "li",
        tag(
            "p",
            tag("span", breakable(name), class_="layer"),
            tag("span", "x".join(map(str, layer.shape)), class_="size"),
        ),
        _histogram(layer),
        tag("p", _end(layer.dead_share, "never fire"), _end(layer.saturated_share, f"over {SATURATED:.0%}")),
    )


def _end(part: float, what: str) -> Markup:
    return tag("span", f"{format_share(part)} {what}", class_="much" if part >= NOTABLE_SHARE else None)


def _histogram(layer: Population) -> Markup:
    """Bars of 15 bins, the highest as high as the picture."""
    top, last = max(layer.bins), len(EDGES) + 1
    bars = [_bar(index, count, top, layer) for index, count in enumerate(layer.bins) if count]
    ticks = [(PITCH // 2, "0"), *((PITCH * (EDGES.index(edge) + 2), text) for edge, text in TICKS.items())]
    return tag(
        "svg",
        *bars,
        tag("line", x1=0, x2=PITCH * (last + 1), y1=TALL + 2, y2=TALL + 2),
        *(tag("text", text, x=x, y=TALL + 14) for x, text in ticks),
        viewBox=f"0 0 {PITCH * (last + 1)} {TALL + 18}",
        role="img",
        aria_label=f"of {layer.neurons:,} neurons, {layer.dead:,} never fire and {layer.saturated:,} nearly always",
    )


def _bar(index: int, count: int, top: int, layer: Population) -> Markup:
    """One bin; its count is said where the mouse is."""
    high = max(1.0, TALL * count / top)
    low = 0 if index <= 1 else 100 * EDGES[index - 2]
    if index == 0:
        rates = "never"
    elif index > len(EDGES):
        rates = f"over {low:g}%"
    else:
        rates = f"over {low:g}{'%' if low else ''} to {100 * EDGES[index - 1]:g}%"
    said = f"{rates}: {count:,} neuron{'s' if count > 1 else ''}, {format_share(count / layer.neurons)}"
    return tag(
        "rect",
        tag("title", said),
        x=PITCH * index + 1,
        y=f"{TALL + 1 - high:.1f}",
        width=PITCH - 2,
        height=f"{high:.1f}",
        class_=None if 0 < index <= len(EDGES) else "end",
    )
