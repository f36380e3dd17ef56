"""What the definition of a neuron must be, whoever names it, and the kinds that definitions become."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.block_definitions import RESERVED_NAMES
from sewdsl.elaborate.neuron_kinds import NeuronKinds, shipped_neurons
from sewdsl.ir.op import Activation, Layer
from sewdsl.ops import catalogue, find
from sewdsl.ops.equation_neurons import EquationKind, read_kind
from sewdsl.reporter import Reported
from sewdsl.syntax.tree import NeuronDefinition

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


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
