"""Shortest unambiguous texts of kinds and nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, TypeVar

from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.arguments import CACHE_SIZE, after_settling, redundant_arguments, with_arguments
from sewdsl.elaborate.node_builder import FollowerIndex, Followers
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ir.op import Merge, Op
from sewdsl.ir.printed_values import format_value
from sewdsl.notation.item_text import UnwritableNetwork
from sewdsl.notation.part_calls import CalledMerge, PartOperand
from sewdsl.ops import find
from sewdsl.ops.input import Input
from sewdsl.syntax.lexicon import OWN_JOIN

ALWAYS_WRITTEN = "s"
"""Letter that is printed even for the default value, as in papers: ``c32k3s1``, ``MPk2s2``."""
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(x[0-9]+)?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PART = re.compile(r"(?!none$)[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*(\.\*)?|[0-9]+(\.[0-9]+)?x")
"""Name of a layer or group, optionally with ``.*``, or a factor such as ``10x``."""
_RESERVED_WORDS = frozenset({"on", "off", "none", "true", "false", "in", "or"})
"""Words with a meaning in the language, which must be quoted as texts."""

Some = TypeVar("Some", bound=Kind)


def kind_text(kind: Some, settle: Callable[[Some], Some] | None = None, default: Kind | None = None) -> str:
    """Return the text of a kind: ``c32k3s1``, ``DP0.25``, ``LIF(tau=3.0)``, ``ATan``.

    Args:
        settle: Fills in arguments that depend on the surroundings. These are omitted from the text.
        default: Instance whose arguments are the defaults if it is of the same kind, e.g. the neuron of the header.

    Raises:
        ValueError: If no text is read as this kind, or the value of an argument has no text.
    """
    if find(kind.kind) is not type(kind) and not kind.defined_by_text:
        raise ValueError(f"'{kind.kind}' is not a name of the language")
    redundant = redundant_arguments(kind, settle, default)
    letters = _letters(type(kind))
    shortest = tuple(name for name, _ in kind if letters.get(name) == ALWAYS_WRITTEN or name not in redundant)
    # Arguments can depend on each other, so verify the short text, and fall back to all arguments.
    for names in (shortest, tuple(name for name, _ in kind)):
        parsed: Some | None
        parsed, text = _text_and_kind(kind, names, default)
        if after_settling(parsed, settle) == kind:
            return text
    raise ValueError(f"no text has the value {kind} here: an argument depends on the surroundings")


@cache
def _letters(kind: type[Kind]) -> dict[str, str]:
    return {name: letter for letter, name in kind.letters().items()}


@lru_cache(CACHE_SIZE)
def _text_and_kind(kind: Any, names: tuple[str, ...], default: Kind | None) -> tuple[Any, str]:
    """Return the kind that is read from a text with the given arguments, and the text."""
    arguments: dict[str, Any] = {}
    values = dict(kind)
    family: type[Kind] = type(kind)
    letters, unnamed, compact, named = _letters(family), family.unnamed(), kind.kind, []
    for name in names:
        value, letter = values[name], letters.get(name)
        digits = "" if letter is None else _compact_value(value)
        if digits:
            (piece,) = compact_arguments.split_arguments(digits)
            arguments[name] = piece.value
            compact += f"{letter}{digits}"
        else:
            arguments[name] = value
            named.append(value_text(value) if name == unnamed else f"{name}={value_text(value)}")
    return with_arguments(family, arguments, default), kind.call_text(compact, named)


def _compact_value(value: object) -> str:
    """Return the text of a value after a letter, or an empty text if it has none."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    text = str(int(value)) if isinstance(value, bool) else format_value(value)
    return text if _NUMBER.fullmatch(text) else ""


