"""The neurons that texts define, as kinds, and what is wrong with definitions; those of ``nets/neurons.net``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.definitions import RESERVED_NAMES, ShippedDefinitions
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Layer
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue, find
from sewdsl.ops.equation_neurons import EquationKind, equation_kind, read_kind
from sewdsl.reporter import Reported
from sewdsl.syntax.tree import NeuronDefinition

LIBRARY = "neurons.net"
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


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


def read_neurons(definitions: Mapping[str, NeuronDefinition]) -> Reported[NeuronKinds]:
    """The kinds that definitions are, with all that is wrong with these."""
    own: dict[str, type[EquationKind]] = {}
    said: list[Diagnostic] = []
    for name, definition in definitions.items():
        problems = [*_check_name(definition)]
        read = read_kind(definition)
        said += [*problems, *read.diagnostics]
        if read.value is not None and not any(problem.severity is Severity.ERROR for problem in problems):
            own[name] = read.value
    return Reported(NeuronKinds(own, frozenset(definitions) - own.keys()), tuple(said))


def _check_name(definition: NeuronDefinition) -> Iterator[Diagnostic]:
    """Complains of a name that means something else."""
    name, span = definition.name.text, definition.name.span
    kind = find(name)
    layers = {known: kind for known, kind in catalogue().items() if issubclass(kind, Layer)}
    head = compact_arguments.longest_symbol(name, layers)
    is_layer = head is not None and compact_arguments.is_complete(name[len(head) :], layers[head])
    if not _NAME.fullmatch(name):
        message, hint = f"'{name}' cannot be the name of a neuron", "write letters, digits and underscores"
        yield Diagnostic("reserved-name", Severity.ERROR, message, span, help=hint)
    elif name in RESERVED_NAMES or (kind is not None and not issubclass(kind, Activation)) or is_layer:
        message, hint = f"'{name}' is a name of the language", "choose another name for the neuron"
        yield Diagnostic("duplicate-neuron", Severity.ERROR, message, span, help=hint)
    elif (kind is not None or name in shipped_neurons()) and shipped_neurons().get(name) != definition:
        yield Diagnostic(
            "shadowed-neuron",
            Severity.WARNING,
            f"'{name}' replaces the shipped neuron of this name",
            span,
            label="defined otherwise here",
            help="choose another name, or say 'allow shadowed-neuron \"why\"'",
        )


def check_blocks_and_neurons(blocks: Iterable[str], neurons: Mapping[str, NeuronDefinition]) -> Iterator[Diagnostic]:
    """Complains of neurons that have the name of a block."""
    for name in blocks:
        if name in neurons:
            message, hint = f"'{name}' is a block too", "choose another name for one of them"
            yield Diagnostic("duplicate-neuron", Severity.ERROR, message, neurons[name].name.span, help=hint)
