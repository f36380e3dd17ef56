"""The page's server: a few requests about a text, and the files that the page is made of."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request  # noqa: TC002 -- starlette reads annotations
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: TC002 -- as above

from sewdsl.compiler import shipped
from sewdsl.diagnostics import SewdslError
from sewdsl.draw import RenderingError
from sewdsl.editing import View, view
from sewdsl.editing.docs import codes
from sewdsl.elaborate.files import Reach
from sewdsl.export.refusal import ExportError
from sewdsl.serve import look
from sewdsl.serve.folder import Changed, Folder, Forbidden
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.limits import STANDARD

LIMITS = replace(STANDARD, nodes=20_000)
"""Of what is compiled: a second's work at most."""
BODY = 4 * STANDARD.source_bytes
"""Bytes of a request at most: a text with every character escaped."""
FRESH = 1.0
"""Seconds for which what is known of a text is good: a file that it uses may change."""
HERE = Path(__file__).parent / "assets"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing from elsewhere. Styles stand in the editor's and the picture's own elements."""


class Guard:
    """Lets in who asks by an address or by a name of this machine, and tells browsers what the page may do.

    A page elsewhere can let a name of its own lead here, but it cannot ask by an address: that would be another site.

    Args:
        app: What answers.
        hosts: Names that are known.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, {host.casefold() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
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
                headers["Content-Security-Policy"] = POLICY
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


Answer = Callable[["Site", dict[str, Any]], Any]


class Site:
    """What the server knows.

    Args:
        folder: The files that can be opened.
        text: What the editor shows at first.
        name: What it is called.
        datasets: Names of the data sets.
    """

    def __init__(self, folder: Folder, text: str, name: str, datasets: Collection[str]) -> None:
        self.folder, self.text, self.name, self.datasets = folder, text, name, datasets
        self._lock = threading.Lock()
        self._known: tuple[str, str, float, View] | None = None

    def view(self, asked: dict[str, Any]) -> View:
        """What is known of the text of a request; compiled once for all that is asked about it."""
        text, name = str(asked.get("text", "")), str(asked.get("name", self.name))
        with self._lock:
            known = self._known
            if known is None or known[:2] != (name, text) or time.monotonic() - known[2] > FRESH:
                known = self._known = (name, text, time.monotonic(), self._compiled(text, name))
        return known[3]

    def _compiled(self, text: str, name: str) -> View:
        if name in shipped():
            file = shipped()[name]
            return view(text, f"{name}.net", file, reach=Reach(file.parent), limits=LIMITS)
        try:
            file = self.folder.place(name)
        except Forbidden:
            file = self.folder.path / "untitled.net"
        return view(text, name, file, reach=Reach(self.folder.path), limits=LIMITS)


def app(site: Site, hosts: list[str]) -> Starlette:
    """The application.

    Args:
        site: What it knows.
        hosts: The names under which it may be asked: no page elsewhere can get at it by a name of its own.
    """
    answers: dict[str, Answer] = {
        "look": lambda s, asked: look.look(s.view(asked)),
        "picture": _picture,
        "hover": lambda s, asked: look.said_of(s.view(asked), _offset(asked)),
        "complete": lambda s, asked: look.proposed(s.view(asked), _offset(asked), s.datasets),
        "explain": _explain,
        "format": _formatted,
        "source": _source,
        "open": lambda s, asked: s.folder.read(str(asked.get("name", "")))._asdict(),
        "save": _save,
        "start": _start,
    }
    routes = [
        *(Route(f"/api/{name}", _route(site, answer), methods=["POST"]) for name, answer in answers.items()),
        Route("/", _page),
        Mount("/", StaticFiles(directory=HERE)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)])


def _route(site: Site, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        asked = await _body(request)
        if isinstance(asked, Response):
            return asked
        try:
            return JSONResponse(await run_sync(answer, site, asked))
        except (Forbidden, ExportError) as refusal:
            return JSONResponse({"error": str(refusal), "changed": isinstance(refusal, Changed)}, 409)

    return respond


async def _body(request: Request) -> dict[str, Any] | Response:
    """The JSON of a request; only a script of the page itself can send such a one."""
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        return PlainTextResponse("send application/json", status_code=415)
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY:
            return PlainTextResponse(f"more than {BODY:,} bytes", status_code=413)
    try:
        asked = json.loads(data)
        json.dumps(asked, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        asked = None
    return asked if isinstance(asked, dict) else PlainTextResponse("send a JSON object", status_code=400)


async def _page(_request: Request) -> Response:
    return Response((HERE / "index.html").read_text(encoding="utf-8"), media_type="text/html")


def _offset(asked: dict[str, Any]) -> int:
    """A place in the text."""
    at = asked.get("at")
    return min(max(0, at), len(str(asked.get("text", "")))) if isinstance(at, int) else 0


def _picture(site: Site, asked: dict[str, Any]) -> dict[str, str]:
    unfolded = asked.get("unfolded")
    keys = {str(key) for key in unfolded} if isinstance(unfolded, list) else set()
    try:
        return {"svg": look.picture(site.view(asked), keys, "LR" if asked.get("direction") == "LR" else "TB")}
    except RenderingError as error:  # as common as a text with a mistake in it
        return {"error": str(error)}


def _explain(_site: Site, asked: dict[str, Any]) -> dict[str, str]:
    return {"html": look.as_html(codes().get(str(asked.get("code")), ""))}


def _formatted(site: Site, asked: dict[str, Any]) -> dict[str, str | None]:
    try:
        return {"text": format_source(site.view(asked).source)}
    except SewdslError:
        return {"text": None}


def _source(site: Site, asked: dict[str, Any]) -> dict[str, str]:
    compilation = site.view(asked).compilation
    if compilation.network is None or not compilation.valid:
        message = "there is no network to write"
        raise Forbidden(message)
    from sewdsl.export.python import source  # noqa: PLC0415 -- not before it is needed

    return {"text": source(compilation.network)}


def _save(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    text, mark = asked.get("text"), asked.get("mark")
    if not isinstance(text, str):
        message = "there is no text to save"
        raise Forbidden(message)
    known = mark if isinstance(mark, str) else None
    return site.folder.write(text, known, anyway=asked.get("anyway") is True)._asdict()


def _start(site: Site, _asked: dict[str, Any]) -> dict[str, Any]:
    """What the page begins with: the file as it is on the disk now."""
    folder = site.folder
    known: dict[str, Any] = {"files": folder.names(), "shipped": list(shipped()), "saves": None, "mark": None}
    if folder.file is not None:
        known["saves"] = folder.file.relative_to(folder.path).as_posix()
        if folder.file.exists():
            return {**known, **folder.read(known["saves"])._asdict()}
    return {**known, "text": site.text, "name": site.name}
