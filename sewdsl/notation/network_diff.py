"""Differences between two networks, in the notation of their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby

from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.align import Alignment, ItemPosition, Part, Parts, call_body, unroll_parts
from sewdsl.notation.compact_text import body_with_own_blocks
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    LetText,
    MergeText,
    ReadText,
    item_nodes,
    item_text,
    items_text,
    network_items,
    split_lets,
)
from sewdsl.notation.kind_text import NodeTexts, kind_text
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON


@dataclass(frozen=True)
class Change:
    """A change of the body.

    Attributes:
        before: What was there, as a text would have it; empty: nothing was.
        after: What is there now; empty: nothing is.
        where: ``at``, ``after``, ``before``, or ``in the branch of`` and ``in the shortcut of`` where that was ``id``.
        node: The name of a node of the first network, or of a block in it; in the first of several copies.
        copies: Which copies of each repeat on the way have the change, from 1; empty: only one place has.
    """

    before: str
    after: str
    where: str
    node: str
    copies: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class _Found:
    """A change in one copy."""

    change: Change
    place: ItemPosition


def body_changes(network: Network, one: Parts, other: Parts) -> Iterator[Change]:
    """What makes one body another, in order."""
    found: dict[object, list[_Found]] = {}
    for item in _Comparison(network).sequences(
        one, other, _Found(Change("", "", "after", network.nodes[0].name), ItemPosition())
    ):
        change = item.change
        found.setdefault((change.before, change.after, change.where, item.place.way), []).append(item)
    for alike in found.values():
        for copies in _products([item.place.copies for item in alike]):
            first = next(item for item in alike if item.place.copies == tuple(group[0] for group in copies))
            yield replace(first.change, copies=copies if any(len(group) > 1 for group in copies) else ())


class _Comparison:
    def __init__(self, network: Network) -> None:
        self._network, self._alignment = network, Alignment()

    def sequences(self, one: Parts, other: Parts, around: _Found) -> Iterator[_Found]:
        """Changes of a sequence.

        Args:
            around: Where changes are if nothing was in it.
        """
        pairs = list(self._alignment.pairs(one, other))
        previous: Part | None = None
        for together, group in groupby(pairs, lambda pair: None not in pair):
            run = list(group)
            if together:
                for before, after in run:
                    if before is not None and after is not None:
                        yield from self._both(before, after)
                        previous = before
                continue
            gone = tuple(before for before, _ in run if before is not None)
            come = tuple(after for _, after in run if after is not None)
            yield self._replaced(gone, come, previous, one, around)
            previous = gone[-1] if gone else previous

    def _replaced(self, gone: Parts, come: Parts, previous: Part | None, one: Parts, around: _Found) -> _Found:
        """Items that went, and those that came in their place."""
        texts = _text(gone), _text(come)
        if gone:
            return self._found(*texts, "at", gone[0])
        if previous is not None:
            return self._found(*texts, "after", previous)
        if one:
            return self._found(*texts, "before", one[0])
        return replace(around, change=replace(around.change, before=texts[0], after=texts[1]))

    def _both(self, before: Part, after: Part) -> Iterator[_Found]:
        """Changes of an item that has become another."""
        if self._alignment.equal(before, after):
            return
        match before.item, after.item:
            case LayerText(text=was), LayerText(text=now):
                yield self._found(was, now, "at", before)
            case MergeText(name=was), MergeText(name=now) if len(before.sides) == len(after.sides):
                if was != now:
                    yield self._found(f"{was}[…]", f"{now}[…]", "at", before)
                for side, old, new in zip(before.item.names, before.sides, after.sides, strict=True):
                    yield from self.sequences(old, new, self._found("", "", f"in the {side} of", before))
            case ReadText(name=was), ReadText(name=now):
                yield self._found(was, now, "at", before)
            case BlockText(), BlockText() if item_text(before.item) != item_text(after.item):
                yield self._found(item_text(before.item), item_text(after.item), "at", before)
            case _:
                yield from self.sequences(call_body(before), call_body(after), self._found("", "", "at", before))

    def _found(self, was: str, now: str, where: str, part: Part) -> _Found:
        return _Found(Change(was, now, where, self._name(part)), part.place)

    def _name(self, part: Part) -> str:
        """The name of a node; of a block, what the names of its nodes have in common."""
        names = [self._network.nodes[node].name.split(".") for node in part_nodes(part)]
        if isinstance(part.item, ReadText):
            return part.item.name
        if isinstance(part.item, LayerText | MergeText):
            return ".".join(names[-1])
        common = [group[0] for group in zip(*names, strict=False) if len(set(group)) == 1]
        return ".".join(common or names[0])


def part_nodes(part: Part) -> Iterator[int]:
    """All nodes of a part, its own last."""
    for side in part.sides:
        for inner in side:
            yield from part_nodes(inner)
    if isinstance(part.item, LayerText | MergeText):
        yield part.node


def _text(parts: Parts) -> str:
    lets, rest = split_lets(fold_repeats(tuple(part.item for part in parts)))
    return "; ".join([*map(item_text, lets), *([items_text(rest)] if rest else [])])


def _products(copies: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Copies of nested repeats, gathered so that each group is every combination of some copies of each."""
    levels = tuple(tuple(sorted(set(level))) for level in zip(*copies, strict=True))
    count = 1
    for level in levels:
        count *= len(level)
    if count == len(set(copies)):
        yield levels
        return
    for outer, group in groupby(sorted(set(copies)), lambda each: each[0]):
        for inner in _products([each[1:] for each in group]):
            yield (outer,), *inner


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
        figures: What follows from these: parameters, operations, the output's shape.
    """

    settings: tuple[ValueChange, ...]
    changes: tuple[Change, ...]
    recipe: tuple[ValueChange, ...]
    figures: tuple[ValueChange, ...]

    def __bool__(self) -> bool:
        return bool(self.settings or self.changes or self.recipe)


def diff_networks(one: Network, other: Network) -> Difference:
    """What makes the second of two networks another than the first.

    Bodies are compared item by item, as they are in a text; so a layer that came in between is one change, though the
    nodes after it move. Where headers differ in their neuron, or in their join, ``SN`` and ``g`` mean these, and
    it is not said of every layer that it changed with them.

    Raises:
        UnwritableNetwork: no text of the language gives one of them; the message names a node.
    """
    before, after = _parts(one, other), _parts(other, one)
    names = _same_names(before, after)
    neurons = _definitions(one), _definitions(other)
    defined = ({key: each[key] for key in each if key in neurons[0].keys() & neurons[1].keys()} for each in neurons)
    settings = ({**_settings(network), **own} for network, own in zip((one, other), defined, strict=True))
    return Difference(
        tuple(_values(*settings)),
        tuple(body_changes(one, _renamed(before, {}), _renamed(after, names))),
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
    said = {settings.init: settings.init != "default", "zero": settings.zero_init}
    init = " ".join(word for word, is_so in said.items() if is_so) or "default"
    rest = {name: _said(value) for name, value in settings if name != "zero_init"}
    if settings.neuron is not None:
        rest["neuron"] = kind_text(settings.neuron, lambda left: left.over_steps(settings.steps))
    outputs = {"outputs": " ".join(name for name, _ in network.outputs)} if network.outputs else {}
    return {**rest, "init": init, **outputs}


def _definitions(network: Network) -> dict[str, str]:
    """The equations of its neurons that texts define, each in a line."""
    ops = (*(node.op for node in network), network.settings.neuron)
    own = dict.fromkeys(op.named() for op in ops if op is not None and op.defined_by_text)
    return {f"neuron {kind.kind}": " ".join(kind.definition_text().partition("{")[2].split())[:-2] for kind in own}


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
        **{name: network.nodes[index].output.size for name, index in network.outputs or (("output", network.output),)},
    }


def _same_names(one: Parts, other: Parts) -> dict[str, str]:
    """What to call the values of one body so that those that the other has too are called as there."""
    free = [(name, key) for name, key in _value_keys(one).items()]
    found: dict[str, str] = {}
    for name, key in _value_keys(other).items():
        same = next((known for known, wanted in free if wanted == key), None)
        if same is not None:
            found[name] = same
            free.remove((same, key))
    taken = {*found.values()}
    return found | {name: f"{name}'" for name in _value_keys(other) if name not in found and name in taken}


def _value_keys(parts: Parts) -> dict[str, str]:
    """The values of a body by name, each with a text that is the same for values that are computed in the same way."""
    found: dict[str, str] = {}

    def text(part: Part) -> str:
        if isinstance(part.item, ReadText):
            return found.get(part.item.name, "later")  # of one that comes later a delay is read
        own = item_text(part.item) if isinstance(part.item, LayerText) else type(part.item).__name__
        own = part.item.name if isinstance(part.item, MergeText) else own
        return f"{own}({';'.join('-'.join(map(text, side)) for side in part.sides)})"

    for part in parts:
        if isinstance(part.item, LetText):
            whole = "-".join(map(text, part.sides[0]))
            found[part.item.name] = sha256(whole.encode()).hexdigest()
    return found


def _renamed(parts: Parts, names: Mapping[str, str]) -> Parts:
    """A body with other names for its values, which come in their order."""

    def renamed(part: Part) -> Part:
        sides = tuple(tuple(map(renamed, side)) for side in part.sides)
        item = part.item
        if isinstance(item, ReadText | LetText):
            item = replace(item, name=names.get(item.name, item.name))
        return replace(part, item=item, sides=sides)

    if not any(isinstance(part.item, LetText) for part in parts):
        return parts
    lets = [renamed(part) for part in parts if isinstance(part.item, LetText)]
    rest = [renamed(part) for part in parts if not isinstance(part.item, LetText)]
    return *sorted(lets, key=lambda part: part.item.name if isinstance(part.item, LetText) else ""), *rest


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

    _, _, body = body_with_own_blocks(network, nameless=False)
    return unroll_parts(body, said)
