"""Summary of an item of the source over all its copies, and inlay hints with shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.editing import EditorView
from sewdsl.ir.signal import Signal
from sewdsl.syntax.tree import Body, Call, Item, Let, MergeOf, Repeat, SyntaxNode, child_nodes

MAX_SHAPES = 4
"""Largest number of different shapes to list per item, including the last one."""


class ItemFlow(NamedTuple):
    """Signals before and after an item, in consecutive copies with numbers from 1, in the order of computation."""

    before: Signal
    after: Signal
    copies: list[int]

    def __str__(self) -> str:
        return f"`{_size(self.before)}` → `{_size(self.after)}`"

    def where(self, total: int) -> str:
        """Return the copies in words: ``copy 3 of 7``, ``copies 1 to 4 of 7``."""
        first, last = self.copies[0], self.copies[-1]
        return f"copy {first} of {total}" if first == last else f"copies {first} to {last} of {total}"


def item_flows(view: EditorView, item: Item) -> list[ItemFlow]:
    """Return the signals of an item. Equal consecutive copies are merged, broken ones omitted."""
    network = view.compilation.network
    flows: list[ItemFlow] = []
    for copy, visit in enumerate(view.visits.get((item.span.start, item.span.end), ()), 1):
        if network is None or visit.before is None or visit.after is None:
            continue
        before, after = network.nodes[visit.before].output, network.nodes[visit.after].output
        # Copies with the same signals as the previous one share an entry.
        if flows and (flows[-1].before, flows[-1].after) == (before, after):
            flows[-1].copies.append(copy)
        else:
            flows.append(ItemFlow(before, after, [copy]))
    return flows


def summarize_item(view: EditorView, item: Item) -> str:
    """Return arguments, shapes, value ranges, parameters and operations of an item.

    The text is empty if the item was not elaborated.
    """
    network = view.compilation.network
    visits = [visit for visit in view.visits.get((item.span.start, item.span.end), ()) if visit.after is not None]
    flows = item_flows(view, item)
    if network is None or not flows:
        return ""
    # Only items of a single node have one op, with the arguments in force.
    ops = dict.fromkeys(str(network.nodes[visit.begin].op) for visit in visits if visit.end == visit.begin + 1)
    shapes = [f"{flow} ({flow.where(len(visits))})" if len(flows) > 1 else str(flow) for flow in flows]
    if len(shapes) > MAX_SHAPES:
        shapes[MAX_SHAPES - 1 : -1] = ["…"]
    nodes = [node for visit in visits for node in network.nodes[visit.begin : visit.end]]
    parameters, macs = sum(map(network.parameters, nodes)), sum(map(network.macs, nodes))
    copies = f" in {len(visits)} copies" if len(visits) > 1 else ""
    counts = f"{parameters:,} parameters, {macs:,} MACs per time-step{copies}"
    return "  \n".join([*(f"`{op}`" for op in ops), *shapes, counts])


def _size(signal: Signal) -> str:
    return f"{signal}" + ("" if signal.varies else ", static")


class Hint(NamedTuple):
    """Inlay hint with a shape."""

    offset: int
    """Offset after which the hint is shown."""
    label: str
    """``32×64×64``, or the first and last shape of different copies: ``32×64×64 … 32×1×1``."""
    tooltip: str
    """Value range."""


def shape_hints(view: EditorView) -> list[Hint]:
    """Return the shapes after calls in the body and in named values, where they change."""
    hints = []
    for statement in view.document.statements:
        # Shapes inside of blocks differ from call to call.
        if isinstance(statement, Body | Let):
            hints += [hint for call in _calls(statement) if (hint := _hint(view, call))]
    return hints


def _calls(node: SyntaxNode) -> Iterator[Call]:
    for child in child_nodes(node):
        if isinstance(child, Call):
            yield child
        # The name of a merge or repeat is not a layer.
        elif not isinstance(node, MergeOf | Repeat) or child is not getattr(node, "name", None):
            yield from _calls(child)


def _hint(view: EditorView, call: Call) -> Hint | None:
    changes = [flow.after for flow in item_flows(view, call) if flow.before.shape != flow.after.shape]
    if not changes:
        return None
    sizes = list(dict.fromkeys("×".join(map(str, signal.shape)) for signal in changes))
    label = sizes[0] if len(sizes) == 1 else f"{sizes[0]} … {sizes[-1]}"
    return Hint(call.span.end, label, f"{changes[-1].values}")
