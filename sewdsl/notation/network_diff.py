"""Differences between two networks, as texts of ``.net`` files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby

from sewdsl.ir.kind import Kind, stated_fields
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
    PartText,
    ReadText,
    RepeatText,
    item_nodes,
    item_text,
    items_text,
    network_items,
    split_lets,
)
from sewdsl.notation.kind_text import NodeTexts, kind_text
from sewdsl.notation.part_text import TextScope, scopes
from sewdsl.syntax.lexicon import OWN_JOIN, OWN_NEURON


@dataclass(frozen=True)
class Change:
    """Change of the body."""

    before: str
    """Previous text, empty for added items."""
    after: str
    """New text, empty for removed items."""
    where: str
    """``at``, ``after``, ``before``, or ``in the branch of`` and ``in the shortcut of`` an operand that was ``id``."""
    node: str
    """Name of a node or block of the first network, in the first of several copies."""
    copies: tuple[tuple[int, ...], ...] = ()
    """Copies of each enclosing repeat with this change, counted from 1. Empty for a single position."""


@dataclass(frozen=True)
class _CopyChange:
    change: Change
    position: ItemPosition


def body_changes(network: Network, one: Parts, other: Parts) -> Iterator[Change]:
    """Yield the changes from one body to the other, in order. Equal changes of several copies are merged."""
    groups: dict[object, list[_CopyChange]] = {}
    start = _CopyChange(Change("", "", "after", network.nodes[0].name), ItemPosition())
    for item in _Comparison(network).sequences(one, other, start):
        change = item.change
        # All copies of an item have the same path.
        groups.setdefault((change.before, change.after, change.where, item.position.path), []).append(item)
    for group in groups.values():
        for copies in _products([item.position.copies for item in group]):
            first = next(item for item in group if item.position.copies == tuple(level[0] for level in copies))
            yield replace(first.change, copies=copies if any(len(level) > 1 for level in copies) else ())


class _Comparison:
    def __init__(self, network: Network) -> None:
        self._network, self._alignment = network, Alignment()

    def sequences(self, one: Parts, other: Parts, default: _CopyChange) -> Iterator[_CopyChange]:
        """Yield the changes of a sequence. ``default`` is the template of a change if the first one is empty."""
        pairs = list(self._alignment.pairs(one, other))
        previous: Part | None = None
        for is_matched, group in groupby(pairs, lambda pair: None not in pair):
            run = list(group)
            if is_matched:
                for before, after in run:
                    if before is not None and after is not None:
                        yield from self._item_changes(before, after)
                        previous = before
                continue
            removed = tuple(before for before, _ in run if before is not None)
            added = tuple(after for _, after in run if after is not None)
            yield self._replacement(removed, added, previous, one, default)
            previous = removed[-1] if removed else previous

    def _replacement(
        self, removed: Parts, added: Parts, previous: Part | None, one: Parts, default: _CopyChange
    ) -> _CopyChange:
        """Return the change that removes items and adds others in their position."""
        texts = _text(removed), _text(added)
        if removed:
            return self._change(*texts, "at", removed[0])
        if previous is not None:
            return self._change(*texts, "after", previous)
        if one:
            return self._change(*texts, "before", one[0])
        # The sequence is empty: only the default names its position.
        return replace(default, change=replace(default.change, before=texts[0], after=texts[1]))

    def _item_changes(self, before: Part, after: Part) -> Iterator[_CopyChange]:
        """Yield the changes between two corresponding items."""
        if self._alignment.equal(before, after):
            return
        match before.item, after.item:
            case LayerText(text=old), LayerText(text=new):
                yield self._change(old, new, "at", before)
            case MergeText(name=old), MergeText(name=new):
                if old != new:
                    yield self._change(f"{old}[…]", f"{new}[…]", "at", before)
                for side, one, other in zip(before.item.names, before.sides, after.sides, strict=True):
                    yield from self.sequences(one, other, self._change("", "", f"in the {side} of", before))
            case BlockText(), BlockText() if item_text(before.item) != item_text(after.item):
                yield self._change(item_text(before.item), item_text(after.item), "at", before)
            case _:
                yield from self.sequences(call_body(before), call_body(after), self._change("", "", "at", before))

    def _change(self, before: str, after: str, where: str, part: Part) -> _CopyChange:
        return _CopyChange(Change(before, after, where, self._name(part)), part.position)

    def _name(self, part: Part) -> str:
        """Return the name of a node, or the common prefix of the names in a block."""
        names = [self._network.nodes[node].name.split(".") for node in part_nodes(part)]
        if isinstance(part.item, ReadText):
            return part.item.name
        if isinstance(part.item, LayerText | MergeText):
            return ".".join(names[-1])
        common = [group[0] for group in zip(*names, strict=False) if len(set(group)) == 1]
        return ".".join(common or names[0])


def part_nodes(part: Part) -> Iterator[int]:
    """Yield the nodes of a part, inner nodes first."""
    for side in part.sides:
        for inner in side:
            yield from part_nodes(inner)
    if isinstance(part.item, LayerText | MergeText):
        yield part.node


def _text(parts: Parts) -> str:
    lets, rest = split_lets(fold_repeats(tuple(part.item for part in parts)))
    return "; ".join([*map(item_text, lets), *([items_text(rest)] if rest else [])])


def _products(copies: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Group copies of nested repeats into products: every combination of the copies of each level occurs."""
    levels = tuple(tuple(sorted(set(level))) for level in zip(*copies, strict=True))
    count = 1
    for level in levels:
        count *= len(level)
    # All combinations occur exactly if there are as many copies as combinations.
    if count == len(set(copies)):
        yield levels
        return
    for outer, group in groupby(sorted(set(copies)), lambda each: each[0]):
        for inner in _products([each[1:] for each in group]):
            yield (outer,), *inner


