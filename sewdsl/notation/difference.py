"""What differs between two networks, in the words of their texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sewdsl.elaborate.names import OWN_JOIN, OWN_NEURON
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.words import format_value
from sewdsl.notation.changes import Change, body_changes
from sewdsl.notation.part import Parts, unroll_parts
from sewdsl.notation.structure import network_items
from sewdsl.notation.text import body_with_own_blocks
from sewdsl.notation.tree import item_nodes
from sewdsl.notation.wording import NodeTexts
from sewdsl.notation.words import kind_text


@dataclass(frozen=True)
class ValueChange:
    """A setting, an entry of the recipe, or a figure that differs.

    Attributes:
        key: Its name in a file; ``data`` for what is trained on.
        before: In the first network, as a file would have it.
        after: In the second.
    """

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """What differs between two networks; what they are called, expect and claim does not count.

    Attributes:
        settings: Of the header.
        changes: Of the body.
        recipe: Of the ``train`` section.
        figures: What follows from these: parameters, operations, the output's shape.
    """

    settings: tuple[ValueChange, ...]
    changes: tuple[Change, ...]
    recipe: tuple[ValueChange, ...]
    figures: tuple[ValueChange, ...]

    def __bool__(self) -> bool:
        """Whether anything does."""
        return bool(self.settings or self.changes or self.recipe)


def diff_networks(one: Network, other: Network) -> Difference:
    """What makes the second of two networks another than the first.

    Bodies are compared item by item, as they stand in a text; so a layer that came in between is one change, though the
    nodes behind it move. Where headers differ in their neuron, or in their join, ``SN`` and ``g`` stand for these, and
    it is not said of every layer that it changed with them.

    Args:
        one: Any network.
        other: Any other.

    Raises:
        Unwritable: no text of the language gives one of them; the message names a node.
    """
    return Difference(
        tuple(_values(_settings(one), _settings(other))),
        tuple(body_changes(one, _parts(one, other), _parts(other, one))),
        tuple(_values(*_recipes(one.recipe, other.recipe))),
        tuple(_values(_figures(one), _figures(other))),
    )


def _values(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[ValueChange]:
    for key in {**one, **other}:
        before, after = one.get(key, "none"), other.get(key, "none")
        if before != after:
            yield ValueChange(key, before, after)


def _settings(network: Network) -> dict[str, str]:
    settings = network.settings
    said = {"kaiming": settings.init == "kaiming", "zero": settings.zero_init}
    init = " ".join(word for word, is_so in said.items() if is_so) or "default"
    rest = {name: _said(value) for name, value in settings if name != "zero_init"}
    return {**rest, "init": init}


def _recipes(one: Recipe | None, other: Recipe | None) -> tuple[dict[str, str], dict[str, str]]:
    """All entries of both; only what is trained on where one has none."""
    if one is not None and other is not None:
        return _recipe(one), _recipe(other)
    before, after = ({"data": recipe.on if recipe is not None else "none"} for recipe in (one, other))
    return before, after


def _recipe(recipe: Recipe) -> dict[str, str]:
    rest = {name: _said(value) for name, value in recipe}
    return {"data": rest.pop("on"), **rest}


def _said(value: object) -> str:
    """A value as a file has it, without the quotes."""
    return kind_text(value) if isinstance(value, Kind) else format_value(value)


def _figures(network: Network) -> dict[str, str]:
    return {
        "parameters": f"{network.total_parameters:,}",
        "macs": f"{network.total_macs:,}",
        "output": network.nodes[network.output].output.size,
    }


def _parts(network: Network, other: Network) -> Parts:
    """The body of a network in full, in words that mean the same in both."""
    own, others = network.settings, other.settings
    plain = replace(network, settings=own.model_copy(update={"neuron": None}))
    wording = NodeTexts(plain, item_nodes(network_items(network)))
    named = {own.join: OWN_JOIN} if own.join != others.join else {}
    neuron = own.neuron if None not in {own.neuron, others.neuron} and own.neuron != others.neuron else None

    def said(node: int) -> str:
        op = network.nodes[node].op
        if neuron is not None and op == neuron:
            return OWN_NEURON
        return named[op] if op in named else wording.node(node)

    return unroll_parts(body_with_own_blocks(network, nameless=False)[1], said)
