"""Definitions of the shipped files, each of which is parsed when its name is first looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Generic, TypeVar

from sewdsl.diagnostics import SewdslError
from sewdsl.elaborate.block_definitions import check_definitions
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_excerpt, parse_statements
from sewdsl.syntax.tree import BlockDefinition, NeuronDefinition

Definition = TypeVar("Definition", BlockDefinition, NeuronDefinition)


class ShippedDefinitions(Mapping[str, Definition], Generic[Definition]):
    """The blocks or the neurons of a file in ``nets/``, by name without white space, in the order of the file.

    To parse all of them takes longer than most networks, of which each calls one or two.

    Args:
        file: Its name. Definitions begin at the start of a line.
        family: Which of its definitions.
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
