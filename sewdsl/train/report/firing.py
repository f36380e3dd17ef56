"""How much each layer fires, and what to do about layers that hardly do, or always."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.train.facts import RunRecord
from sewdsl.train.report.markup import Markup, tag
from sewdsl.train.watch.names import DEAD, SATURATED

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
    """All layers; where they are many, those in trouble, and all behind a line."""
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
        what = f"{_count(dead)} at less than {DEAD:.0%}: little passes, and little gradient comes back."
        said.append(tag("p", f"{what} {_meaning(dead, network)}{DEAD_LAYER_ADVICE}", class_="warning"))
    if full:
        what = f"{_count(full)} at more than {SATURATED:.0%}: the spikes say little about the input."
        cure = "A higher v_threshold, or a batch norm before it, leaves it a choice."
        said.append(tag("p", f"{what} {cure}", class_="warning"))
    return said


def _count(names: list[str]) -> str:
    return f"{names[0]} fires" if len(names) == 1 else f"{len(names)} layers fire"


def _meaning(dead: list[str], network: Network | None) -> str:
    """What silence does where it ends the branch of a join: nothing, or everything."""
    joins = {last_of_branch(network, name) for name in dead} if network else set()
    neutral = {join.neutral_branch == 0 for join in joins if join is not None}
    said = "At the end of a branch, silence makes its block an identity. " if True in neutral else ""
    return said + ("At the end of a branch of AND, silence silences the block. " if False in neutral else "")


def last_of_branch(network: Network, name: str) -> Join | None:
    """The join whose branch ends in this layer."""
    index = next((i for i, node in enumerate(network) if node.name == name), None)
    if index is None:
        return None
    readers = (network.nodes[reader] for reader in network.readers[index])
    return next((n.op for n in readers if isinstance(n.op, Join) and n.inputs[0] == index), None)
