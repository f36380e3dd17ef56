"""The shapes behind layers that change them, shown in the text as if written there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.editing.facts import item_flows
from sewdsl.editing.places import children
from sewdsl.editing.view import EditorView
from sewdsl.syntax.tree import Body, Call, JoinOf, Repeat, SyntaxNode


class Hint(NamedTuple):
    """A shape.

    Attributes:
        offset: Behind which character it is shown.
        label: ``32×64×64``; of copies that differ, the first and the last: ``32×64×64 … 32×1×1``.
        tooltip: The range of values.
    """

    offset: int
    label: str
    tooltip: str


def shape_hints(view: EditorView) -> list[Hint]:
    """The shapes behind the layers and blocks of the body, where they are not those before."""
    found = []
    for statement in view.document.statements:
        if isinstance(statement, Body):
            found += [hint for call in _calls(statement) if (hint := _hint(view, call))]
    return found


def _calls(node: SyntaxNode) -> Iterator[Call]:
    for child in children(node):
        if isinstance(child, Call):
            yield child
        elif not isinstance(node, JoinOf | Repeat) or child is not getattr(node, "name", None):
            yield from _calls(child)


def _hint(view: EditorView, call: Call) -> Hint | None:
    changes = [flow.after for flow in item_flows(view, call) if flow.before.shape != flow.after.shape]
    if not changes:
        return None
    sizes = list(dict.fromkeys("×".join(map(str, signal.shape)) for signal in changes))
    label = sizes[0] if len(sizes) == 1 else f"{sizes[0]} … {sizes[-1]}"
    return Hint(call.span.end, label, f"{changes[-1].values}")
