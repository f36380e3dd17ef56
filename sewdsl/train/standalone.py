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
    name, assembly = compilation.result().name, compilation.assembly or Assembly()
    settings = {"network": Setting(Word("network"), (Text(name),)), **assembly.settings}
    body = [] if assembly.body is None else [assembly.body]
    statements: list[Statement] = [
        Version(Number("1")),
        *settings.values(),
        *assembly.neurons.values(),
        *assembly.blocks.values(),
        *assembly.lets,
        *body,
        *assembly.figures,
        *assembly.allowed,
        *assembly.sections.values(),
    ]
    return print_document(Document(tuple(statements)))
