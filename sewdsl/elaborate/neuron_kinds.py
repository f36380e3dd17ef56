"""Neuron definitions as kinds: of sources, and of the library ``nets/neurons.net``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.definitions import RESERVED_NAMES, ShippedDefinitions, explain_reserved
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Layer
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue, find, is_reserved
from sewdsl.ops.equation_neurons import EquationActivation, EquationKind, EquationMerge, equation_kind, read_kind
from sewdsl.reporter import Reported
from sewdsl.syntax.tree import BlockDefinition, NeuronDefinition

LIBRARY = "neurons.net"
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


@cache
def shipped_neurons() -> Mapping[str, NeuronDefinition]:
    """Return the neuron definitions of the library by name, in the order of the file."""
    return ShippedDefinitions(LIBRARY, NeuronDefinition)


def is_shipped(kind: type[Kind]) -> bool:
    """Return whether a kind is a shipped neuron, which sources can use without a definition."""
    name = kind.kind
    if not issubclass(kind, EquationKind) or name not in shipped_neurons() or name in catalogue():
        return False
    return shipped_neurons()[name] == kind.definition


@dataclass(frozen=True)
class NeuronKinds:
    """Kinds by name in a source."""

    own: Mapping[str, type[EquationKind]] = field(default_factory=dict)
    """Neurons defined by the source and its used files."""
    broken: frozenset[str] = frozenset()
    """Names of neurons whose definitions have errors. Their uses are not reported."""

    def find(self, name: str) -> type[Kind] | None:
        """Return the kind of a name: of the source, of sewdsl and plugins, or of the library, in this order."""
        return self.own.get(name) or find(name) or self.shipped(name)

    def shipped(self, name: str) -> type[EquationKind] | None:
        """Return a neuron of the library, unless another kind has its name."""
        visible = name in shipped_neurons() and name not in self.own and name not in catalogue()
        return equation_kind(shipped_neurons()[name]) if visible else None

    def names(self, family: type[Kind]) -> list[str]:
        """Return the names of the kinds of a family, those of the library last."""
        names = [name for kinds in (self.own, catalogue()) for name, kind in kinds.items() if issubclass(kind, family)]
        # Neurons of the library are read only for families that can contain them.
        if issubclass(EquationActivation, family) or issubclass(EquationMerge, family):
            names += [name for name in shipped_neurons() if (kind := self.shipped(name)) and issubclass(kind, family)]
        return [*dict.fromkeys(names)]


def read_neurons(definitions: Mapping[str, NeuronDefinition]) -> Reported[NeuronKinds]:
    """Convert neuron definitions to kinds, and report their errors."""
    own: dict[str, type[EquationKind]] = {}
    diagnostics: list[Diagnostic] = []
    for name, definition in definitions.items():
        problems = [*_check_name(definition)]
        read = read_kind(definition)
        diagnostics += [*problems, *read.diagnostics]
        if read.value is not None and not any(problem.severity is Severity.ERROR for problem in problems):
            own[name] = read.value
    return Reported(NeuronKinds(own, frozenset(definitions) - own.keys()), tuple(diagnostics))


def _check_name(definition: NeuronDefinition) -> Iterator[Diagnostic]:
    """Report an invalid or reserved name of a neuron, or one that shadows a shipped neuron."""
    name, span = definition.name.text, definition.name.span
    kind = find(name) if is_reserved(name) else None
    layers = {symbol: kind for symbol, kind in catalogue().items() if issubclass(kind, Layer)}
    # A name such as 'c3k3' would be read as a layer with compact arguments.
    head = compact_arguments.longest_symbol(name, layers)
    is_layer = head is not None and compact_arguments.is_complete(name[len(head) :], layers[head])
    if not _NAME.fullmatch(name):
        message, hint = f"invalid name '{name}' of a neuron", "use letters, digits and underscores"
        yield Diagnostic("reserved-name", message, span, help=hint)
    elif name in RESERVED_NAMES or (kind is not None and not issubclass(kind, Activation)) or is_layer:
        message, hint = explain_reserved(name), "rename the neuron"
        yield Diagnostic("duplicate-neuron", message, span, help=hint)
    elif (kind is not None or name in shipped_neurons()) and shipped_neurons().get(name) != definition:
        yield Diagnostic(
            "shadowed-neuron",
            f"'{name}' shadows the shipped neuron of this name",
            span,
            label="different definition",
            help="rename the neuron, or add 'allow shadowed-neuron \"reason\"'",
            severity=Severity.WARNING,
        )


def check_blocks_and_neurons(
    blocks: Mapping[str, BlockDefinition], neurons: Mapping[str, NeuronDefinition]
) -> Iterator[Diagnostic]:
    """Report neurons with the name of a block or a part."""
    for name, block in blocks.items():
        if name in neurons:
            message, hint = f"'{name}' is also the name of a {block.keyword}", "rename one of them"
            yield Diagnostic("duplicate-neuron", message, neurons[name].name.span, help=hint)
