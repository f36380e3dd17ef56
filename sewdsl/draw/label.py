"""The words on a layer: its canonical short text, without what goes without saying."""

from __future__ import annotations

from dataclasses import dataclass

from sewdsl.elaborate.builder import Followers, Graph
from sewdsl.elaborate.omission import redundant_arguments
from sewdsl.ir.network import Network
from sewdsl.ir.op import Downstream, Op
from sewdsl.ir.words import format_value
from sewdsl.ops.input import Input

ALWAYS_SHOWN = ("", "k", "s")
"""Letters that are shown even where the default holds: papers print ``c32k3s1``."""
MAX_LABEL_LENGTH = 36


@dataclass(frozen=True)
class Label:
    """The text of a layer.

    Attributes:
        title: The compact form, spaced: ``c32 k3 s1``.
        details: Other arguments that are not at their defaults, one each: ``tau = 1.5``.
    """

    title: str
    details: tuple[str, ...] = ()


class Labels:
    """The labels of the nodes of one network."""

    def __init__(self, network: Network) -> None:
        self._ops = [node.op for node in network]
        self._graph = Graph(self._ops, network.readers)

    def of(self, index: int) -> Label:
        """The label of a node.

        An argument is shown only if leaving it out would give another layer; channels, kernel and stride always.
        """
        return _label(self._ops[index], Followers(self._graph, index))


def _label(op: Op, downstream: Downstream) -> Label:
    if isinstance(op, Input):
        return Label("input")
    letters = {name: letter for letter, name in op.letters().items()}
    title, details = [op.kind], []
    unsaid = redundant_arguments(op, lambda left: left.settle(downstream))
    for name, value in op:
        letter = letters.get(name)
        if value is None and letter is not None:
            continue
        if letter not in ALWAYS_SHOWN and name in unsaid:
            continue
        if letter is None:
            details.append(_cut(f"{name} = {format_value(value)}"))
        elif letter:
            title.append(letter + _compact(value))
        else:
            title[0] += _compact(value)
    return Label(_cut(" ".join(title)), tuple(details))


def _compact(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, dict.fromkeys(value)))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL_LENGTH else f"{text[: MAX_LABEL_LENGTH - 1]}…"
