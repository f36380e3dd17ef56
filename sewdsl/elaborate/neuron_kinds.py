"""The neurons that texts define, as kinds: those of a file and of what it uses, and those of ``nets/neurons.net``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cache

from sewdsl.elaborate.shipped_definitions import ShippedDefinitions
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue, find
from sewdsl.ops.equation_neurons import EquationKind, equation_kind
from sewdsl.syntax.tree import NeuronDefinition

LIBRARY = "neurons.net"


@cache
def shipped_neurons() -> Mapping[str, NeuronDefinition]:
    """Definitions of the library by name, in the order of the file; reading a damaged one raises SewdslError."""
    return ShippedDefinitions(LIBRARY, NeuronDefinition)


def is_shipped(kind: type[Kind]) -> bool:
    """Whether the name of a neuron as equations means it in every text, without a definition."""
    name = kind.kind
    if not issubclass(kind, EquationKind) or name not in shipped_neurons() or name in catalogue():
        return False
    return shipped_neurons()[name] == kind.definition


@dataclass(frozen=True)
class NeuronKinds:
    """What names of kinds mean in a text.

    Attributes:
        own: The neurons that the text and the files that it uses define.
        broken: Names of those that cannot be read: of what needs them nothing is said.
    """

    own: Mapping[str, type[EquationKind]] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()

    def find(self, name: str) -> type[Kind] | None:
        """The kind of a name: a neuron of the text, one of sewdsl or of another distribution, or one of the library."""
        return self.own.get(name) or find(name) or self.shipped(name)

    def shipped(self, name: str) -> type[EquationKind] | None:
        """The neuron of the library, where no other kind has its name."""
        known = name in shipped_neurons() and name not in self.own and name not in catalogue()
        return equation_kind(shipped_neurons()[name]) if known else None

    def names(self, family: type[Kind]) -> list[str]:
        """The names of a family, those of the library last."""
        found = [name for name, kind in catalogue().items() if issubclass(kind, family)]
        if issubclass(Activation, family):
            found = [*self.own, *found, *(name for name in shipped_neurons() if self.shipped(name))]
        return [*dict.fromkeys(found)]

    def __hash__(self) -> int:
        return id(self)
