"""Language server: published diagnostics, and the function that answers each request."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from sewdsl.editing.references import RenameProblem
from sewdsl.lsp import convert
from sewdsl.lsp.open_documents import MAX_SEARCH, Documents, OpenDocument, UnreadError
from sewdsl.lsp.protocol import Protocol

TYPING_PAUSE_SECONDS = 0.05
"""Time without changes before a document is compiled, in seconds."""
BACKGROUND_PAUSE_SECONDS = 0.01
"""Pause between two documents in background work, in seconds. Requests are answered in it."""


class RequestRefused(JsonRpcInvalidParams):
    """Raised if a request cannot be fulfilled, with the reason as message."""


class Unread(JsonRpcException):
    """Raised if a project is too large for a request."""

    CODE = types.LSPErrorCodes.RequestFailed.value


def is_failure(record: logging.LogRecord) -> bool:
    """Return whether a log record reports a fault, other than a refusal or a lost connection."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException | BrokenPipeError))


class Server(LanguageServer):
    """Language server that publishes diagnostics whenever a document or a used file changes."""

    protocol: Protocol

    def __init__(self, version: str, datasets: Collection[str]) -> None:
        super().__init__(
            *("sewdsl", version),
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=Protocol,
        )
        self._published: dict[str, OpenDocument] = {}
        self._turn = 0
        self.datasets = datasets

    def run(self) -> None:
        """Answer on standard input and output until the connection ends."""
        with suppress(KeyboardInterrupt):
            asyncio.run(self.protocol.run())

    @cached_property
    def documents(self) -> Documents:
        """Open documents."""
        return Documents(self.workspace)

    def publish(self, uri: str) -> None:
        """Publish the diagnostics of a document."""
        document = self._published[uri] = self.documents[uri]
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, convert.to_diagnostics(document), version)
        )

    async def publish_later(self, uri: str, version: int) -> None:
        """Publish the diagnostics of a document after a pause, unless it changes meanwhile."""
        self._published.pop(uri, None)
        self._turn += 1
        await asyncio.sleep(TYPING_PAUSE_SECONDS)
        # A newer version publishes its own diagnostics. A closed document has no version.
        if self.workspace.get_text_document(uri).version == version:
            self.publish(uri)
            await self.republish()

    async def republish(self) -> None:
        """Publish the diagnostics of each document whose used files have changed."""
        self._turn += 1
        turn = self._turn
        for uri in list(self._published):
            if uri in self._published and self._published[uri] is not self.documents[uri]:
                self.publish(uri)
                await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)
                # A later change starts this loop again.
                if self._turn != turn:
                    return

    async def preload_project(self, uri: str) -> None:
        """Read the files next to a document, to make the first search for a name fast."""
        for _ in self.documents.read_project(uri):
            await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)
        # Long-lived objects: exclude them from garbage collection.
        gc.freeze()

    async def handle_open(self, uri: str) -> None:
        """Publish the diagnostics of a document that was opened."""
        self.publish(uri)
        await self.republish()
        await self.preload_project(uri)

    async def handle_close(self, uri: str) -> None:
        """Clear the diagnostics of a document that was closed."""
        self._published.pop(uri, None)
        self.documents.forget(uri)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))
        await self.republish()

    async def watch(self) -> None:
        """Register for changes of files on disk, if the client supports it."""
        # Exclude loaded modules from garbage collection, which would take longer than an answer.
        gc.freeze()
        supported = self.client_capabilities.workspace
        if supported and supported.did_change_watched_files and supported.did_change_watched_files.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*.net")])
            watching = types.Registration("net-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            with suppress(JsonRpcException):  # The client refused. Files are then read again when a document is saved.
                await self.client_register_capability_async(types.RegistrationParams([watching]))


def serve(version: str, datasets: Collection[str]) -> Server:
    """Return a server with handlers for all supported messages."""
    server = Server(version, datasets)
    for method, react in _followed(server).items():
        server.feature(method)(_while_connected(react))
    for method, answer in _answers(server).items():
        server.feature(method, OPTIONS.get(method))(partial(_answer, server, answer))
    return server


def _while_connected(react: Callable[[Any], Coroutine[None, None, None]]) -> Callable[[Any], Any]:
    """Return a handler that ignores its cancellation at the end of the connection."""

    async def handle(params: Any) -> None:
        with suppress(asyncio.CancelledError):
            await react(params)

    return handle


def _followed(server: Server) -> dict[str, Callable[[Any], Coroutine[None, None, None]]]:
    """Return the reaction to each notification."""
    return {
        types.INITIALIZED: lambda _: server.watch(),
        types.TEXT_DOCUMENT_DID_OPEN: lambda params: server.handle_open(params.text_document.uri),
        types.TEXT_DOCUMENT_DID_CHANGE: lambda params: server.publish_later(
            params.text_document.uri, params.text_document.version
        ),
        types.TEXT_DOCUMENT_DID_CLOSE: lambda params: server.handle_close(params.text_document.uri),
        types.TEXT_DOCUMENT_DID_SAVE: lambda _: server.republish(),
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES: lambda _: server.republish(),
    }


OPTIONS = {
    types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(
        trigger_characters=["-", "{", "<", "[", "|", "(", "=", ",", " ", '"']
    ),
    types.TEXT_DOCUMENT_CODE_ACTION: types.CodeActionOptions(
        [types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]
    ),
    types.TEXT_DOCUMENT_RENAME: types.RenameOptions(prepare_provider=True),
}
"""Capabilities of requests that the server announces on initialization."""

Answer = Callable[[OpenDocument, Any], Any]


def _answer(server: Server, answer: Answer, params: Any) -> Any:
    return answer(server.documents[params.text_document.uri], params)


def _answers(server: Server) -> dict[str, Answer]:
    """Return the function that answers each request about a document."""

    def references(document: OpenDocument, params: types.ReferenceParams) -> list[types.Location]:
        others = _around(server, document, params.position)
        defining = params.context.include_declaration
        return convert.answer_references(others, document, params.position, defining=defining)

    def rename(document: OpenDocument, params: types.RenameParams) -> types.WorkspaceEdit | None:
        others = _around(server, document, params.position, params.new_name)
        try:
            return convert.answer_rename(others, document, params.position, params.new_name)
        except RenameProblem as problem:
            raise RequestRefused(str(problem)) from None

    return {
        types.TEXT_DOCUMENT_HOVER: lambda document, params: convert.answer_hover(document, params.position),
        types.TEXT_DOCUMENT_COMPLETION: lambda document, params: convert.answer_completion(
            document, params.position, server.datasets
        ),
        types.TEXT_DOCUMENT_CODE_ACTION: _code_actions,
        types.TEXT_DOCUMENT_INLAY_HINT: lambda document, params: convert.answer_inlay_hints(document, params.range),
        types.TEXT_DOCUMENT_DEFINITION: lambda document, params: convert.answer_definition(document, params.position),
        types.TEXT_DOCUMENT_REFERENCES: references,
        types.TEXT_DOCUMENT_PREPARE_RENAME: lambda document, params: convert.answer_prepare_rename(
            document, params.position
        ),
        types.TEXT_DOCUMENT_RENAME: rename,
        types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: lambda document, _: convert.answer_document_symbols(document),
        types.TEXT_DOCUMENT_FOLDING_RANGE: lambda document, _: convert.answer_folding_ranges(document),
        types.TEXT_DOCUMENT_FORMATTING: lambda document, _: convert.answer_formatting(document),
    }


def _code_actions(document: OpenDocument, params: types.CodeActionParams) -> list[types.CodeAction]:
    actions = [*convert.answer_code_actions(document, params.range), *convert.fix_all_action(document)]
    only = params.context.only
    return [action for action in actions if only is None or any(_is_kind(action, kind) for kind in only)]


def _is_kind(action: types.CodeAction, kind: str) -> bool:
    """Return whether an action has a kind or a subkind: ``source.fixAll`` is a kind of ``source``."""
    # Every action has the empty kind.
    return not kind or ((action.kind or "") + ".").startswith(kind + ".")


def _around(server: Server, document: OpenDocument, position: types.Position, *new: str) -> list[OpenDocument]:
    """Return the documents that may contain the name at a position, or a new name for it."""
    use = document.view.names.at(document.at.offset(position))
    # Other files cannot refer to a value.
    if use is None or use.meaning.family == "value":
        return [document]
    words = [use.meaning.key, *(name.replace(" ", "") for name in new if name)]
    try:
        return list(server.documents.around(document.uri, words))
    except UnreadError:
        raise Unread(f"searching the project for '{use.name}' exceeds the limit of {MAX_SEARCH:g} s") from None
