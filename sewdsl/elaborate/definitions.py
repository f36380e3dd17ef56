"""Definitions of blocks: what they must be, whoever calls them; those of blocks and neurons in shipped files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Generic, TypeVar

from sewdsl.diagnostics import Diagnostic, Severity, SewdslError
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.ops import catalogue
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.parser import parse_excerpt, parse_statements
from sewdsl.syntax.tree import BlockDefinition, BlockParameter, NeuronDefinition, Number, Parameter

INPUT_CHANNELS_DEFAULT = "in"
"""The default that represents the channels of the block's input."""
RESERVED_NAMES = (IDENTITY, OWN_NEURON, OWN_JOIN, INPUT_CHANNELS_DEFAULT)


def check_definitions(blocks: Iterable[BlockDefinition]) -> Iterator[Diagnostic]:
    """Complains of names that mean something else already, and parameters that no call could give."""
    for block in blocks:
        name = block.name.plain or ""
        if name in RESERVED_NAMES or name in catalogue():
            hint = "choose another name, such as one of two words"
            message = f"'{name}' is a name of the language"
            yield Diagnostic("duplicate-block", Severity.ERROR, message, block.name.span, help=hint)
        seen: set[str] = set()
        for parameter in block.parameters:
            yield from _check_parameter(parameter, seen)
            seen.add(parameter.name)


def check_shadowed_blocks(
    blocks: Mapping[str, BlockDefinition], library: Mapping[str, BlockDefinition]
) -> Iterator[Diagnostic]:
    """Warns of blocks that replace shipped ones, and differ from them."""
    for name, block in blocks.items():
        if name in library and _meaning(block) != _meaning(library[name]):
            yield Diagnostic(
                "shadowed-block",
                Severity.WARNING,
                f"'{block.name.span.text}' replaces the shipped block of this name",
                block.name.span,
                label="defined otherwise here",
                help="choose another name, or say 'allow shadowed-block \"why\"'",
            )


def default_number(parameter: BlockParameter) -> float | None:
    """The default of a parameter where that is a number; None where it is anything else, or is none."""
    return parameter.default.value if isinstance(parameter.default, Number) else None


def _meaning(block: BlockDefinition) -> tuple[object, ...]:
    return block.parameters, block.operands, block.lets, block.expression


def _check_parameter(parameter: BlockParameter, seen: set[str]) -> Iterator[Diagnostic]:
    name, default, span = parameter.name, parameter.default, parameter.span
    if name in seen:
        message = f"parameter '{name}' occurs twice"
        yield Diagnostic("duplicate-argument", Severity.ERROR, message, span, help="keep one")
    elif name in RESERVED_NAMES:
        message, hint = f"'{name}' cannot be a parameter: it has a meaning already", "choose another letter or word"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, span, help=hint)
    if not (default is None or default_number(parameter) is not None or default == Parameter(INPUT_CHANNELS_DEFAULT)):
        message = f"the default of '{name}' must be a number or '{INPUT_CHANNELS_DEFAULT}'"
        label = f"got {default.span.text}"
        yield Diagnostic("invalid-argument", Severity.ERROR, message, default.span, label=label)


Definition = TypeVar("Definition", BlockDefinition, NeuronDefinition)


class ShippedDefinitions(Mapping[str, Definition], Generic[Definition]):
    """The blocks or the neurons of a file in ``nets/``, by name without white space, in the order of the file.

    To parse all of them takes longer than most networks, of which each calls one or two.
    """

    def __init__(self, file: str, family: type[Definition]) -> None:
        source: Source = Source(file, (resource_folder("nets") / file).read_text(encoding="utf-8"))
        begun: list[re.Match[str]] = [*_DEFINED.finditer(source.text)]
        ends = [*(later.start() for later in begun[1:]), len(source.text)]
        self._family: type[Definition] = family
        self._places = {
            "".join(first["name"].split()): Span(source, first.start(), end)
            for first, end in zip(begun, ends, strict=True)
            if first["keyword"] == _KEYWORDS[family]
        }
        self._parsed: dict[str, Definition] = {}

    def __getitem__(self, name: str) -> Definition:
        """The definition of a name.

        Raises:
            KeyError: the file has none.
            SewdslError: it is damaged.
        """
        if name not in self._parsed:
            reporter = Reporter()
            document = reporter.take(parse_excerpt(self._places[name], parse_statements, DEFAULT_LIMITS))
            statements = document.statements
            reporter.extend(check_definitions(block for block in statements if isinstance(block, BlockDefinition)))
            if reporter.errors:
                raise SewdslError(reporter)
            (self._parsed[name],) = (found for found in statements if isinstance(found, self._family))
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


_KEYWORDS: dict[type[BlockDefinition | NeuronDefinition], str] = {
    BlockDefinition: "block",
    NeuronDefinition: "neuron",
}
_DEFINED = re.compile(r"^(?P<keyword>block|neuron) (?P<name>[A-Za-z][A-Za-z0-9_ ]*)", re.MULTILINE)


@cache
def shipped_blocks() -> Mapping[str, BlockDefinition]:
    """Blocks of ``nets/blocks.net`` by name without white space; a damaged one raises SewdslError when it is read."""
    return ShippedDefinitions("blocks.net", BlockDefinition)
