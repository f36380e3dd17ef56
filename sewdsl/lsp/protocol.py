"""JSON-RPC transport: check messages, and answer requests in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from cattrs import transform_error
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcContentModified,
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol
from pygls.uris import to_fs_path

if TYPE_CHECKING:
    from cattrs import Converter
    from pygls.lsp.server import LanguageServer

MAX_MESSAGE = 16 * 2**20
"""Largest size of a message in bytes. Longer messages are skipped and answered with an error."""
MAX_AHEAD = 100
"""Largest number of messages that are read but not handled yet."""
_LENGTH = re.compile(rb"content-length:\s*(\d{1,18})\s*", re.IGNORECASE)


def read_messages(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the body of each message, or None for a message that is too long."""
    length = None
    while header := stream.readline(2**16):
        match = _LENGTH.fullmatch(header.rstrip(b"\r\n"))
        if match:
            length = int(match[1])
        if length is None or header.strip():
            continue
        if length > MAX_MESSAGE:
            remaining = length
            while remaining and (skipped := stream.read(min(remaining, 2**20))):
                remaining -= len(skipped)
            yield None
        else:
            body = stream.read(length)
            if len(body) < length:
                return
            yield body
        length = None


class StandardOutput:
    """Unbuffered writer to standard output, which never closes it."""

    def write(self, data: bytes) -> None:
        """Write all bytes."""
        remaining = memoryview(data)
        while remaining:
            # A pipe may take a part of the data only.
            remaining = remaining[os.write(1, remaining) :]

    def close(self) -> None:
        """Leave standard output open for the interpreter."""


