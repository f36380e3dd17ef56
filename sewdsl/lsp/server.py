"""Language server: what it publishes of open texts, and which function answers each request."""

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

from sewdsl.editing.references import RenameProblem, referent_at
from sewdsl.lsp import convert
from sewdsl.lsp.open_documents import MAX_SEARCH, Documents, OpenDocument, UnreadError
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
    """Return whether a record of the log tells of more than a refusal, or than an editor that is gone."""
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
        """Answer over the standard input and output, up to the end of the connection."""
        with suppress(KeyboardInterrupt):
            asyncio.run(self.protocol.run())

    @cached_property
    def documents(self) -> Documents:
        """What is known of the open texts."""
        return Documents(self.workspace)

    def tell(self, uri: str) -> None:
        """Send what the compiler says of a text."""
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
        """Read the files next to a text, so that the first search for a name finds them read."""
        for _ in self.documents.read_project(uri):
            await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)
        gc.freeze()  # as in watch

    async def begin(self, uri: str) -> None:
        """Speak about a text that was opened."""
        self.tell(uri)
        await self.tell_again()
        await self.look_around(uri)

    async def end(self, uri: str) -> None:
        """Take back what was said of a text that was closed."""
        self._published.pop(uri, None)
        self.documents.forget(uri)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))
        await self.tell_again()

    async def watch(self) -> None:
        """Ask to hear of each file that changes on the disk, where the editor can be asked."""
        gc.freeze()  # what stays is no longer searched for garbage: that takes longer than an answer
        can = self.client_capabilities.workspace
        if can and can.did_change_watched_files and can.did_change_watched_files.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*.net")])
            watching = types.Registration("net-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            with suppress(JsonRpcException):  # then it watches nothing
                await self.client_register_capability_async(types.RegistrationParams([watching]))


def serve(version: str, datasets: Collection[str]) -> Server:
    """Return a server that answers everything it can be asked."""
    server = Server(version, datasets)
    for method, follow in _followed(server).items():
        server.feature(method)(_while_connected(follow))
    for method, answer in _answers(server).items():
        server.feature(method, OPTIONS.get(method))(partial(_answer, server, answer))
    return server


def _while_connected(follow: Callable[[Any], Coroutine[None, None, None]]) -> Callable[[Any], Any]:
    """Follow a notification up to the end of the connection: that it ends then is no failure."""

    async def handle(params: Any) -> None:
        with suppress(asyncio.CancelledError):
            await follow(params)

    return handle


def _followed(server: Server) -> dict[str, Callable[[Any], Coroutine[None, None, None]]]:
    """What follows from each notification."""
    return {
        types.INITIALIZED: lambda _: server.watch(),
        types.TEXT_DOCUMENT_DID_OPEN: lambda params: server.begin(params.text_document.uri),
        types.TEXT_DOCUMENT_DID_CHANGE: lambda params: server.tell_soon(
            params.text_document.uri, params.text_document.version
        ),
        types.TEXT_DOCUMENT_DID_CLOSE: lambda params: server.end(params.text_document.uri),
        types.TEXT_DOCUMENT_DID_SAVE: lambda _: server.tell_again(),
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES: lambda _: server.tell_again(),
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
"""What the server says of its answers when it is initialized."""

Answer = Callable[[OpenDocument, Any], Any]


def _answer(server: Server, answer: Answer, params: Any) -> Any:
    return answer(server.documents[params.text_document.uri], params)


def _answers(server: Server) -> dict[str, Answer]:
    """What answers each request about a text."""

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
    """Return whether an action is of a kind: ``source.fixAll`` is of ``source`` too, and all of the empty kind."""
    return not kind or ((action.kind or "") + ".").startswith(kind + ".")


def _around(server: Server, document: OpenDocument, position: types.Position, *new: str) -> list[OpenDocument]:
    """Return the texts that can say the name at a position, or a new one for it.

    Raises:
        Unread: The project is too large to be searched.
    """
    use = referent_at(document.view, document.at.offset(position))
    if use is None or use.meaning.family == "value":  # no other text can read a value
        return [document]
    words = [use.meaning.key, *(name.replace(" ", "") for name in new if name)]
    try:
        return list(server.documents.around(document.uri, words))
    except UnreadError:
        raise Unread(f"the project's files that say '{use.name}' take more than {MAX_SEARCH:g} s to read") from None
