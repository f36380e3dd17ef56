"""Conversion of editor features to types of the Language Server Protocol."""

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
from sewdsl.editing.references import find_definition, find_references, rename_edits
from sewdsl.lsp.open_documents import OpenDocument, Positions
from sewdsl.source import Source, Span
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.tree import Use

MAX_PROBLEMS = 200
"""Largest number of problems to send for a document, since many of them slow down the editor."""

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
    """Return the diagnostics of a document, most severe first."""
    diagnostics = sorted(document.diagnostics, key=lambda each: -each.severity)
    shown = [to_diagnostic(document, each) for each in diagnostics[:MAX_PROBLEMS]]
    if diagnostics[MAX_PROBLEMS:]:
        message = f"{len(diagnostics) - MAX_PROBLEMS:,} more problems are not shown; fix the others first"
        rest = to_diagnostic(document, diagnostics[MAX_PROBLEMS])
        shown.append(types.Diagnostic(rest.range, message, severity=rest.severity, source=rest.source))
    return shown


def to_diagnostic(document: OpenDocument, item: Diagnostic) -> types.Diagnostic:
    """Return a diagnostic. A diagnostic of a used file is reported at the ``use`` statement."""
    span, message, related = item.span, item.message, None
    if span.source is not document.view.source:
        location = types.Location(_uri(Path(span.source.name)), Positions(span.source, document.units).range(span))
        related = (types.DiagnosticRelatedInformation(location, message),)
        name, file = span.source.name, document.view.file
        if file is not None and Path(name).is_relative_to(file.parent):
            name = str(Path(name).relative_to(file.parent))
        message = f"{name}:{span.line}:{span.column}: {message}"
        span = _use(document.view, span.source)
    lines = [message, *([f"help: {item.help}"] if item.help else [])]
    if len(item.path) > 2:  # noqa: PLR2004 -- deeper than the body's own layers
        lines.append(" > ".join(item.path))
    return types.Diagnostic(
        range=document.at.range(span),
        message="\n".join(lines),
        severity=_SEVERITY[item.severity],
        code=item.code,
        source="sewdsl",
        related_information=related,
    )


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


def _use(view: EditorView, source: Source) -> Span:
    """Return the path of the ``use`` of another file, or the start of the source."""
    uses = [statement for statement in view.document.statements if isinstance(statement, Use)]
    folder = Path(view.source.name).parent
    # An indirectly used file has no `use` here: report its diagnostics at the first one.
    named = [use for use in uses if str(folder / use.path.text) == source.name]
    matches = (named or uses)[:1]
    return matches[0].path.span if matches else Span(view.source, 0, 0)


def to_text_edit(at: Positions, edit: Edit) -> types.TextEdit:
    """Return a text edit."""
    return types.TextEdit(at.range(edit.span), edit.text)


def answer_hover(document: OpenDocument, position: types.Position) -> types.Hover | None:
    """Return the documentation at a position."""
    result = hover(document.view, document.at.offset(position))
    if result is None:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, result.text), document.at.range(result.span))


def answer_inlay_hints(document: OpenDocument, visible_range: types.Range) -> list[types.InlayHint]:
    """Return the shapes after calls in a range."""
    at = document.at
    first, last = at.offset(visible_range.start), at.offset(visible_range.end)
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
    """Return the proposals at a position."""
    span, proposals = complete(document.view, document.at.offset(position), datasets)
    replaced = document.at.range(span)
    return [_completion(proposal, replaced, index) for index, proposal in enumerate(proposals)]


def _completion(proposal: Completion, replaced: types.Range, index: int) -> types.CompletionItem:
    return types.CompletionItem(
        label=proposal.text,
        kind=_PROPOSAL[proposal.kind],
        detail=proposal.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, proposal.about) if proposal.about else None,
        # Editors sort by label otherwise.
        sort_text=f"{index:04}",
        text_edit=types.TextEdit(replaced, proposal.text),
    )


def answer_definition(document: OpenDocument, position: types.Position) -> types.Location | None:
    """Return the definition of the name at a position."""
    definition = find_definition(document.view, document.at.offset(position))
    if definition is None:
        return None
    span, file = definition
    uri = document.uri if span.source is document.view.source or file is None else _uri(file)
    return types.Location(uri, Positions(span.source, document.units).range(span))