@dataclass(frozen=True)
class ValueChange:
    """Changed setting, entry of the recipe, or figure."""

    key: str
    """Name in a ``.net`` file, or ``data`` for the dataset."""
    before: str
    """Text of the value in the first network."""
    after: str
    """Text of the value in the second network."""


@dataclass(frozen=True)
class Difference:
    """Differences between two networks. ``figures`` are changed counts and shapes that follow from the others."""

    settings: tuple[ValueChange, ...]
    changes: tuple[Change, ...]
    recipe: tuple[ValueChange, ...]
    figures: tuple[ValueChange, ...]

    def __bool__(self) -> bool:
        return bool(self.settings or self.changes or self.recipe)


def diff_networks(one: Network, other: Network) -> Difference:
    """Return the differences between two networks.

    Bodies are compared by the items of their texts, so an inserted layer is a single change. If the default neurons or
    joins differ, layers that use the defaults are not listed.

    Raises:
        UnwritableNetwork: If no text of the language compiles to one of them. The message names a node.
    """
    before, after = _parts(one, other), _parts(other, one)
    inside = {part.item.name: part.sides[0] for part in before if isinstance(part.item, PartText)}
    before, after = (
        tuple(
            _with_names(part, inside.get(part.item.name, ()) if isinstance(part.item, PartText) else ())
            for part in each
        )
        for each in (before, after)
    )
    outputs = {name for name, _ in one.outputs} & {name for name, _ in other.outputs}
    names = _same_names(before, after, outputs)
    neurons = _definitions(one), _definitions(other)
    defined = ({key: each[key] for key in each if key in neurons[0].keys() & neurons[1].keys()} for each in neurons)
    settings = ({**_settings(network), **own} for network, own in zip((one, other), defined, strict=True))
    return Difference(
        tuple(_values(*settings)),
        () if _edges(one) == _edges(other) else tuple(body_changes(one, _renamed(before, {}), _renamed(after, names))),
        tuple(_values(*_recipes(one.recipe, other.recipe))),
        tuple(_values(_figures(one), _figures(other))),
    )


def _edges(network: Network) -> list[object]:
    """Return the ops with their sources, numbered from the outputs backward, whatever the order of the nodes."""
    numbers, pending = dict[int, int](), [*network.output_indices]
    while pending:
        index = pending.pop()
        if index not in numbers:
            numbers[index] = len(numbers)
            pending += network.nodes[index].sources
    shared = {user: min(numbers.get(each, -1) for each in users) for users in network.users.values() for user in users}
    inputs = dict(zip(network.input_indices, (source.name for source in network.settings.sources), strict=True))
    edges: list[object] = [name for name, _ in network.outputs]
    for index in numbers:
        node = network.nodes[index]
        sources = [numbers[source] for source in node.sources]
        edges.append((node.op, sources, node.feeds_back, shared.get(index), inputs.get(index)))
    return edges


