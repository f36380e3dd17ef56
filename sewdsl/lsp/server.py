"""The server itself: open texts, and which request is answered by what."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from sewdsl.editing.references import RenameProblem, target
from sewdsl.editing.view import glance, view
from sewdsl.elaborate.imports import project_folder
from sewdsl.lsp import answers
from sewdsl.lsp.answers import Document
from sewdsl.lsp.positions import Units
from sewdsl.syntax.limits import STANDARD

PAUSE = 0.05
"""Seconds that a text must rest before the compiler speaks about it."""
FILES = 500
"""Files of a project that are searched for a name."""

_UNITS: dict[types.PositionEncodingKind, Units] = {
    types.PositionEncodingKind.Utf8: "utf-8",
    types.PositionEncodingKind.Utf32: "utf-32",
}


class Server(LanguageServer):
    """Keeps what is known of each open text until it changes.

    Args:
        version: Of sewdsl.
        datasets: Gives the names of all data sets; asked once, beside everything else, since it takes a second.
    """

    def __init__(self, version: str, datasets: Callable[[], list[str]]) -> None:
        super().__init__("sewdsl", version, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self._known: dict[str, tuple[int | None, Document]] = {}
        self._files: dict[Path, Document] = {}
        self._names: list[str] = []
        self._ask = datasets

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets; empty until they are known."""
        return self._names

    def learn(self) -> None:
        """Begins to ask for the names of the data sets."""

        def ask() -> None:
            self._names = self._ask()

        threading.Thread(target=ask, daemon=True).start()

    def document(self, uri: str) -> Document:
        """What is known of an open text."""
        text = self.workspace.get_text_document(uri)
        known = self._known.get(uri)
        try:
            content = text.source
        except OSError:  # closed, and saved nowhere
            content = ""
        if known is None or known[0] != text.version or known[1].view.source.text != content:
            path = to_fs_path(uri)
            file = Path(path) if path and uri.startswith("file:") else None
            made = view(content, str(file or uri), file)
            known = (text.version, Document(uri, made, self._units))
            self._known[uri] = known
        return known[1]

    @property
    def _units(self) -> Units:
        return _UNITS.get(types.PositionEncodingKind(self.workspace.position_encoding), "utf-16")

    def forget(self, uri: str | None = None) -> None:
        """Drops what is known of a text, or of all of them, since a file that they use has changed."""
        if uri is None:
            self._known.clear()
            self._files.clear()
        else:
            self._known.pop(uri, None)

    def tell(self, uri: str) -> None:
        """Sends what the compiler says of a text."""
        document = self.document(uri)
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, answers.diagnostics(document), version)
        )

    async def tell_soon(self, uri: str) -> None:
        """The same, once the text rests."""
        version = self.workspace.get_text_document(uri).version
        await asyncio.sleep(PAUSE)
        text = self.workspace.text_documents.get(uri)
        if text is not None and text.version == version:
            self.tell(uri)

    def project(self, document: Document, words: Collection[str]) -> Iterator[Document]:
        """A text, and the files of its project that hold a word, white space aside; open ones as they are there."""
        yield document
        if document.view.file is None:
            return
        opened = {Path(to_fs_path(uri) or uri).resolve(): uri for uri in self.workspace.text_documents}
        here = document.view.file.resolve()
        for path in sorted(project_folder(document.view.file).rglob("*.net"))[:FILES]:
            place = path.resolve()
            if place in opened and place != here:
                yield self.document(opened[place])
            elif place != here and (saved := self._saved(path, words)):
                yield saved

    def _saved(self, path: Path, words: Collection[str]) -> Document | None:
        """A file as it is saved, if it holds one of some words."""
        try:
            fits = path.is_file() and path.stat().st_size <= STANDARD.source_bytes
            text = path.read_bytes().decode("utf-8-sig") if fits else ""  # line ends as they are: they count
        except (OSError, UnicodeDecodeError):
            return None
        together = "".join(text.split())
        if not any(word in together for word in words):
            return None
        known = self._files.get(path)
        if known is None or known.view.source.text != text:
            known = Document(path.absolute().as_uri(), glance(text, str(path), path), self._units)
            self._files[path] = known
        return known


def serve(version: str, datasets: Callable[[], list[str]]) -> Server:
    """A server that answers everything it can be asked."""
    server = Server(version, datasets)
    _follow_texts(server)
    _answer_about_places(server)
    _answer_about_names(server)
    _answer_about_texts(server)
    return server


def _follow_texts(server: Server) -> None:
    @server.feature(types.INITIALIZED)
    def _(_params: types.InitializedParams) -> None:
        server.learn()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def _(params: types.DidOpenTextDocumentParams) -> None:
        server.tell(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def _(params: types.DidChangeTextDocumentParams) -> None:
        await server.tell_soon(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def _(_params: types.DidSaveTextDocumentParams) -> None:
        server.forget()
        for uri in list(server.workspace.text_documents):
            server.tell(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def _(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.forget(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def _answer_about_places(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def _(params: types.HoverParams) -> types.Hover | None:
        return answers.hovered(server.document(params.text_document.uri), params.position)

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION,
        types.CompletionOptions(trigger_characters=["-", "{", "<", "[", "|", "(", "=", ",", " ", '"']),
    )
    def _(params: types.CompletionParams) -> list[types.CompletionItem]:
        return answers.completed(server.document(params.text_document.uri), params.position, server.datasets)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])
    )
    def _(params: types.CodeActionParams) -> list[types.CodeAction]:
        return answers.actions(server.document(params.text_document.uri), params.range)

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def _(params: types.InlayHintParams) -> list[types.InlayHint]:
        return answers.shapes(server.document(params.text_document.uri), params.range)


def _answer_about_names(server: Server) -> None:
    def around(uri: str, position: types.Position, *new: str) -> tuple[Document, list[Document]]:
        document = server.document(uri)
        found = target(document.view, document.at.offset(position))
        words = [found.key, *(name.replace(" ", "") for name in new if name)] if found else []
        return document, list(server.project(document, words)) if found else [document]

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def _(params: types.DefinitionParams) -> types.Location | None:
        return answers.defined(server.document(params.text_document.uri), params.position)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def _(params: types.ReferenceParams) -> list[types.Location]:
        document, others = around(params.text_document.uri, params.position)
        return answers.meant(others, document, params.position, defining=params.context.include_declaration)

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def _(params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        return answers.renamable(server.document(params.text_document.uri), params.position)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def _(params: types.RenameParams) -> types.WorkspaceEdit | None:
        document, others = around(params.text_document.uri, params.position, params.new_name)
        try:
            return answers.renamed(others, document, params.position, params.new_name)
        except RenameProblem as problem:
            raise JsonRpcInvalidParams(str(problem)) from None


def _answer_about_texts(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def _(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        return answers.symbols(server.document(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
    def _(params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        return answers.foldable(server.document(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def _(params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        return answers.formatted(server.document(params.text_document.uri))
