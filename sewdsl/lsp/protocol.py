"""Messages as they come: what is none of the protocol is answered by an error, and everything else in turn."""

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
from urllib.parse import unquote

from cattrs import Converter, transform_error
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
from pygls.protocol import LanguageServerProtocol, default_converter
from pygls.uris import to_fs_path

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

MAX_MESSAGE = 16 * 2**20
"""Bytes of a message; a longer one is skipped, and answered by an error."""
MAX_AHEAD = 100
"""Messages that are read before the first of them has been handled."""
MAX_REASONS = 5
"""Reasons that are given for a message with wrong parameters."""
_LENGTH = re.compile(rb"content-length:\s*(\d{1,18})\s*", re.IGNORECASE)


def read_messages(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the bodies of messages, each after a header with its length; None for one that is too long."""
    length = None
    while header := stream.readline(2**16):
        found = _LENGTH.fullmatch(header.rstrip(b"\r\n"))
        if found:
            length = int(found[1])
        if length is None or header.strip():
            continue
        if length > MAX_MESSAGE:
            left = length
            while left and (skipped := stream.read(min(left, 2**20))):
                left -= len(skipped)
            yield None
        else:
            body = stream.read(length)
            if len(body) < length:
                return
            yield body
        length = None


def strict_converter() -> Converter:
    """Return what makes objects of JSON; it does not take a number for a text, or null for 0, as cattrs does."""
    made: Converter = default_converter()  # type: ignore[no-untyped-call]
    made.register_structure_hook(str, partial(_exactly, str, "a string"))
    made.register_structure_hook(bool, partial(_exactly, bool, "true or false"))
    made.register_structure_hook(int, _integer)
    return made


class _WrongValueError(ValueError):
    """Raised where a value is of another type than the protocol has."""


def _exactly(kind: type, called: str, value: Any, wanted: type) -> Any:
    """Return a value of a type of JSON, or of an enumeration of such."""
    if type(value) is not kind:
        raise _WrongValueError(f"expected {called}, found {json.dumps(value)[:40]}")
    return value if wanted is kind else wanted(value)


def _integer(value: Any, wanted: type) -> Any:
    """Return an integer; JSON has one kind of numbers, so that 3.0 is one too."""
    whole = isinstance(value, float) and value.is_integer()
    return _exactly(int, "an integer", int(value) if whole else value, wanted)


def _reasons(error: BaseException) -> str:
    """What is wrong in a message, in words: ``position.line: expected an integer, found "1"``."""
    found = []
    for said in transform_error(error, path="", format_exception=_reason):
        what, _, where = said.rpartition(" @ ")
        path = re.sub(r"_([a-z])", lambda letter: letter[1].upper(), where).removeprefix(".").removeprefix("params")
        found.append(f"{path.removeprefix('.') or 'params'}: {what}")
    more = [f"and {len(found) - MAX_REASONS} more"] if len(found) > MAX_REASONS else []
    return "; ".join([*found[:MAX_REASONS], *more])


def _reason(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "missing"
    return str(error) if isinstance(error, _WrongValueError) else "wrong value"


class StandardOutput:
    """Writes messages at once; what becomes of the standard output in the end is not decided here."""

    def write(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            left = left[os.write(1, left) :]

    def close(self) -> None:
        """Do nothing."""


class Protocol(LanguageServerProtocol):
    """Answers every request: a wrong one by an error that says what is wrong, and the others in turn.

    Messages are read while an answer is computed, and handled before the next answer. So each is about the newest text,
    and what is cancelled meanwhile is not computed: requests of someone who types do not pile up.
    """

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        super().__init__(server, converter)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Handle messages over the standard input and output, up to the end of the connection."""
        self.set_writer(StandardOutput())
        stream = os.fdopen(os.dup(0), "rb")  # of its own: the thread that reads from it outlives the interpreter
        loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        ahead = threading.Semaphore(MAX_AHEAD)

        def handle(body: bytes | None) -> None:
            ahead.release()
            self._receive(body)

        def read() -> None:
            with suppress(RuntimeError):  # the event loop is no more
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
        """Handle a message, or answer what is wrong with it."""
        if body is None:
            self._refuse(None, JsonRpcInvalidRequest(f"the message has more than {MAX_MESSAGE:,} bytes"))
            return
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, JsonRpcParseError("the message is no JSON"))
            return
        asked = message.get("id") if isinstance(message, dict) else None
        try:
            structured = self._structured(message)
        except JsonRpcException as error:
            if isinstance(message, dict) and "id" not in message and "method" in message:
                log = types.LogMessageParams(types.MessageType.Error, f"ignored: {error.message}")
                self.notify(types.WINDOW_LOG_MESSAGE, log)  # a notification has no answer
            else:
                self._refuse(asked if type(asked) in {str, int} else None, error)
            return
        if structured is None:
            return
        if getattr(structured, "method", None) == types.EXIT:
            self._later(partial(self.handle_message, structured))
        else:
            self.handle_message(structured)

    def _structured(self, message: Any) -> Any:
        """Return a message as an object; None: it is none that needs handling.

        Raises:
            JsonRpcException: It is none of the protocol, or not at this time.
        """
        if not isinstance(message, dict) or message.get("jsonrpc") != self.VERSION:
            raise JsonRpcInvalidRequest('a message is an object with "jsonrpc": "2.0"')
        if "id" in message and type(message["id"]) not in {str, int}:
            raise JsonRpcInvalidRequest("an id is a string or an integer")
        if "method" not in message:
            return self._response(message)
        method = message["method"]
        known = types.METHOD_TO_TYPES.get(method) if isinstance(method, str) else None
        if known is None:
            if "id" in message:
                raise JsonRpcMethodNotFound(f"there is no method {json.dumps(method)[:80]}")
            return None  # as the protocol has it, for those of its later versions
        is_request = known[1] is not None
        if is_request != ("id" in message):
            raise JsonRpcInvalidRequest(f"'{method}' is a {'request' if is_request else 'notification'}")
        self._check_time(method)
        try:
            structured: Any = self._converter.structure(message, known[0])
        except Exception as error:  # noqa: BLE001 -- cattrs lets through whatever hooks raise
            raise JsonRpcInvalidParams(f"wrong parameters of '{method}': {_reasons(error)}") from None
        self._check_text(method, structured.params)
        return structured

    def _response(self, message: dict[str, Any]) -> Any:
        """Return an answer to what this server has asked; None: it has not asked that."""
        if message.get("id") not in self._request_futures:
            return None
        kind = self._result_types.pop(message["id"], None)
        try:
            return self._converter.structure(message, types.ResponseErrorMessage if "error" in message else kind)
        except Exception as error:  # noqa: BLE001 -- as above
            wrong = types.ResponseError(JsonRpcInvalidRequest.CODE, _reasons(error))
            return types.ResponseErrorMessage(message["id"], error=wrong)

    def _check_time(self, method: str) -> None:
        """Raise an error where a message comes too early or too late."""
        if method == types.EXIT:
            return
        if self._shutdown:
            raise JsonRpcInvalidRequest("the server was shut down")
        if self._workspace is None and method != types.INITIALIZE:
            raise JsonRpcServerNotInitialized("the server was not initialized")
        if self._workspace is not None and method == types.INITIALIZE:
            raise JsonRpcInvalidRequest("the server was initialized already")

    def _check_text(self, method: str, params: Any) -> None:
        """Raise an error where a text has no name that can be one, or is changed in a way that cannot be followed."""
        uri = getattr(getattr(params, "text_document", None), "uri", None)
        if uri is None:
            return
        try:
            to_fs_path(uri)
        except ValueError:
            raise JsonRpcInvalidParams(f"wrong parameters of '{method}': textDocument.uri: no URI") from None
        if method == types.TEXT_DOCUMENT_DID_CHANGE:
            if unquote(uri) not in self.workspace.text_documents:
                raise JsonRpcInvalidParams(f"'{method}' of a text that is not open")
            if any(isinstance(change, types.TextDocumentContentChangePartial) for change in params.content_changes):
                raise JsonRpcInvalidParams(f"'{method}' of a part of a text, but this server takes whole texts")

    def _handle_request(self, msg_id: str | int, method_name: str, params: Any) -> None:
        """Answer a request: about a text, and the last one, in turn."""
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
        """Answer a request about the text as it is then; a new name is given where it was asked for, or not at all."""
        text = self.workspace.get_text_document(params.text_document.uri)
        version = text.version

        async def answer() -> Any:
            async with self._turn:
                await asyncio.sleep(0)  # others begin to wait, and are woken after what is read while this is computed
                newest = self.workspace.get_text_document(params.text_document.uri).version
                if method == types.TEXT_DOCUMENT_RENAME and newest != version:
                    raise JsonRpcContentModified("the text has changed since: ask again")
                return handler(params)

        return answer()

    def _later(self, what: Callable[[], None]) -> None:
        """Do something when what was asked before is answered."""

        async def wait() -> None:
            async with self._turn:
                what()

        task = asyncio.ensure_future(wait())
        self._tasks.add(task)  # the event loop itself keeps none
        task.add_done_callback(self._tasks.discard)

    def _refuse(self, msg_id: str | int | None, error: JsonRpcException) -> None:
        self._send_response(msg_id, error=error.to_response_error())  # type: ignore[arg-type]

    def _send_data(self, data: Any) -> None:
        """Send something, unless the connection has ended."""
        try:
            super()._send_data(data)
        except BrokenPipeError:
            self._end()