def _values(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[ValueChange]:
    for key in {**one, **other}:
        before, after = one.get(key, "none"), other.get(key, "none")
        if before != after:
            yield ValueChange(key, before, after)


def _settings(network: Network) -> dict[str, str]:
    settings = network.settings
    options = {settings.init: settings.init != "default", "zero": settings.zero_init}
    init = " ".join(word for word, is_set in options.items() if is_set) or "default"
    rest = {
        name: _value_text(value) for name, value in stated_fields(settings) if name not in {"zero_init", "part_init"}
    }
    rest |= {f"init {part}": str(rule) for part, rule in settings.part_init}
    if settings.neuron is not None:
        rest["neuron"] = kind_text(settings.neuron, lambda left: left.over_steps(settings.steps))
    outputs = {"outputs": " ".join(name for name, _ in network.outputs)} if network.outputs else {}
    return {**rest, "init": init, **outputs}


def _definitions(network: Network) -> dict[str, str]:
    """Return the equations of neurons defined by text, one line each."""
    ops = (*(node.op for node in network), network.settings.neuron)
    own = dict.fromkeys(op.named() for op in ops if op is not None and op.separate_definition())
    # The slice removes the closing brace.
    return {f"neuron {kind.kind}": " ".join(kind.definition_text().partition("{")[2].split())[:-2] for kind in own}


def _recipes(one: Recipe | None, other: Recipe | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the entries of both recipes, or only the datasets if a recipe is missing."""
    if one is not None and other is not None:
        return _recipe(one), _recipe(other)
    before, after = ({"data": recipe.on if recipe is not None else "none"} for recipe in (one, other))
    return before, after


def _recipe(recipe: Recipe) -> dict[str, str]:
    rest = {name: _value_text(value) for name, value in stated_fields(recipe)}
    return {"data": rest.pop("on"), **rest}


def _value_text(value: object) -> str:
    """Return the text of a value in a file, without quotes."""
    return kind_text(value) if isinstance(value, Kind) else format_value(value)


def _figures(network: Network) -> dict[str, str]:
    return {
        "parameters": f"{network.total_parameters:,}",
        "macs": f"{network.total_macs:,}",
        **{name: network.nodes[index].output.size for name, index in network.outputs or (("output", network.output),)},
    }


def _same_names(one: Parts, other: Parts, outputs: Collection[str] = ()) -> dict[str, str]:
    """Return new names for the values of ``other`` that match equal values of ``one``. Names of outputs stay."""
    unmatched = [(name, key) for name, key in _value_keys(one).items() if name not in outputs]
    renames = {name: name for name in outputs}
    for name, key in _value_keys(other).items():
        if name in outputs:
            continue
        match = next((candidate for candidate, candidate_key in unmatched if candidate_key == key), None)
        if match is not None:
            renames[name] = match
            unmatched.remove((match, key))
    taken = {*renames.values()}
    # A prime distinguishes another value with the same name.
    return renames | {name: f"{name}'" for name in _value_keys(other) if name not in renames and name in taken}


def _with_names(part: Part, other: Parts) -> Part:
    """Return a defined part in which values have the names of equal values in the part ``other``."""
    if not isinstance(part.item, PartText):
        return part
    inside = _renamed(part.sides[0], _same_names(other, part.sides[0]))
    text = PartText(part.item.name, tuple(each.item for each in inside), part.item.operands)
    return replace(part, item=text, sides=(inside,))


def _value_keys(parts: Parts) -> dict[str, str]:
    """Return a key for each named value, equal for values with the same computation."""
    keys: dict[str, str] = {}
    defined = {part.item.name for part in parts if isinstance(part.item, LetText)}

    def text(part: Part) -> str:
        if isinstance(part.item, ReadText):
            # Delays can read values that are defined later. Other names are those of inputs and operands.
            return keys.get(part.item.name, "later" if part.item.name in defined else part.item.name)
        own = item_text(part.item) if isinstance(part.item, LayerText) else type(part.item).__name__
        own = part.item.name if isinstance(part.item, MergeText) else own
        return f"{own}({';'.join('-'.join(map(text, side)) for side in part.sides)})"

    for part in parts:
        if isinstance(part.item, LetText):
            # Hashed: values that read each other would make texts of exponential length.
            body_text = "-".join(map(text, part.sides[0]))
            keys[part.item.name] = sha256(body_text.encode()).hexdigest()
    return keys


def _renamed(parts: Parts, names: Mapping[str, str]) -> Parts:
    """Rename the values of a body, and sort them by name. Parts have values of their own."""

    def renamed(part: Part) -> Part:
        if isinstance(part.item, PartText):
            return part
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
    """Return the unrolled parts and body of a network, with texts that have the same meaning in both networks."""
    *parts, body = scopes(network)
    titles = [part.title for part in parts]
    definitions: list[Part] = []
    for part in parts:
        inside = _scope_parts(part, other, titles)
        text = PartText(part.title, tuple(each.item for each in inside), part.operands)
        definitions.append(Part(text, (inside,), ItemPosition((part.title,))))
    return *definitions, *_scope_parts(body, other, titles)


def _scope_parts(scope: TextScope, other: Network, titles: Sequence[str]) -> Parts:
    network = scope.network
    own, others = network.settings, other.settings
    # Without a default neuron, all arguments are explicit.
    plain = replace(network, settings=own.model_copy(update={"neuron": None}))
    node_texts = NodeTexts(plain, item_nodes(network_items(network)))
    join_names = {own.join: OWN_JOIN} if own.join != others.join else {}
    neuron = own.neuron if None not in {own.neuron, others.neuron} and own.neuron != others.neuron else None

    def node_text(node: int) -> str:
        op = network.nodes[node].op
        if neuron is not None and op == neuron:
            return OWN_NEURON
        return join_names[op] if op in join_names else node_texts.node(node)

    _, _, body = body_with_own_blocks(network, nameless=False, parts=titles)
    return tuple(_located(part, scope) for part in unroll_parts(body, node_text))


def _located(part: Part, scope: TextScope) -> Part:
    """Return a part with the indices of the nodes in the complete network."""
    (item,) = scope.located((part.item,))
    assert not isinstance(item, RepeatText)  # noqa: S101 -- unrolled
    sides = tuple(tuple(_located(inner, scope) for inner in side) for side in part.sides)
    return replace(part, item=item, sides=sides)
