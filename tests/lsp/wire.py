"""A language server without a process: messages go in, and its answers come out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from sewdsl.lsp.server import serve

URI = "untitled:a"
NET = "sewdsl 1\nblock Mine(c) = c$(c)k3-BN\ninput 2x9x9\nbody Mine (c4)-FC2\n"


class Wire:
    """A server that was initialized, unless told otherwise, and what it has sent."""

    def __init__(self, *, initialize: bool = True) -> None:
        self.server = serve("0", ["mnist5k"])
        self.sent: list[dict[str, Any]] = []
        self.server.protocol.set_writer(self, include_headers=False)
        if initialize:
            self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id="first")

    def write(self, data: bytes) -> None:
        self.sent.append(json.loads(data))

    def close(self) -> None:
        pass

    def send(self, message: Any) -> None:
        """A message comes, as JSON or as bytes."""
        self.server.protocol._receive(message if isinstance(message, bytes) else json.dumps(message).encode())

    def ask(self, method: Any, params: Any = None, **more: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params, **more})

    def open(self, text: str = NET, uri: str = URI) -> None:
        item = {"uri": uri, "languageId": "sewdsl", "version": 1, "text": text}
        self.ask("textDocument/didOpen", {"textDocument": item})

    def change(self, version: int, text: str, uri: str = URI) -> None:
        name = {"uri": uri, "version": version}
        self.ask("textDocument/didChange", {"textDocument": name, "contentChanges": [{"text": text}]})

    def answers(self, id: Any) -> list[dict[str, Any]]:
        return [message for message in self.sent if "method" not in message and message.get("id") == id]

    async def answer(self, id: Any) -> dict[str, Any]:
        """Wait for the answer to a request."""
        while not self.answers(id):  # noqa: ASYNC110 -- as a client that knows no more
            await asyncio.sleep(0.001)
        (found,) = self.answers(id)
        return found


def talk(what: Callable[[Wire], Awaitable[None]], *, initialize: bool = True, seconds: float = 60) -> Wire:
    """Talks to a server of its own."""

    async def whole() -> Wire:
        wire = Wire(initialize=initialize)
        await asyncio.wait_for(what(wire), seconds)
        return wire

    return asyncio.run(whole())
