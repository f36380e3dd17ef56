"""What can be done about problems: their fixes, one by one or all at once, and ``allow``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from lsprotocol import types

from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Edit, Severity
from sewdsl.lsp.answers import OpenDocument, to_diagnostic, to_text_edit
from sewdsl.source import Span

MAX_ACTIONS = 200
"""Actions that are offered at one place, and problems that are mended at once."""


def answer_code_actions(document: OpenDocument, place: types.Range) -> list[types.CodeAction]:
    """The fixes of what is said at a place, and to allow a warning."""
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
        yield _allow(document, said)


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


def _allow(document: OpenDocument, said: Diagnostic) -> types.CodeAction:
    """Writes ``allow CODE "why"`` behind the last statement."""
    source = document.view.source
    end = document.view.document.statements[-1].span.end
    edit = Edit(Span(source, end, end), f'{source.line_end}{source.line_end}allow {said.code} "why"')
    return _action(document, f"allow {said.code} in this file", [edit], said, preferred=False)


def fix_all_action(document: OpenDocument) -> list[types.CodeAction]:
    """The fixes of the whole text that have one reading only, as one action; none where there is no such fix."""
    source = document.view.source
    text = apply_fixes(document.said[:MAX_ACTIONS], source)
    if text == source.text:
        return []
    edit = to_text_edit(document.at, Edit(Span(source, 0, len(source.text)), text))
    title, kind = "mend all that has one reading only", types.CodeActionKind.SourceFixAll
    return [types.CodeAction(title, kind, edit=types.WorkspaceEdit(changes={document.uri: [edit]}))]
