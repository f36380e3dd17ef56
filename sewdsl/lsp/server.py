"""The server itself: open texts, and which request is answered by what."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Collection, Coroutine
from contextlib import suppress
from functools import cached_property

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from sewdsl.editing.references import RenameProblem, referent_at
from sewdsl.lsp import convert
from sewdsl.lsp.convert import OpenDocument
from sewdsl.lsp.open_documents import MAX_SEARCH, Documents, UnreadError
from sewdsl.lsp.protocol import Protocol, strict_converter

TYPING_PAUSE_SECONDS = 0.05
"""Seconds that a text must rest before the compiler speaks about it."""
BACKGROUND_PAUSE_SECONDS = 0.01
"""Seconds between two texts that are read unasked, in which what was asked meanwhile is answered."""


class RequestRefused(JsonRpcInvalidParams):
    """What was asked cannot be done, and the answer says why: nothing has gone wrong in the server."""


class Unread(JsonRpcException):
    """A project is too large for what was asked."""

    CODE = types.LSPErrorCodes.RequestFailed.value


def is_failure(record: logging.LogRecord) -> bool:
    """Whether a record of the log tells of more than a refusal, or than an editor that is gone."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException | BrokenPipeError))


class Server(LanguageServer):
    """Says what is wrong with the open texts, whenever they or the files that they use change."""

    protocol: Protocol

    def __init__(self, version: str, datasets: Collection[str]) -> None:
        super().__init__(
            *("sewdsl", version),
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=Protocol,
            converter_factory=strict_converter,
        )
        self._published: dict[str, OpenDocument] = {}
        self._turn = 0
        self.datasets = datasets

    def run(self) -> None:
        """Answers over the standard input and output, up to the end of the connection."""
        with suppress(KeyboardInterrupt):
            asyncio.run(self.protocol.run())

    @cached_property
    def documents(self) -> Documents:
        """What is known of the open texts."""
        return Documents(self.workspace)

    def tell(self, uri: str) -> None:
        """Sends what the compiler says of a text."""
        document = self._published[uri] = self.documents[uri]
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, convert.to_diagnostics(document), version)
        )

    async def tell_soon(self, uri: str, version: int) -> None:
        """The same of a version of a text, once it rests; nothing if a newer one comes before."""
        self._published.pop(uri, None)
        self._turn += 1
        await asyncio.sleep(TYPING_PAUSE_SECONDS)
        if self.workspace.get_text_document(uri).version == version:  # neither changed again nor closed
            self.tell(uri)
            await self.tell_again()

    async def tell_again(self) -> None:
        """The same of each text that uses something which has changed; what is being typed is spoken about anyway."""
        self._turn += 1
        turn = self._turn
        for uri in list(self._published):
            if uri in self._published and self._published[uri] is not self.documents[uri]:
                self.tell(uri)
                await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)
                if self._turn != turn:  # something else has changed, after which this is done again
                    return

    async def look_around(self, uri: str) -> None:
        """Reads the files next to a text, so that the first search for a name finds them read."""
        for _ in self.documents.read_project(uri):
            await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)
        gc.freeze()  # as above

    async def begin(self, uri: str) -> None:
        """Speaks about a text that was opened."""
        self.tell(uri)
        await self.tell_again()
        await self.look_around(uri)

    async def end(self, uri: str) -> None:
        """Takes back what was said of a text that was closed."""
        self._published.pop(uri, None)
        self.documents.forget(uri)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))
        await self.tell_again()

    async def watch(self) -> None:
        """Asks to hear of each file that changes on the disk, where the editor can be asked."""
        can = self.client_capabilities.workspace
        if can and can.did_change_watched_files and can.did_change_watched_files.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*.net")])
            watching = types.Registration("net-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            with suppress(JsonRpcException):  # then it watches nothing
                await self.client_register_capability_async(types.RegistrationParams([watching]))


def serve(version: str, datasets: Collection[str]) -> Server:
    """A server that answers everything it can be asked."""
    server = Server(version, datasets)
    _follow_texts(server)
    _answer_about_places(server)
    _answer_about_names(server)
    _answer_about_texts(server)
    return server


def _follow_texts(server: Server) -> None:
    @server.feature(types.INITIALIZED)
    async def initialized(_params: types.InitializedParams) -> None:
        gc.freeze()  # what stays is no longer searched for garbage: that takes longer than an answer
        await _while_connected(server.watch())

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def did_open(params: types.DidOpenTextDocumentParams) -> None:
        await _while_connected(server.begin(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(params: types.DidChangeTextDocumentParams) -> None:
        await _while_connected(server.tell_soon(params.text_document.uri, params.text_document.version))

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def did_close(params: types.DidCloseTextDocumentParams) -> None:
        await _while_connected(server.end(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def did_save(_params: types.DidSaveTextDocumentParams) -> None:
        await _while_connected(server.tell_again())

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def did_change_watched_files(_params: types.DidChangeWatchedFilesParams) -> None:
        await _while_connected(server.tell_again())


async def _while_connected(what: Coroutine[None, None, None]) -> None:
    """Does something unasked, up to the end of the connection: that it ends then is no failure."""
    with suppress(asyncio.CancelledError):
        await what


def _answer_about_places(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        return convert.answer_hover(server.documents[params.text_document.uri], params.position)

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION,
        types.CompletionOptions(trigger_characters=["-", "{", "<", "[", "|", "(", "=", ",", " ", '"']),
    )
    def completion(params: types.CompletionParams) -> list[types.CompletionItem]:
        return convert.answer_completion(server.documents[params.text_document.uri], params.position, server.datasets)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]),
    )
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        document = server.documents[params.text_document.uri]
        found = [*convert.answer_code_actions(document, params.range), *convert.fix_all_action(document)]
        only = params.context.only
        return [each for each in found if only is None or any(_is_kind(each, kind) for kind in only)]

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def inlay_hint(params: types.InlayHintParams) -> list[types.InlayHint]:
        return convert.answer_inlay_hints(server.documents[params.text_document.uri], params.range)


def _is_kind(action: types.CodeAction, kind: str) -> bool:
    """Whether an action is of a kind: ``source.fixAll`` is of ``source`` too, and everything of the empty kind."""
    return not kind or ((action.kind or "") + ".").startswith(kind + ".")


def _answer_about_names(server: Server) -> None:
    def around(uri: str, position: types.Position, *new: str) -> tuple[OpenDocument, list[OpenDocument]]:
        document = server.documents[uri]
        found = referent_at(document.view, document.at.offset(position))
        if found is None or found.meaning.family == "value":  # no other text can read a value
            return document, [document]
        words = [found.meaning.key, *(name.replace(" ", "") for name in new if name)]
        try:
            return document, list(server.documents.around(uri, words))
        except UnreadError:
            message = f"the project's files that say '{found.name}' take more than {MAX_SEARCH:g} s to read"
            raise Unread(message) from None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        return convert.answer_definition(server.documents[params.text_document.uri], params.position)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        document, others = around(params.text_document.uri, params.position)
        return convert.answer_references(others, document, params.position, defining=params.context.include_declaration)

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        return convert.answer_prepare_rename(server.documents[params.text_document.uri], params.position)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def rename(params: types.RenameParams) -> types.WorkspaceEdit | None:
        document, others = around(params.text_document.uri, params.position, params.new_name)
        try:
            return convert.answer_rename(others, document, params.position, params.new_name)
        except RenameProblem as problem:
            raise RequestRefused(str(problem)) from None


def _answer_about_texts(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def document_symbol(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        return convert.answer_document_symbols(server.documents[params.text_document.uri])

    @server.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
    def folding_range(params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        return convert.answer_folding_ranges(server.documents[params.text_document.uri])

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        return convert.answer_formatting(server.documents[params.text_document.uri])
