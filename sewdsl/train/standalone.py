"""A spec as one text that needs no other file: with what it uses put in, and every override applied."""

from __future__ import annotations

from sewdsl.compiler import Compilation
from sewdsl.elaborate import Assembly
from sewdsl.syntax.printer import print_document
from sewdsl.syntax.tree import Document, Number, Setting, Statement, Text, Version, Word


def standalone_text(compilation: Compilation) -> str:
    """The canonical text of a valid spec; it compiles to the same network, wherever it lies.

    Raises:
        SewdslError: the spec has errors.
    """
    name = compilation.result().name
    return print_document(Document(tuple(_statements(compilation.assembly or Assembly(), name))))


def _statements(assembly: Assembly, name: str) -> list[Statement]:
    settings = {"network": Setting(Word("network"), (Text(name),)), **assembly.settings}
    body = [] if assembly.body is None else [assembly.body]
    blocks, sections = assembly.blocks.values(), assembly.sections.values()
    return [Version(Number("1")), *settings.values(), *blocks, *body, *assembly.figures, *assembly.allowed, *sections]
