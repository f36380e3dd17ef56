"""From an alignment of two bodies to changes, each said once for all copies that have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from sewdsl.ir.network import Network
from sewdsl.notation.alignment import Alignment, call_body
from sewdsl.notation.fold import fold_repeats
from sewdsl.notation.part import ItemPosition, Part, Parts
from sewdsl.notation.tree import BlockText, JoinText, LayerText, item_text, items_text


@dataclass(frozen=True)
class Change:
    """A change of the body.

    Attributes:
        before: What was there, as a text would have it; empty: nothing was.
        after: What is there now; empty: nothing is.
        where: ``at``, ``behind``, ``before``, or ``in the branch of`` and ``in the shortcut of`` where that was ``id``.
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
    """What makes one body another, in order.

    Args:
        network: The first network.
        one: Its body.
        other: The other one's.
    """
    found: dict[object, list[_Found]] = {}
    for item in _Comparison(network).sequences(
        one, other, _Found(Change("", "", "behind", network.nodes[0].name), ItemPosition())
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
            one: As it was.
            other: As it is.
            around: Where changes are if nothing was in it.
        """
        pairs = list(self._alignment.pairs(one, other))
        behind: Part | None = None
        for together, group in groupby(pairs, lambda pair: None not in pair):
            run = list(group)
            if together:
                for before, after in run:
                    if before is not None and after is not None:
                        yield from self._both(before, after)
                        behind = before
                continue
            gone = tuple(before for before, _ in run if before is not None)
            come = tuple(after for _, after in run if after is not None)
            yield self._replaced(gone, come, behind, one, around)
            behind = gone[-1] if gone else behind

    def _replaced(self, gone: Parts, come: Parts, behind: Part | None, one: Parts, around: _Found) -> _Found:
        """Items that went, and those that came in their place."""
        texts = _text(gone), _text(come)
        if gone:
            return self._found(*texts, "at", gone[0])
        if behind is not None:
            return self._found(*texts, "behind", behind)
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
            case JoinText(name=was), JoinText(name=now):
                if was != now:
                    yield self._found(f"{was}[…]", f"{now}[…]", "at", before)
                for side, old, new in zip(("branch", "shortcut"), before.sides, after.sides, strict=True):
                    yield from self.sequences(old, new, self._found("", "", f"in the {side} of", before))
            case BlockText(), BlockText() if item_text(before.item) != item_text(after.item):
                yield self._found(item_text(before.item), item_text(after.item), "at", before)
            case _:
                yield from self.sequences(call_body(before), call_body(after), self._found("", "", "at", before))

    def _found(self, was: str, now: str, where: str, part: Part) -> _Found:
        return _Found(Change(was, now, where, self._name(part)), part.place)

    def _name(self, part: Part) -> str:
        """The name of a node; of a block, what the names of its nodes have in common."""
        names = [self._network.nodes[node].name.split(".") for node in part_nodes(part)]
        if not isinstance(part.item, BlockText):
            return ".".join(names[-1])
        common = [group[0] for group in zip(*names, strict=False) if len(set(group)) == 1]
        return ".".join(common or names[0])


def part_nodes(part: Part) -> Iterator[int]:
    """All nodes of a part, its own last."""
    for side in part.sides:
        for inner in side:
            yield from part_nodes(inner)
    if not isinstance(part.item, BlockText):
        yield part.node


def _text(parts: Parts) -> str:
    return items_text(fold_repeats(tuple(part.item for part in parts))) if parts else ""


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
