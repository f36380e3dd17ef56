"""Results of ``sewdsl.editing`` as types of the Language Server Protocol, one function for each request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from lsprotocol import types

from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Edit, Severity, SewdslError
from sewdsl.editing import EditorView
from sewdsl.editing.completion import Completion, complete
from sewdsl.editing.hover import hover
from sewdsl.editing.item_summary import shape_hints
from sewdsl.editing.outline import OutlineEntry, folding_ranges, outline
from sewdsl.editing.references import find_definition, find_references, referent_at, rename_edits
from sewdsl.lsp.open_documents import OpenDocument, Positions
from sewdsl.source import Source, Span
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.tree import Use

MAX_PROBLEMS = 200
"""Problems that are sent of one text: more cannot be read, but take their time."""

_SEVERITY = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}
_SYMBOL = {
    "body": types.SymbolKind.Module,
    "block": types.SymbolKind.Class,
    "value": types.SymbolKind.Variable,
    "section": types.SymbolKind.Namespace,
    "setting": types.SymbolKind.Property,
    "file": types.SymbolKind.File,
    "figure": types.SymbolKind.Constant,
}
_PROPOSAL = {
    "statement": types.CompletionItemKind.Keyword,
    "setting": types.CompletionItemKind.Property,
    "layer": types.CompletionItemKind.Function,
    "join": types.CompletionItemKind.Operator,
    "block": types.CompletionItemKind.Class,
    "argument": types.CompletionItemKind.Field,
    "value": types.CompletionItemKind.Value,
    "code": types.CompletionItemKind.Constant,
    "data": types.CompletionItemKind.EnumMember,
    "file": types.CompletionItemKind.File,
}


def to_diagnostics(document: OpenDocument) -> list[types.Diagnostic]:
    """What the compiler says, or the worst of it; what is wrong in a used file is reported at its ``use``."""
    said = sorted(document.said, key=lambda each: -each.severity)
    shown = [to_diagnostic(document, each) for each in said[:MAX_PROBLEMS]]
    if said[MAX_PROBLEMS:]:
        message = f"{len(said) - MAX_PROBLEMS:,} more problems are not shown: fix some of the others first"
        rest = to_diagnostic(document, said[MAX_PROBLEMS])
        shown.append(types.Diagnostic(rest.range, message, severity=rest.severity, source=rest.source))
    return shown


def to_diagnostic(document: OpenDocument, said: Diagnostic) -> types.Diagnostic:
    """Return one thing that the compiler says."""
    span, message, related = said.span, said.message, None
    if span.source is not document.view.source:
        place = types.Location(_uri(Path(span.source.name)), Positions(span.source, document.units).range(span))
        related = (types.DiagnosticRelatedInformation(place, message),)
        name, file = span.source.name, document.view.file
        if file is not None and Path(name).is_relative_to(file.parent):
            name = str(Path(name).relative_to(file.parent))
        message = f"{name}:{span.line}:{span.column}: {message}"
        span = _use(document.view, span.source)
    lines = [message, *(f"{word}: {text}" for word, text in (("", said.label), ("help", said.help)) if text and word)]
    if len(said.path) > 2:  # noqa: PLR2004 -- deeper than the body's own layers
        lines.append(" > ".join(said.path))
    return types.Diagnostic(
        range=document.at.range(span),
        message="\n".join(lines),
        severity=_SEVERITY[said.severity],
        code=said.code,
        source="sewdsl",
        related_information=related,
    )


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


def _use(view: EditorView, source: Source) -> Span:
    """Return the ``use`` through which another file comes in; the text's beginning where there is none."""
    uses = [statement for statement in view.document.statements if isinstance(statement, Use)]
    folder = Path(view.source.name).parent
    named = [use for use in uses if str(folder / use.path.text) == source.name]
    found = (named or uses)[:1]
    return found[0].path.span if found else Span(view.source, 0, 0)


def to_text_edit(at: Positions, edit: Edit) -> types.TextEdit:
    """Return an edit of a text."""
    return types.TextEdit(at.range(edit.span), edit.text)


def answer_hover(document: OpenDocument, position: types.Position) -> types.Hover | None:
    """What there is to say of the thing at a position."""
    found = hover(document.view, document.at.offset(position))
    if found is None:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, found.text), document.at.range(found.span))


def answer_inlay_hints(document: OpenDocument, place: types.Range) -> list[types.InlayHint]:
    """Return the shapes after layers, in a part of the text."""
    at = document.at
    first, last = at.offset(place.start), at.offset(place.end)
    return [
        types.InlayHint(
            at.position(hint.offset), hint.label, types.InlayHintKind.Type, tooltip=hint.tooltip, padding_left=True
        )
        for hint in shape_hints(document.view)
        if first <= hint.offset <= last
    ]


def answer_completion(
    document: OpenDocument, position: types.Position, datasets: Collection[str]
) -> list[types.CompletionItem]:
    """What can be written at a position."""
    span, found = complete(document.view, document.at.offset(position), datasets)
    place = document.at.range(span)
    return [_completion(proposal, place, number) for number, proposal in enumerate(found)]


def _completion(proposal: Completion, place: types.Range, number: int) -> types.CompletionItem:
    return types.CompletionItem(
        label=proposal.text,
        kind=_PROPOSAL[proposal.kind],
        detail=proposal.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, proposal.about) if proposal.about else None,
        sort_text=f"{number:04}",
        text_edit=types.TextEdit(place, proposal.text),
    )


