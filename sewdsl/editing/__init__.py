"""Editor features on source offsets: hover, completion, definitions, references.

Source in an editor is incomplete most of the time. An :class:`EditorView` has everything that the compiler could infer.
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
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import Lines, statements
from sewdsl.syntax.tree import Document

if TYPE_CHECKING:
    from lark import Token


@dataclass(frozen=True)
class EditorView:
    """One version of a source in an editor, with its compilation."""

    source: Source
    file: Path | None
    """Path of the saved file. If None, the source cannot use other files."""
    compilation: Compilation
    reach: FileAccess = ON_DISK
    """Access to files that the source may use."""

    @property
    def document(self) -> Document:
        """Syntax tree, without statements that have syntax errors."""
        return self.compilation.document or Document((), span=Span(self.source, 0, 0))

    @property
    def too_long(self) -> bool:
        """Whether the source exceeds the limit. If so, it is not read."""
        return len(self.source.text) > DEFAULT_LIMITS.source_bytes

    @cached_property
    def tokens(self) -> list[Token]:
        """Tokens, including comments and newlines. Empty if the source is too long."""
        return [] if self.too_long else scan(self.source)

    @cached_property
    def statements(self) -> list[Lines]:
        """Tokens of each statement, including those with errors. Empty if the source is too long."""
        return statements(self.tokens, match_brackets(self.source, self.tokens))

    @cached_property
    def names(self) -> NameTable:
        """Meaning of each name in the source."""
        return NameTable(self.document, self.compilation.assembly, self.vocabulary)

    @property
    def unread(self) -> list[Span]:
        """Spans of the statements with syntax errors, which the tree lacks."""
        if self.compilation.valid:
            return []
        # The tree has only the statements that could be parsed, so compare their starts with the tokens.
        read = {statement.span.start for statement in self.document.statements}
        ends = ((token_start(line.tokens[0]), token_end(line.tokens[-1])) for line in self.statements if line.tokens)
        return [Span(self.source, first, last) for first, last in ends if first not in read]

    @cached_property
    def visits(self) -> dict[tuple[int, int], list[Expansion]]:
        """Expansions of each item of the source, by its start and end."""
        visits: dict[tuple[int, int], list[Expansion]] = {}
        for visit in self.compilation.visits:
            # Visits of used files are not part of this view.
            if visit.span.source is self.source:
                visits.setdefault((visit.span.start, visit.span.end), []).append(visit)
        return visits

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Names available in the source, with blocks by name without white space."""
        assembly = self.compilation.assembly
        # Neurons of the file are kinds too, as far as their definitions are valid.
        neurons = read_neurons(assembly.neurons if assembly else {}).value
        return Vocabulary(assembly.blocks if assembly else {}, shipped_blocks(), neurons=neurons)


def compile_for_editor(text: str, name: str, file: Path | None = None, *, reach: FileAccess = ON_DISK) -> EditorView:
    """Compile a source for an editor, without raising errors for any source.

    Args:
        text: Content of the editor, saved or not.
        file: Path of the saved file. Used files are relative to it.
        reach: Access to files that the source may use.
    """
    spec = SpecSource(Source(name, text), file, _stem(file), reach=reach)
    return EditorView(spec.source, file, run_front_end(spec, (), DEFAULT_LIMITS), reach)


def resolve_names(text: str, name: str, file: Path | None = None, *, reach: FileAccess = ON_DISK) -> EditorView:
    """Return a view without a network: names only, in a few milliseconds."""
    spec = SpecSource(Source(name, text), file, _stem(file), reach=reach)
    # Names do not depend on elaboration, which would take longer.
    assembled = parse_and_assemble(spec, DEFAULT_LIMITS)
    diagnostics = sort_diagnostics(assembled.diagnostics)
    compilation = Compilation(spec, assembled.parsed.document, assembled.assembly, None, diagnostics)
    return EditorView(spec.source, file, compilation, reach)


def _stem(file: Path | None) -> str:
    return file.stem if file else "network"
