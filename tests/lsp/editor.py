"""An editor for tests: a client of a server, which runs here, or as another process over its pipes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from sewdsl.lsp.server import serve

NET = """\
sewdsl 1
use "lib.net"
input 2x32x32
body c8k3-BN-PLIFMPk2-Mine (c16)-GAP-FC5
"""
EVERYWHERE = lsp.Range(lsp.Position(0, 0), lsp.Position(999, 0))
LIBRARY = "sewdsl 1\nneuron IF\nblock Mine(c) = c$(c)k3-BN-SN\n"


class Writer:
    """Hands each message to the other side, as soon as that has nothing else to do."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive

    def write(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._receive, data)

    def close(self) -> None:
        pass


class Editor:
    """A client with a folder, and what the server has said of its texts.

    Args:
        folder: Where the files are.
        process: Whether the server is another process.
    """

    def __init__(self, folder: Path, *, process: bool) -> None:
        self.folder, self.process = folder, process
        self.client = LanguageClient("test", "1")
        self.said: defaultdict[str, asyncio.Queue[lsp.PublishDiagnosticsParams]] = defaultdict(asyncio.Queue)
        self.watched: list[lsp.Registration] = []
        self.shown: list[str] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}

        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)  # type: ignore[untyped-decorator]
        def _(params: lsp.PublishDiagnosticsParams) -> None:
            self.said[params.uri].put_nowait(params)

        @self.client.feature(lsp.WINDOW_SHOW_MESSAGE)  # type: ignore[untyped-decorator]
        def _(params: lsp.ShowMessageParams) -> None:
            self.shown.append(params.message)

        @self.client.feature(lsp.CLIENT_REGISTER_CAPABILITY)  # type: ignore[untyped-decorator]
        def _(params: lsp.RegistrationParams) -> None:
            self.watched += params.registrations

    async def begin(self) -> lsp.InitializeResult:
        if self.process:
            await self.client.start_io(sys.executable, "-m", "sewdsl", "lsp")
        else:
            self.connect()
        capabilities = lsp.ClientCapabilities(
            general=lsp.GeneralClientCapabilities(position_encodings=[lsp.PositionEncodingKind.Utf16]),
            workspace=lsp.WorkspaceClientCapabilities(
                did_change_watched_files=lsp.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
            ),
        )
        result = await self.client.initialize_async(
            lsp.InitializeParams(capabilities=capabilities, root_uri=self.folder.as_uri())
        )
        self.client.initialized(lsp.InitializedParams())
        return result

    def connect(self) -> None:
        """Begins to talk with a server in this process."""
        here, there = self.client.protocol, serve("0", ["mnist5k"]).protocol

        def receive(data: bytes) -> None:
            here.handle_message(json.loads(data, object_hook=here.structure_message))

        here.set_writer(Writer(there._receive), include_headers=False)
        there.set_writer(Writer(receive), include_headers=False)

    async def end(self) -> None:
        await self.client.shutdown_async(None)
        if self.process:
            self.client.exit(None)
            await self.client.stop()  # type: ignore[no-untyped-call]

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    async def open(self, name: str, text: str) -> list[lsp.Diagnostic]:
        self.texts[name], self.versions[name] = text, 1
        item = lsp.TextDocumentItem(self.uri(name), "sewdsl", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return await self.heard(name)

    def type(self, name: str, text: str, version: int) -> None:
        self.texts[name], self.versions[name] = text, version
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(uri=self.uri(name), version=version),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    async def heard(self, name: str) -> list[lsp.Diagnostic]:
        params = await asyncio.wait_for(self.said[self.uri(name)].get(), 20)
        return list(params.diagnostics)

    async def actions(self, name: str, said: lsp.Diagnostic, *only: str) -> list[lsp.CodeAction]:
        text, context = lsp.TextDocumentIdentifier(self.uri(name)), lsp.CodeActionContext([said], only=only or None)
        found = await self.client.text_document_code_action_async(lsp.CodeActionParams(text, said.range, context))
        return [action for action in found or () if isinstance(action, lsp.CodeAction)]

    def at(self, name: str, word: str) -> dict[str, Any]:
        before = self.texts[name][: self.texts[name].index(word)]
        position = lsp.Position(before.count("\n"), len(before) - before.rfind("\n") - 1)
        return {"text_document": lsp.TextDocumentIdentifier(self.uri(name)), "position": position}


PAUSE = 0.01
"""Seconds that a text must rest until a server of this process speaks about it: less than in use, since tests wait."""


def edit(folder: Path, what: Callable[[Editor], Coroutine[Any, Any, None]], *, process: bool = False) -> None:
    """Run an editor with a server of its own, in this process or in another one."""
    (folder / "pyproject.toml").touch()
    (folder / "lib.net").write_text(LIBRARY)
    (folder / "a.net").write_text(NET)

    async def whole() -> None:
        editor = Editor(folder, process=process)
        await editor.begin()
        try:
            await what(editor)
        finally:
            await editor.end()

    with patch("sewdsl.lsp.server.TYPING_PAUSE_SECONDS", PAUSE):
        asyncio.run(whole())