def answer_definition(document: OpenDocument, position: types.Position) -> types.Location | None:
    """Where what is named at a position is defined."""
    found = find_definition(document.view, document.at.offset(position))
    if found is None:
        return None
    span, file = found
    uri = document.uri if span.source is document.view.source or file is None else _uri(file)
    return types.Location(uri, Positions(span.source, document.units).range(span))


def answer_references(
    documents: Iterable[OpenDocument], document: OpenDocument, position: types.Position, *, defining: bool
) -> list[types.Location]:
    """Every place that refers to the block or the parameter at a position, its definition if that is asked for."""
    found = referent_at(document.view, document.at.offset(position))
    if found is None:
        return []
    return [
        types.Location(other.uri, other.at.range(reference.span))
        for other in documents
        for reference in find_references([other.view], found)
        if defining or not reference.defines
    ]


def answer_prepare_rename(document: OpenDocument, position: types.Position) -> types.PrepareRenamePlaceholder | None:
    """Return the name at a position, if it can be another."""
    found = referent_at(document.view, document.at.offset(position))
    return types.PrepareRenamePlaceholder(document.at.range(found.span), found.name) if found else None


def answer_rename(
    documents: Iterable[OpenDocument], document: OpenDocument, position: types.Position, name: str
) -> types.WorkspaceEdit | None:
    """Return the edits that give the block or the parameter at a position another name.

    Raises:
        RenameProblem: it cannot be called so.
    """
    found = referent_at(document.view, document.at.offset(position))
    if found is None:
        return None
    by_source = {id(other.view.source): other for other in documents}
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in rename_edits([other.view for other in by_source.values()], found, name):
        other = by_source[id(edit.span.source)]
        changes.setdefault(other.uri, []).append(to_text_edit(other.at, edit))
    return types.WorkspaceEdit(changes=changes)


def answer_document_symbols(document: OpenDocument) -> list[types.DocumentSymbol]:
    """What the text consists of."""
    return [_symbol(document.at, symbol) for symbol in outline(document.view)]


def _symbol(at: Positions, symbol: OutlineEntry) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=symbol.name,
        detail=symbol.detail,
        kind=_SYMBOL[symbol.kind],
        range=at.range(symbol.span),
        selection_range=at.range(symbol.head),
        children=[_symbol(at, child) for child in symbol.children],
    )


def answer_folding_ranges(document: OpenDocument) -> list[types.FoldingRange]:
    """Return the lines that can be folded away."""
    kinds = {True: types.FoldingRangeKind.Comment, False: types.FoldingRangeKind.Region}
    return [types.FoldingRange(f.first - 1, f.last - 1, kind=kinds[f.comment]) for f in folding_ranges(document.view)]


def answer_formatting(document: OpenDocument) -> list[types.TextEdit]:
    """Return the text in canonical form, as one edit; none where it is, or where it has syntax errors."""
    source = document.view.source
    try:
        text = format_source(source)
    except SewdslError:
        return []
    return [] if text == source.text else [to_text_edit(document.at, Edit(Span(source, 0, len(source.text)), text))]


MAX_ACTIONS = 200
"""Actions that are offered at one place, and problems that are fixed at once."""


def answer_code_actions(document: OpenDocument, place: types.Range) -> list[types.CodeAction]:
    """Return the fixes of what is said at a place, and to allow a warning."""
    first, last = document.at.offset(place.start), document.at.offset(place.end)
    here = (
        said
        for said in document.said
        if said.span.source is document.view.source and said.span.start <= last and first <= said.span.end
    )
    return list(islice((action for said in here for action in _actions(document, said)), MAX_ACTIONS))


def _actions(document: OpenDocument, said: Diagnostic) -> Iterator[types.CodeAction]:
    for number, fix in enumerate(said.fixes):
        if all(edit.span.source is document.view.source for edit in fix.edits):
            yield _action(document, fix.title, fix.edits, said, preferred=fix.safe and not number)
    allowable = said.severity is not Severity.ERROR and said in document.view.compilation.diagnostics
    if allowable and document.view.document.statements:
        source, end = document.view.source, document.view.document.statements[-1].span.end
        edit = Edit(Span(source, end, end), f'{source.line_end}{source.line_end}allow {said.code} "why"')
        yield _action(document, f"allow {said.code} in this file", [edit], said, preferred=False)


def _action(
    document: OpenDocument, title: str, edits: Iterable[Edit], said: Diagnostic, *, preferred: bool
) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[to_diagnostic(document, said)],
        is_preferred=preferred,
        edit=types.WorkspaceEdit(changes={document.uri: [to_text_edit(document.at, edit) for edit in edits]}),
    )


def fix_all_action(document: OpenDocument) -> list[types.CodeAction]:
    """Return the fixes of the whole text that have one reading only, as one action; none where there is no such fix."""
    source = document.view.source
    text = apply_fixes(document.said[:MAX_ACTIONS], source)
    if text == source.text:
        return []
    edit = to_text_edit(document.at, Edit(Span(source, 0, len(source.text)), text))
    title, kind = "fix all that has one reading only", types.CodeActionKind.SourceFixAll
    return [types.CodeAction(title, kind, edit=types.WorkspaceEdit(changes={document.uri: [edit]}))]
