"""What an editor asks of a text, in offsets: what is here, what can be here, where else it occurs.

A text in an editor is half-typed more often than not. An :class:`EditorView` has all that the compiler knows of it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.compiler.front_end import Compilation, parse_and_assemble, run_front_end
from sewdsl.compiler.spec import SpecSource
from sewdsl.diagnostics import sort_diagnostics
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.name_table import NameTable
from sewdsl.elaborate.neuron_kinds import read_neurons
from sewdsl.elaborate.node_builder import Expansion
from sewdsl.elaborate.text_files import ON_DISK, FileAccess
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import Lines, statements
from sewdsl.syntax.tree import Document

if TYPE_CHECKING:
    from lark import Token


@dataclass(frozen=True)
class EditorView:
    """One version of a text.

    Attributes:
        file: Where it is saved; None: nowhere yet, so that it can use no other file.
        reach: Where the files lie that it may use, and what counts as their text.
    """

    source: Source
    file: Path | None
    compilation: Compilation
    reach: FileAccess = ON_DISK

    @property
    def document(self) -> Document:
        """The tree; statements that have syntax errors are left out."""
        return self.compilation.document or Document((), span=Span(self.source, 0, 0))

    @property
    def too_long(self) -> bool:
        """Whether the text is over the limit, so that it is not read at all."""
        return len(self.source.text) > DEFAULT_LIMITS.source_bytes

    @cached_property
    def tokens(self) -> list[Token]:
        """The tokens, comments and line ends included; none of a text that is too long."""
        return [] if self.too_long else scan(self.source)

    @cached_property
    def statements(self) -> list[Lines]:
        """The tokens of each statement, those with errors too; none of a text that is too long."""
        return statements(self.tokens, match_brackets(self.source, self.tokens))

    @cached_property
    def names(self) -> NameTable:
        """What each name of the text refers to."""
        return NameTable(self.document, self.compilation.assembly, self.vocabulary)

    @property
    def unread(self) -> list[Span]:
        """The statements with syntax errors, which the tree is without."""
        if self.compilation.valid:
            return []
        read = {statement.span.start for statement in self.document.statements}
        ends = ((token_start(line.tokens[0]), token_end(line.tokens[-1])) for line in self.statements if line.tokens)
        return [Span(self.source, first, last) for first, last in ends if first not in read]

    @cached_property
    def visits(self) -> dict[tuple[int, int], list[Expansion]]:
        """What became of each item of this text, by the characters that it takes."""
        found: dict[tuple[int, int], list[Expansion]] = {}
        for visit in self.compilation.visits:
            if visit.span.source is self.source:
                found.setdefault((visit.span.start, visit.span.end), []).append(visit)
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names that can be used here; all blocks by name without white space."""
        assembly = self.compilation.assembly
        neurons = read_neurons(assembly.neurons if assembly else {}).value
        return Vocabulary(assembly.blocks if assembly else {}, shipped_blocks(), neurons=neurons)


def compile_for_editor(
    text: str, name: str, file: Path | None = None, *, reach: FileAccess = ON_DISK, limits: Limits = DEFAULT_LIMITS
) -> EditorView:
    """Compile a text for an editor; raise nothing, whatever the text.

    Args:
        text: As it is in the editor, saved or not.
        name: What diagnostics call it.
        file: Where it is saved: what it uses is looked for from there.
        reach: Where the files lie that it may use, and what counts as their text.
    """
    found = SpecSource(Source(name, text), file, _stem(file), reach=reach)
    return EditorView(found.source, file, run_front_end(found, (), limits), reach)


def resolve_names(text: str, name: str, file: Path | None = None, *, reach: FileAccess = ON_DISK) -> EditorView:
    """Return the same without a network: enough to see which names mean what, in a few milliseconds."""
    found = SpecSource(Source(name, text), file, _stem(file), reach=reach)
    read = parse_and_assemble(found, DEFAULT_LIMITS)
    said = sort_diagnostics(read.diagnostics)
    return EditorView(found.source, file, Compilation(found, read.parsed.document, read.assembly, None, said), reach)


def _stem(file: Path | None) -> str:
    return file.stem if file else "network"
