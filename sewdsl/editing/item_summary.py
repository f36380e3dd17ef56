"""Shapes, value ranges and counts of an item of the source over all its copies, and inlay hints made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.editing import EditorView
from sewdsl.ir.signal import Signal
from sewdsl.syntax.tree import Body, Call, Item, Let, MergeOf, Repeat, SyntaxNode, child_nodes

MAX_SHAPES = 4
"""Different shapes of one item that are listed, the last among them."""


class ItemFlow(NamedTuple):
    """What flows in and out of an item, in one or more of its copies.

    Attributes:
        copies: Which copies, counted from 1 in the order of computation.
    """

    before: Signal
    after: Signal
    copies: list[int]

    def __str__(self) -> str:
        return f"`{_size(self.before)}` → `{_size(self.after)}`"

    def where(self, of: int) -> str:
        """In which of so many copies: ``copy 3 of 7``, ``copies 1 to 4 of 7``."""
        first, last = self.copies[0], self.copies[-1]
        return f"copy {first} of {of}" if first == last else f"copies {first} to {last} of {of}"


def item_flows(view: EditorView, item: Item) -> list[ItemFlow]:
    """What flows in and out of an item, equal copies together, in order; none of what is broken."""
    network = view.compilation.network
    found: list[ItemFlow] = []
    for copy, visit in enumerate(view.visits.get((item.span.start, item.span.end), ()), 1):
        if network is None or visit.before is None or visit.after is None:
            continue
        before, after = network.nodes[visit.before].output, network.nodes[visit.after].output
        if found and (found[-1].before, found[-1].after) == (before, after):
            found[-1].copies.append(copy)
        else:
            found.append(ItemFlow(before, after, [copy]))
    return found


def summarize_item(view: EditorView, item: Item) -> str:
    """Arguments in force, shapes, ranges, parameters and operations of an item; empty: nothing is known."""
    network = view.compilation.network
    visits = [visit for visit in view.visits.get((item.span.start, item.span.end), ()) if visit.after is not None]
    found = item_flows(view, item)
    if network is None or not found:
        return ""
    ops = dict.fromkeys(str(network.nodes[visit.begin].op) for visit in visits if visit.end == visit.begin + 1)
    shapes = [f"{flow} ({flow.where(len(visits))})" if len(found) > 1 else str(flow) for flow in found]
    if len(shapes) > MAX_SHAPES:
        shapes[MAX_SHAPES - 1 : -1] = ["…"]
    nodes = [node for visit in visits for node in network.nodes[visit.begin : visit.end]]
    parameters, macs = sum(map(network.parameters, nodes)), sum(map(network.macs, nodes))
    each = f" in {len(visits)} copies" if len(visits) > 1 else ""
    counts = f"{parameters:,} parameters, {macs:,} MACs a time-step{each}"
    return "  \n".join([*(f"`{op}`" for op in ops), *shapes, counts])


def _size(signal: Signal) -> str:
    return f"{signal}" + ("" if signal.varies else ", static")


class Hint(NamedTuple):
    """A shape.

    Attributes:
        offset: After which character it is shown.
        label: ``32×64×64``; of copies that differ, the first and the last: ``32×64×64 … 32×1×1``.
        tooltip: The range of values.
    """

    offset: int
    label: str
    tooltip: str


def shape_hints(view: EditorView) -> list[Hint]:
    """The shapes after the layers and blocks of the body and of named values, where they are not those before."""
    found = []
    for statement in view.document.statements:
        if isinstance(statement, Body | Let):
            found += [hint for call in _calls(statement) if (hint := _hint(view, call))]
    return found


def _calls(node: SyntaxNode) -> Iterator[Call]:
    for child in child_nodes(node):
        if isinstance(child, Call):
            yield child
        elif not isinstance(node, MergeOf | Repeat) or child is not getattr(node, "name", None):
            yield from _calls(child)


def _hint(view: EditorView, call: Call) -> Hint | None:
    changes = [flow.after for flow in item_flows(view, call) if flow.before.shape != flow.after.shape]
    if not changes:
        return None
    sizes = list(dict.fromkeys("×".join(map(str, signal.shape)) for signal in changes))
    label = sizes[0] if len(sizes) == 1 else f"{sizes[0]} … {sizes[-1]}"
    return Hint(call.span.end, label, f"{changes[-1].values}")
