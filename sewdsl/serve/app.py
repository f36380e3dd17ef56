"""The page's server: the files of a folder, those that the page is made of, and requests that processes answer.

Nothing here reads what a text says: that takes any time, and is done by processes that can be killed.
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: TC002 -- as above

from sewdsl.compiler import shipped_networks
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.serve.folder import FileAccessError, FileChangedError, ServedFolder
from sewdsl.serve.pool import Problem, WorkerPool

MAX_BODY = 4 * DEFAULT_LIMITS.source_bytes
"""Bytes of a request at most: a text with every character escaped."""
CLOSING = 1
"""Seconds for which the end of a connection is waited for: browsers keep some open that say nothing."""
HERE = Path(__file__).parent / "assets"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing from elsewhere. Styles are in the editor's and the picture's own elements."""


class LocalOnlyGuard:
    """Lets in who asks by an address or by a name of this machine, and tells browsers what the page may do.

    A page elsewhere can let a name of its own lead here, but it cannot ask by an address: that would be another site.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, {host.casefold() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        if not self._known(host):
            await PlainTextResponse(f"'{host}' is no name of this machine", status_code=400)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, guarded)

    def _known(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name.casefold() in self._hosts
        return True


DOING = {
    "look": "compiling the text",
    "picture": "drawing the network",
    "hover": "looking up what is there",
    "complete": "looking up what fits",
    "format": "formatting the text",
    "source": "writing the PyTorch source",
    "explain": "looking up the code",
}
"""What is asked of processes, and what is being done meanwhile."""


@dataclass
class LivePage:
    """What the server knows.

    Attributes:
        text: What the editor shows at first.
    """

    folder: ServedFolder
    text: str
    name: str


Answer = Callable[[LivePage, dict[str, Any]], Any]


def app(site: LivePage, hosts: list[str], pool: WorkerPool) -> Starlette:
    """Return the application.

    Args:
        hosts: The names under which it may be asked: no page elsewhere can get at it by a name of its own.
        pool: The processes that answer about texts; they run as long as the application does.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    routes = [
        *(Route(f"/api/{name}", _route_to_pool(site, pool, name), methods=["POST"]) for name in DOING),
        *(Route(f"/api/{name}", _route(site, answer), methods=["POST"]) for name, answer in _OF_FILES.items()),
        Route("/", _page),
        Mount("/", StaticFiles(directory=HERE)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(LocalOnlyGuard, hosts=hosts)], lifespan=lifespan)


def run(site: LivePage, hosts: list[str], listening: socket.socket, seconds: float) -> None:
    """Answer requests until a signal ends it.

    Args:
        seconds: How long the answer to a request about a text may take.
    """
    pool = WorkerPool(seconds)
    config = uvicorn.Config(app(site, hosts, pool), log_level="error", timeout_graceful_shutdown=CLOSING)
    _Server(config, pool).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends what its processes are at before anything else, so that no request keeps it."""

    def __init__(self, config: uvicorn.Config, pool: WorkerPool) -> None:
        super().__init__(config)
        self._pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the processes, then the connections."""
        await self._pool.close()
        await super().shutdown(sockets)


def _route_to_pool(site: LivePage, pool: WorkerPool, what: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        asked = await _body(request)
        text, name = _string(asked, "text", ""), _string(asked, "name", site.name)
        head = {"what": what, "folder": str(site.folder.path)}
        body = json.dumps({**asked, "text": text, "name": name}, ensure_ascii=False).encode()
        work = asyncio.create_task(pool.ask(head, body, None if what == "explain" else (name, text)))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return _NOBODY
            status, answer = work.result()
            return Response(answer, status, media_type="application/json")
        except TimeoutError:
            message = f"{DOING[what]} took more than {pool.seconds:g} s, so it was stopped"
            return _error(message, _ADVICE.format(2 * pool.seconds), 504)
        except Problem as problem:
            return _error(str(problem), problem.advice, problem.status)
        finally:
            work.cancel()
            gone.cancel()

    return respond


def _string(asked: dict[str, Any], key: str, default: str) -> str:
    found = asked.get(key)
    return found if isinstance(found, str) else default


_NOBODY = Response(status_code=499)
"""What is answered if the other side has closed the connection; it is not sent."""
_ADVICE = "shorten the text, lower its repeats, or allow more with 'sewdsl serve --timeout {:g}'"


async def _disconnected(request: Request) -> None:
    """Wait until the other side closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _error(message: str, advice: str, status: int) -> Response:
    return JSONResponse({"error": message, "help": advice}, status)


def _route(site: LivePage, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        asked = await _body(request)
        try:
            return JSONResponse(await run_sync(answer, site, asked))
        except FileAccessError as refusal:
            return JSONResponse({"error": str(refusal), "changed": isinstance(refusal, FileChangedError)}, 409)

    return respond


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON of a request; only a script of the page itself can send such a one.

    Raises:
        HTTPException: It is no JSON object, or too long.
    """
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
        raise HTTPException(_NOBODY.status_code, "") from None
    try:
        asked = json.loads(data)
        json.dumps(asked, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise HTTPException(400, "send a JSON object")
    return asked


async def _page(_request: Request) -> Response:
    return Response((HERE / "index.html").read_text(encoding="utf-8"), media_type="text/html")


def _save(site: LivePage, asked: dict[str, Any]) -> dict[str, Any]:
    text, mark = asked.get("text"), asked.get("mark")
    if not isinstance(text, str):
        raise FileAccessError("there is no text to save")
    known = mark if isinstance(mark, str) else None
    return site.folder.write(text, known, anyway=asked.get("anyway") is True)._asdict()


def _start(site: LivePage, _asked: dict[str, Any]) -> dict[str, Any]:
    """What the page begins with: the file as it is on the disk now."""
    folder = site.folder
    known: dict[str, Any] = {"files": folder.names(), "shipped": list(shipped_networks()), "saves": None, "mark": None}
    if folder.file is not None:
        known["saves"] = folder.file.relative_to(folder.path).as_posix()
        if folder.file.exists():
            return {**known, **folder.read(known["saves"])._asdict()}
    return {**known, "text": site.text, "name": site.name}


_OF_FILES: dict[str, Answer] = {
    "open": lambda site, asked: site.folder.read(_string(asked, "name", ""))._asdict(),
    "save": _save,
    "start": _start,
}
