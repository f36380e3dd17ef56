"""Checks of block definitions, and access to shipped definitions of blocks and neurons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Generic, TypeVar

from sewdsl.diagnostics import Diagnostic, Severity, SewdslError
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.ops import find, is_reserved
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.parser import parse_excerpt, parse_statements
from sewdsl.syntax.tree import BlockDefinition, BlockParameter, NeuronDefinition, Number, Parameter

INPUT_CHANNELS_DEFAULT = "in"
"""Default that means the number of input channels of the block."""
RESERVED_NAMES = {
    IDENTITY: "the input itself",
    OWN_NEURON: "the neuron of the file",
    OWN_JOIN: "the join of the file",
    INPUT_CHANNELS_DEFAULT: "the number of input channels",
}
"""Names that no definition can have, with their meaning."""


def explain_reserved(name: str) -> str:
    """Return the message for a definition with a reserved name."""
    if name in RESERVED_NAMES:
        return f"'{name}' is reserved for {RESERVED_NAMES[name]}"
    return f"'{name}' is the name of a kind" + ("" if find(name) else " with arguments")


def check_definitions(blocks: Iterable[BlockDefinition]) -> Iterator[Diagnostic]:
    """Report blocks and parameters with reserved or duplicate names, and invalid defaults."""
    for block in blocks:
        name = block.name.plain or ""
        if name in RESERVED_NAMES or is_reserved(name):
            hint = "rename the part" if block.shared else "rename the block, e.g. to two words"
            message = explain_reserved(name)
            yield Diagnostic("duplicate-block", message, block.name.span, help=hint)
        seen: set[str] = set()
        for parameter in block.parameters:
            yield from _check_parameter(parameter, seen)
            seen.add(parameter.name)


def check_shadowed_blocks(
    blocks: Mapping[str, BlockDefinition], library: Mapping[str, BlockDefinition]
) -> Iterator[Diagnostic]:
    """Warn about blocks that shadow a different shipped block."""
    for name, block in blocks.items():
        if name in library and _meaning(block) != _meaning(library[name]):
            yield Diagnostic(
                "shadowed-block",
                f"'{block.name.span.text}' shadows the shipped block of this name",
                block.name.span,
                label="different definition",
                help="rename the block, or add 'allow shadowed-block \"reason\"'",
                severity=Severity.WARNING,
            )


def default_number(parameter: BlockParameter) -> float | None:
    """Return the default of a parameter if it is a number, else None."""
    return parameter.default.value if isinstance(parameter.default, Number) else None


def _meaning(block: BlockDefinition) -> tuple[object, ...]:
    return block.shared, block.parameters, block.operands, block.lets, block.expression


def _check_parameter(parameter: BlockParameter, seen: set[str]) -> Iterator[Diagnostic]:
    name, default, span = parameter.name, parameter.default, parameter.span
    if name in seen:
        message = f"duplicate parameter '{name}'"
        yield Diagnostic("duplicate-argument", message, span, help="remove one of them")
    elif name in RESERVED_NAMES:
        message, hint = explain_reserved(name), "rename the parameter"
        yield Diagnostic("invalid-argument", message, span, help=hint)
    if not (default is None or default_number(parameter) is not None or default == Parameter(INPUT_CHANNELS_DEFAULT)):
        message = f"the default of '{name}' must be a number or '{INPUT_CHANNELS_DEFAULT}'"
        label = f"got {default.span.text}"
        yield Diagnostic("invalid-argument", message, default.span, label=label)


Definition = TypeVar("Definition", BlockDefinition, NeuronDefinition)


class ShippedDefinitions(Mapping[str, Definition], Generic[Definition]):
    """Blocks or neurons of a file in ``nets/`` by name without white space, in the order of the file."""

    def __init__(self, file: str, family: type[Definition]) -> None:
        # Definitions are parsed on access: a network uses one or two, and parsing all takes longer than the network.
        source: Source = Source(file, (resource_folder("nets") / file).read_text(encoding="utf-8"))
        heads: list[re.Match[str]] = [*_DEFINED.finditer(source.text)]
        ends = [*(later.start() for later in heads[1:]), len(source.text)]
        self._family: type[Definition] = family
        self._spans = {
            "".join(head["name"].split()): Span(source, head.start(), end)
            for head, end in zip(heads, ends, strict=True)
            if head["keyword"] == _KEYWORDS[family]
        }
        self._parsed: dict[str, Definition] = {}

    def __getitem__(self, name: str) -> Definition:
        """Return the definition of a name.

        Raises:
            KeyError: If the file has no such definition.
            SewdslError: If the definition has errors.
        """
        if name not in self._parsed:
            # The limits of the user's source do not apply to shipped files.
            reporter = Reporter()
            document = reporter.take(parse_excerpt(self._spans[name], parse_statements, DEFAULT_LIMITS))
            statements = document.statements
            reporter.extend(check_definitions(block for block in statements if isinstance(block, BlockDefinition)))
            if reporter.errors:
                raise SewdslError(reporter)
            (self._parsed[name],) = (each for each in statements if isinstance(each, self._family))
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def __contains__(self, name: object) -> bool:
        return name in self._spans


_KEYWORDS: dict[type[BlockDefinition | NeuronDefinition], str] = {BlockDefinition: "block", NeuronDefinition: "neuron"}
_DEFINED = re.compile(r"^(?P<keyword>block|neuron) (?P<name>[A-Za-z][A-Za-z0-9_ ]*)", re.MULTILINE)


@cache
def shipped_blocks() -> Mapping[str, BlockDefinition]:
    """Return the blocks of ``nets/blocks.net`` by name without white space."""
    return ShippedDefinitions("blocks.net", BlockDefinition)