def value_text(value: object) -> str:
    """Return the text of a value after ``=`` or a key, or raise ValueError if it has none."""
    match value:
        case Kind():
            return kind_text(value)
        case None | bool() | int() | float():
            return format_value(value)
        case tuple() if value and all(type(item) is int and item >= 0 for item in value):
            return format_value(value)
        case tuple() if value and all(isinstance(item, str | tuple | float) for item in value):
            texts = (item if isinstance(item, str) and _PART.fullmatch(item) else value_text(item) for item in value)
            return " ".join(texts)
        case str():
            return value if _plain(value) else quote_text(value)
    raise ValueError(f"{value!r} cannot be written")


@cache
def _plain(text: str) -> bool:
    """Return whether a text needs no quotes."""
    # The name of a kind would be read as a value of that kind.
    return bool(_WORD.fullmatch(text)) and text not in _RESERVED_WORDS and find(text) in {None, Input}


def quote_text(text: str) -> str:
    """Return a text in double quotes, or raise ValueError for a quote or a line end, which would need escapes."""
    if set(text) & set('"\r\n'):
        raise ValueError(f"{text!r} cannot be quoted")
    return f'"{text}"'


class NodeTexts:
    """Texts of the nodes of a network, without arguments that follow from the header or the surroundings.

    Args:
        order: Nodes, except the inputs, in the order of the compiler. Arguments can depend on the nearest consumer.
    """

    def __init__(self, network: Network, order: Iterable[int]) -> None:
        self._network, self._header = network, network.settings
        rank = {index: position for position, index in enumerate((*network.input_indices, *order))}
        # Operands of a part have no text, and no rank.
        consumers = [sorted(group, key=lambda index: rank.get(index, 0)) for group in network.graph.consumers]
        self._followers = FollowerIndex([node.op for node in network], consumers, network.settings.steps)
        self._texts: dict[Op, str] = {}

    def node(self, index: int) -> str:
        """Return the text of a node, e.g. ``c32k3s1``, or the text before the operands of a merge."""
        op = self._network.nodes[index].op
        if isinstance(op, PartOperand | CalledMerge):
            return op.title
        try:
            if isinstance(op, Merge):
                return self.merge(op)
            if type(op).settle is Op.settle:
                return self.alone(op)
            followers = Followers(self._followers, index)
            return kind_text(op, followers.settled, self._header.neuron)
        except ValueError as error:
            raise UnwritableNetwork(self._network.nodes[index], str(error)) from error

    def alone(self, op: Op) -> str:
        """Return the text of an op without regard to its consumers."""
        if op not in self._texts:
            steps, default = self._header.steps, self._header.neuron
            text = self.merge(op) if isinstance(op, Merge) else kind_text(op, lambda o: o.over_steps(steps), default)
            self._texts[op] = text
        return self._texts[op]

    def merge(self, op: Merge) -> str:
        """Return the text before the operands: ``ADD``, ``ATTN(heads=8)``, or ``g`` for the join of the header."""
        text = kind_text(op)
        return OWN_JOIN if text != op.kind and op == self._header.join else text


def neurons(network: Network) -> str:
    """Return the number of neurons of each kind: ``17 IF``, ``1 IF and 16 LIF(tau=3.0)``."""
    counted = [f"{len(names)} {text}" for text, names in _neurons_by_text(network).items()]
    return " and ".join(filter(None, (", ".join(counted[:-1]), *counted[-1:])))


def mixture(network: Network) -> str:
    """Return a note that lists neurons of different kinds, or an empty text if all are equal."""
    names_by_text = _neurons_by_text(network)
    if len(names_by_text) <= 1:
        return ""
    counted = ", ".join(
        f"{len(names)} {text} ({names[0]}{', …' if len(names) > 1 else ''})" for text, names in names_by_text.items()
    )
    return f"neurons of {len(names_by_text)} kinds: {counted}"


def _neurons_by_text(network: Network) -> dict[str, list[str]]:
    """Return the names of all activations, by the text of their kind."""
    names_by_text: dict[str, list[str]] = {}
    for node in network:
        if node.op.is_activation:
            try:
                text = kind_text(node.op)
            except ValueError:  # E.g. a kind that is defined in a script.
                text = str(node.op)
            names_by_text.setdefault(text, []).append(node.name)
    return names_by_text