class Protocol(LanguageServerProtocol):
    """Protocol that answers every request, either with its result or with an error.

    Messages are read while an answer is computed, and handled before the next answer. So each answer refers to the
    newest text, and cancelled requests are not computed: requests do not pile up while the user types.
    """

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        super().__init__(server, converter)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Handle messages on standard input and output until the connection ends."""
        self.set_writer(StandardOutput())
        # Duplicate the descriptor: the reading thread outlives the interpreter, which closes standard input.
        stream = os.fdopen(os.dup(0), "rb")
        loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        ahead = threading.Semaphore(MAX_AHEAD)

        def handle(body: bytes | None) -> None:
            ahead.release()
            self._receive(body)

        def read() -> None:
            with suppress(RuntimeError):  # The event loop is closed.
                for body in read_messages(stream):
                    ahead.acquire()
                    loop.call_soon_threadsafe(handle, body)
                loop.call_soon_threadsafe(self._later, self._end)

        threading.Thread(target=read, daemon=True).start()
        await self._gone

    def _end(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _receive(self, body: bytes | None) -> None:
        """Handle a message, or answer it with an error."""
        if body is None:
            self._refuse(None, JsonRpcInvalidRequest(f"message exceeds the limit of {MAX_MESSAGE:,} bytes"))
            return
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, JsonRpcParseError("message is not JSON"))
            return
        msg_id = message.get("id") if isinstance(message, dict) else None
        try:
            structured = self._structured(message)
        except JsonRpcException as error:
            if isinstance(message, dict) and "id" not in message and "method" in message:
                # Notifications have no answer, so log the error.
                log = types.LogMessageParams(types.MessageType.Error, f"ignored: {error.message}")
                self.notify(types.WINDOW_LOG_MESSAGE, log)
            else:
                self._refuse(msg_id if type(msg_id) in {str, int} else None, error)
            return
        if structured is None:
            return
        # Exit after pending requests have been answered.
        if getattr(structured, "method", None) == types.EXIT:
            self._later(partial(self.handle_message, structured))
        else:
            self.handle_message(structured)

    def _structured(self, message: Any) -> Any:
        """Return a message as an object, or None to ignore it. Raise JsonRpcException if it violates the protocol."""
        if not isinstance(message, dict) or message.get("jsonrpc") != self.VERSION:
            raise JsonRpcInvalidRequest('expected an object with "jsonrpc": "2.0"')
        if "id" in message and type(message["id"]) not in {str, int}:
            raise JsonRpcInvalidRequest("id must be a string or an integer")
        if "method" not in message:
            return self.structure_message(message) if message.get("id") in self._request_futures else None
        method = message["method"]
        message_types = types.METHOD_TO_TYPES.get(method) if isinstance(method, str) else None
        if message_types is None:
            if "id" in message:
                raise JsonRpcMethodNotFound(f"unknown method {json.dumps(method)[:80]}")
            # The protocol requires that unknown notifications are ignored.
            return None
        is_request = message_types[1] is not None
        if is_request != ("id" in message):
            raise JsonRpcInvalidRequest(f"'{method}' must be a {'request' if is_request else 'notification'}")
        self._check_time(method)
        try:
            structured: Any = self._converter.structure(message, message_types[0])
        except Exception as error:  # noqa: BLE001 -- no message may end the server
            reasons = "; ".join(transform_error(error, "message"))
            # The protocol writes 'textDocument', its Python types 'text_document'.
            raise JsonRpcInvalidParams(re.sub(r"_([a-z])", lambda match: match[1].upper(), reasons)) from None
        uri = getattr(getattr(getattr(structured, "params", None), "text_document", None), "uri", "")
        try:
            to_fs_path(uri)
        except ValueError:
            raise JsonRpcInvalidParams("textDocument.uri is not a URI") from None
        return structured

    def _check_time(self, method: str) -> None:
        """Raise an error for a message before initialization or after shutdown."""
        if method == types.EXIT:
            return
        if self._shutdown:
            raise JsonRpcInvalidRequest("server is shut down")
        if self._workspace is None and method != types.INITIALIZE:
            raise JsonRpcServerNotInitialized("server is not initialized")
        if self._workspace is not None and method == types.INITIALIZE:
            raise JsonRpcInvalidRequest("server is already initialized")

    def _handle_request(self, msg_id: str | int, method_name: str, params: Any) -> None:
        """Answer a request. Requests about a document, and the shutdown, are answered in order."""
        answer = super()._handle_request
        handler = self.fm.features.get(method_name)
        if method_name == types.SHUTDOWN:
            self._later(partial(answer, msg_id, method_name, params))
        elif handler is None:
            answer(msg_id, method_name, params)
        else:
            future = asyncio.ensure_future(self._answer(handler, method_name, params))
            self._request_futures[msg_id] = future  # type: ignore[assignment]
            future.add_done_callback(partial(self._send_handler_result, msg_id=msg_id))

    def _answer(self, handler: Callable[[Any], Any], method: str, params: Any) -> Coroutine[Any, Any, Any]:
        """Answer a request with the newest text of the document."""
        text = self.workspace.get_text_document(params.text_document.uri)
        version = text.version

        async def answer() -> Any:
            async with self._turn:
                # Let later requests start to wait: they are then woken after the messages that are read meanwhile.
                await asyncio.sleep(0)
                newest = self.workspace.get_text_document(params.text_document.uri).version
                # The position of a rename may be another name in the newest text.
                if method == types.TEXT_DOCUMENT_RENAME and newest != version:
                    raise JsonRpcContentModified("the text has changed; repeat the request")
                return handler(params)

        return answer()

    def _later(self, function: Callable[[], None]) -> None:
        """Call a function after all pending requests have been answered."""

        async def wait() -> None:
            async with self._turn:
                function()

        task = asyncio.ensure_future(wait())
        # The event loop has only weak references to tasks.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refuse(self, msg_id: str | int | None, error: JsonRpcException) -> None:
        self._send_response(msg_id, error=error.to_response_error())  # type: ignore[arg-type]

    def _send_data(self, data: Any) -> None:
        """Send data, unless the connection has ended."""
        try:
            super()._send_data(data)
        except BrokenPipeError:
            self._end()
