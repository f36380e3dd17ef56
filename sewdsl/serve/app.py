"""Server of the live page: files of a folder, assets of the page, and requests to worker processes.

This module never compiles a text. Compiling can take any time, so it runs in processes that can be killed.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: TC002 -- starlette reads annotations

from sewdsl.compiler import shipped_networks
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.serve.folder import FileAccessError, FileChangedError, ServedFolder
from sewdsl.serve.pool import Problem, WorkerPool

MAX_BODY = 4 * DEFAULT_LIMITS.source_bytes
"""Largest request in bytes: a text in which every character is escaped."""
CLOSING = 1
"""Seconds to wait for open connections at shutdown. Browsers keep idle connections open."""
HERE = Path(__file__).parent / "assets"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Content security policy: the page loads nothing from other servers. Editor and diagram use inline styles."""


class LocalOnlyGuard:
    """Middleware that rejects requests for foreign host names, and sets security headers.

    A foreign site could resolve its own name to this machine (DNS rebinding). Requests by address are safe, because
    browsers treat an address as another origin.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, {host.casefold() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        if not self._is_allowed(host):
            await PlainTextResponse(f"'{host}' is not a name of this machine", status_code=400)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _is_allowed(self, host: str) -> bool:
        # An IPv6 address in brackets has colons of its own.
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name.casefold() in self._hosts
        return True


DOING = {
    "look": "compiling the text",
    "picture": "drawing the network",
    "hover": "looking up the hover text",
    "complete": "looking up completions",
    "format": "formatting the text",
    "source": "exporting PyTorch source",
    "explain": "looking up the code",
}
"""Requests to worker processes, and their descriptions for messages."""


@dataclass
class LivePage:
    """Contents of the page: the initial text of the editor, and the name of its file or shipped network."""

    folder: ServedFolder
    text: str
    name: str


Answer = Callable[[LivePage, dict[str, Any]], Any]


def app(site: LivePage, hosts: list[str], pool: WorkerPool) -> Starlette:
    """Return the ASGI application.

    Args:
        hosts: Host names to accept, in addition to all IP addresses.
        pool: Worker processes, started and stopped with the application.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    routes = [
        *(Route(f"/api/{name}", _route_to_pool(site, pool, name), methods=["POST"]) for name in DOING),
        *(Route(f"/api/{name}", _route(site, answer), methods=["POST"]) for name, answer in _OF_FILES.items()),
        Mount("/", StaticFiles(directory=HERE, html=True)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(LocalOnlyGuard, hosts=hosts)], lifespan=lifespan)


def run(site: LivePage, hosts: list[str], listener: socket.socket, seconds: float) -> None:
    """Run the server until a signal stops it, with a time limit in seconds for requests to worker processes."""
    pool = WorkerPool(seconds)
    config = uvicorn.Config(app(site, hosts, pool), log_level="error", timeout_graceful_shutdown=CLOSING)
    _Server(config, pool).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Server that stops its worker processes first, so that running requests do not delay the shutdown."""

    def __init__(self, config: uvicorn.Config, pool: WorkerPool) -> None:
        super().__init__(config)
        self._pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the worker processes, then the connections."""
        await self._pool.close()
        await super().shutdown(sockets)


def _route_to_pool(site: LivePage, pool: WorkerPool, what: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        data = await _read_json(request)
        text, name = _get_string(data, "text", ""), _get_string(data, "name", site.name)
        head = {"what": what, "folder": str(site.folder.path)}
        body = json.dumps({**data, "text": text, "name": name}, ensure_ascii=False).encode()
        work = asyncio.create_task(pool.ask(head, body, None if what == "explain" else (name, text)))
        disconnect = asyncio.create_task(_wait_for_disconnect(request))
        try:
            # The page aborts its requests when the text changes: do not compute their answers.
            await asyncio.wait({work, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return _CLIENT_CLOSED
            status, answer = work.result()
            return Response(answer, status, media_type="application/json")
        except TimeoutError:
            message = f"{DOING[what]} was stopped after {pool.seconds:g} s"
            return _error(message, _ADVICE.format(2 * pool.seconds), 504)
        except Problem as problem:
            return _error(str(problem), problem.advice, problem.status)
        finally:
            work.cancel()
            disconnect.cancel()

    return respond


def _get_string(data: dict[str, Any], key: str, default: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else default


_CLIENT_CLOSED = Response(status_code=499)
"""Response to a closed connection, which is not sent. The status is nginx's."""
_ADVICE = "shorten the text, reduce its repeats, or raise the limit with 'sewdsl serve --timeout {:g}'"


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _error(message: str, advice: str, status: int) -> Response:
    return JSONResponse({"error": message, "help": advice}, status)


def _route(site: LivePage, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        data = await _read_json(request)
        try:
            return JSONResponse(await run_sync(answer, site, data))
        except FileAccessError as error:
            return JSONResponse({"error": str(error), "changed": isinstance(error, FileChangedError)}, 409)

    return respond


async def _read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        HTTPException: If the request is not a JSON object, or too large.
    """
    # Browsers let foreign pages send forms, but not this media type.
    # Media types are case-insensitive, and blanks may surround them (RFC 9110, 8.3.1).
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send application/json")
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY:
                raise HTTPException(413, f"more than {MAX_BODY:,} bytes")
    except ClientDisconnect:
        raise HTTPException(_CLIENT_CLOSED.status_code, "") from None
    try:
        content = json.loads(data)
        json.dumps(content, ensure_ascii=False).encode()  # Fails for unpaired surrogates.
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise HTTPException(400, "send a JSON object")
    return content


def _save(site: LivePage, request: dict[str, Any]) -> dict[str, Any]:
    text, mark = request.get("text"), request.get("mark")
    if not isinstance(text, str):
        raise FileAccessError("there is no text to save")
    opened_mark = mark if isinstance(mark, str) else None
    return site.folder.write(text, opened_mark, anyway=request.get("anyway") is True)._asdict()


def _start(site: LivePage, _request: dict[str, Any]) -> dict[str, Any]:
    """Return the initial state of the page, with the current contents of the file."""
    folder = site.folder
    state: dict[str, Any] = {"files": folder.names(), "shipped": list(shipped_networks()), "saves": None, "mark": None}
    if folder.file is not None:
        state["saves"] = folder.file.relative_to(folder.path).as_posix()
        # The file may have changed since the server was started.
        if folder.file.exists():
            return {**state, **folder.read(state["saves"])._asdict()}
    return {**state, "text": site.text, "name": site.name}


_OF_FILES: dict[str, Answer] = {
    "open": lambda site, request: site.folder.read(_get_string(request, "name", ""))._asdict(),
    "save": _save,
    "start": _start,
}
"""Requests about files, which this process answers."""
