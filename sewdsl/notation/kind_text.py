"""The text of kinds and nodes: as short as can be without being read as another."""

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
from sewdsl.ir.op import Activation, Merge, Op
from sewdsl.ir.printed_values import format_value
from sewdsl.notation.item_text import UnwritableNetwork
from sewdsl.ops import find
from sewdsl.syntax.lexicon import OWN_JOIN

ALWAYS_WRITTEN = "s"
"""The letter that is written even where the default holds: papers print ``c32k3s1`` and ``MPk2s2``."""
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(x[0-9]+)?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PART = re.compile(r"(?!none$)[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*(\.\*)?|[0-9]+(\.[0-9]+)?x")
"""The name of a layer or a part, or all in it; how many times as much."""
_RESERVED_WORDS = frozenset({"on", "off", "none", "true", "false", "in", "or"})
"""Words that mean something else than themselves."""

Some = TypeVar("Some", bound=Kind)


def kind_text(kind: Some, settle: Callable[[Some], Some] | None = None, default: Kind | None = None) -> str:
    """The text of a kind: ``c32k3s1``, ``DP0.25``, ``LIF(tau=3.0)``, ``ATan``.

    Args:
        settle: Fills in what depends on the surroundings; what it fills in by itself is not written.
        default: Whose arguments fill in for those not written, where it is of the same kind: the header's neuron.

    Raises:
        ValueError: no text is read as this, or an argument has a value that cannot be written.
    """
    if find(kind.kind) is not type(kind) and not kind.defined_by_text:
        raise ValueError(f"'{kind.kind}' is not a name of the language")
    unsaid = redundant_arguments(kind, settle, default)
    letters = _letters(type(kind))
    shortest = tuple(name for name, _ in kind if letters.get(name) == ALWAYS_WRITTEN or name not in unsaid)
    for names in (shortest, tuple(name for name, _ in kind)):
        made: Some | None
        made, text = _written(kind, names, default)
        if after_settling(made, settle) == kind:
            return text
    raise ValueError(f"{kind} is not what anything is read as here: an argument follows from its surroundings")


@cache
def _letters(kind: type[Kind]) -> dict[str, str]:
    """The letters of arguments by their names."""
    return {name: letter for letter, name in kind.letters().items()}


@lru_cache(CACHE_SIZE)
def _written(kind: Any, names: tuple[str, ...], default: Kind | None) -> tuple[Any, str]:
    """The text with some arguments, and what is read from it."""
    given: dict[str, Any] = {}
    values = dict(kind)
    family: type[Kind] = type(kind)
    letters, tight, named = _letters(family), kind.kind, []
    for name in names:
        value, letter = values[name], letters.get(name)
        number = "" if letter is None else _number(value)
        if number:
            (piece,) = compact_arguments.split_arguments(number)
            given[name] = piece.value
            tight += f"{letter}{number}"
        else:
            given[name] = value
            named.append(f"{name}={value_text(value)}")
    return with_arguments(family, given, default), tight + (f"({', '.join(named)})" if named else "")


def _number(value: object) -> str:
    """A value as it follows a letter; empty where it cannot."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    text = str(int(value)) if isinstance(value, bool) else format_value(value)
    return text if _NUMBER.fullmatch(text) else ""


def value_text(value: object) -> str:
    """A value as it follows ``=`` or a setting's key.

    Raises:
        ValueError: it cannot be written.
    """
    match value:
        case Kind():
            return kind_text(value)
        case None | bool() | int() | float():
            return format_value(value)
        case tuple() if len(value) > 1 and all(type(item) is int and item >= 0 for item in value):
            return format_value(value)
        case tuple() if value and all(isinstance(item, str | tuple | float) for item in value):
            texts = (item if isinstance(item, str) and _PART.fullmatch(item) else value_text(item) for item in value)
            return " ".join(texts)
        case str():
            return value if _plain(value) else quote_text(value)
    raise ValueError(f"{value!r} cannot be written")


@cache
def _plain(text: str) -> bool:
    """Whether a text may be written without quotes."""
    return bool(_WORD.fullmatch(text)) and text not in _RESERVED_WORDS and find(text) is None


def quote_text(text: str) -> str:
    """A text between double quotes.

    Raises:
        ValueError: it has a quote or an end of line in it, for which there is no escape.
    """
    if set(text) & set('"\r\n'):
        raise ValueError(f"{text!r} cannot be written between quotes")
    return f'"{text}"'


class NodeTexts:
    """Knows what the header and the surroundings of a node make superfluous.

    Args:
        order: Its nodes but the input as the compiler will order them: where a node has several readers, what follows
            from the nearest of them depends on it.
    """

    def __init__(self, network: Network, order: Iterable[int]) -> None:
        self._network, self._header = network, network.settings
        rank = {index: place for place, index in enumerate(order)}
        in_order = [sorted(group, key=rank.__getitem__) for group in network.graph.consumers]
        self._followers = FollowerIndex([node.op for node in network], in_order, network.settings.steps)
        self._known: dict[Op, str] = {}

    def node(self, index: int) -> str:
        """The text of the node at an index: ``c32k3s1``; of a merge, what precedes its operands."""
        op = self._network.nodes[index].op
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
        """The text of an op wherever it is, before anything is filled in that depends on what follows."""
        if op not in self._known:
            steps, default = self._header.steps, self._header.neuron
            text = self.merge(op) if isinstance(op, Merge) else kind_text(op, lambda o: o.over_steps(steps), default)
            self._known[op] = text
        return self._known[op]

    def merge(self, op: Merge) -> str:
        """``ADD``, ``ATTN(heads=8)``: what precedes the operands; ``g`` for the header's join with arguments."""
        text = kind_text(op)
        return OWN_JOIN if text != op.kind and op == self._header.join else text


def neurons(network: Network) -> str:
    """How many neurons there are of each kind, which weights do not tell as far as neurons learn nothing.

    ``17 IF``, ``1 IF and 16 LIF(tau=3.0)``; empty where there are none.
    """
    counted = [f"{len(names)} {text}" for text, names in _neurons_by_text(network).items()]
    return " and ".join(filter(None, (", ".join(counted[:-1]), *counted[-1:])))


def mixture(network: Network) -> str:
    """What there is to say of neurons that are not all alike, with the first of each kind; empty where they are."""
    found = _neurons_by_text(network)
    if len(found) <= 1:
        return ""
    counted = ", ".join(
        f"{len(names)} {text} ({names[0]}{', …' if len(names) > 1 else ''})" for text, names in found.items()
    )
    return f"neurons of {len(found)} kinds: {counted}"


def _neurons_by_text(network: Network) -> dict[str, list[str]]:
    """Names of the neurons by what they are."""
    found: dict[str, list[str]] = {}
    for node in network:
        if isinstance(node.op, Activation):
            found.setdefault(_neuron_text(node.op), []).append(node.name)
    return found


def _neuron_text(op: Activation) -> str:
    try:
        return kind_text(op)
    except ValueError:  # such as an unannounced kind
        return str(op)