def answer_references(
    documents: Iterable[OpenDocument], document: OpenDocument, position: types.Position, *, defining: bool
) -> list[types.Location]:
    """Return all references to the name at a position, with its definition if ``defining``."""
    use = document.view.names.at(document.at.offset(position))
    if use is None:
        return []
    return [
        types.Location(other.uri, other.at.range(reference.span))
        for other in documents
        for reference in find_references([other.view], use)
        if defining or not reference.defines
    ]


def answer_prepare_rename(document: OpenDocument, position: types.Position) -> types.PrepareRenamePlaceholder | None:
    """Return the name at a position if it can be renamed."""
    use = document.view.names.at(document.at.offset(position))
    return types.PrepareRenamePlaceholder(document.at.range(use.span), use.name) if use else None


def answer_rename(
    documents: Iterable[OpenDocument], document: OpenDocument, position: types.Position, name: str
) -> types.WorkspaceEdit | None:
    """Return the edits that rename the name at a position, or raise RenameProblem if that is impossible."""
    use = document.view.names.at(document.at.offset(position))
    if use is None:
        return None
    by_source = {id(other.view.source): other for other in documents}
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in rename_edits([other.view for other in by_source.values()], use, name):
        other = by_source[id(edit.span.source)]
        changes.setdefault(other.uri, []).append(to_text_edit(other.at, edit))
    return types.WorkspaceEdit(changes=changes)


def answer_document_symbols(document: OpenDocument) -> list[types.DocumentSymbol]:
    """Return the outline of a document."""
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
    """Return the lines that can be folded."""
    kinds = {True: types.FoldingRangeKind.Comment, False: types.FoldingRangeKind.Region}
    return [types.FoldingRange(f.first - 1, f.last - 1, kind=kinds[f.comment]) for f in folding_ranges(document.view)]


def answer_formatting(document: OpenDocument) -> list[types.TextEdit]:
    """Return the formatted document as one edit.

    There is no edit if the document is formatted already or has syntax errors.
    """
    source = document.view.source
    try:
        text = format_source(source)
    except SewdslError:
        return []
    return [] if text == source.text else [to_text_edit(document.at, Edit(Span(source, 0, len(source.text)), text))]


MAX_ACTIONS = 200
"""Largest number of actions to propose at a range, and of problems to fix with one action."""


def answer_code_actions(document: OpenDocument, selection: types.Range) -> list[types.CodeAction]:
    """Return the fixes of the diagnostics in a range, and actions to allow warnings."""
    first, last = document.at.offset(selection.start), document.at.offset(selection.end)
    selected = (
        item
        for item in document.diagnostics
        if item.span.source is document.view.source and item.span.start <= last and first <= item.span.end
    )
    return list(islice((action for item in selected for action in _actions(document, item)), MAX_ACTIONS))


def _actions(document: OpenDocument, diagnostic: Diagnostic) -> Iterator[types.CodeAction]:
    for index, fix in enumerate(diagnostic.fixes):
        if all(edit.span.source is document.view.source for edit in fix.edits):
            yield _action(document, fix.title, fix.edits, diagnostic, preferred=fix.safe and not index)
    # Errors cannot be allowed, and `allow` does not apply to diagnostics of the dataset.
    allowable = diagnostic.severity is not Severity.ERROR and diagnostic in document.view.compilation.diagnostics
    if allowable and document.view.document.statements:
        source, end = document.view.source, document.view.document.statements[-1].span.end
        edit = Edit(Span(source, end, end), f'{source.line_end}{source.line_end}allow {diagnostic.code} "why"')
        yield _action(document, f"allow {diagnostic.code} in this file", [edit], diagnostic, preferred=False)


def _action(
    document: OpenDocument, title: str, edits: Iterable[Edit], diagnostic: Diagnostic, *, preferred: bool
) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[to_diagnostic(document, diagnostic)],
        is_preferred=preferred,
        edit=types.WorkspaceEdit(changes={document.uri: [to_text_edit(document.at, edit) for edit in edits]}),
    )


def fix_all_action(document: OpenDocument) -> list[types.CodeAction]:
    """Return an action that applies all safe fixes, if there are any."""
    source = document.view.source
    text = apply_fixes(document.diagnostics[:MAX_ACTIONS], source)
    if text == source.text:
        return []
    edit = to_text_edit(document.at, Edit(Span(source, 0, len(source.text)), text))
    title, kind = "apply all safe fixes", types.CodeActionKind.SourceFixAll
    return [types.CodeAction(title, kind, edit=types.WorkspaceEdit(changes={document.uri: [edit]}))]
