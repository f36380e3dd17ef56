"""How many neurons of each layer never fire, nearly always, or in between."""

from __future__ import annotations

from sewdsl.train.facts import RunRecord
from sewdsl.train.report import advice
from sewdsl.train.report.firing import MAX_LAYERS
from sewdsl.train.report.markup import Markup, tag
from sewdsl.train.report.words import breakable, format_share
from sewdsl.train.watch.names import SATURATED
from sewdsl.train.watch.population import EDGES, Population

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
    said = advice.paragraphs(found, facts.firing_rates, facts.network)
    return [tag("p", NOTE, class_="note"), *said, *_neuron_lists(found)]


def _neuron_lists(found: dict[str, Population]) -> list[Markup]:
    """All layers; where they are many, those with most to say about, and all behind a line."""
    cards = {name: _card(name, layer) for name, layer in found.items()}
    every = tag("ol", *cards.values(), class_="neurons")
    if len(found) <= MAX_LAYERS:
        return [every]
    troubled = [name for name in advice.sort_by_unusual_share(found) if advice.has_many_unusual(found[name])]
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
    return tag("span", f"{format_share(part)} {what}", class_="much" if part >= advice.NOTABLE_SHARE else None)


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
    said = f"{_bin(index)}: {count:,} neuron{'s' if count > 1 else ''}, {format_share(count / layer.neurons)}"
    return tag(
        "rect",
        tag("title", said),
        x=PITCH * index + 1,
        y=f"{TALL + 1 - high:.1f}",
        width=PITCH - 2,
        height=f"{high:.1f}",
        class_=None if 0 < index <= len(EDGES) else "end",
    )


def _bin(index: int) -> str:
    """Its rates in words."""
    if index == 0:
        return "never"
    low = "0" if index == 1 else f"{100 * EDGES[index - 2]:g}%"
    return f"over {low}" if index > len(EDGES) else f"over {low} to {100 * EDGES[index - 1]:g}%"
