"""Target: the server of the page answers each request in time, with a result or status code.

The server runs in a thread of this process, so its processor time counts. It kills its workers after ``LIMIT`` seconds.
Requests are hostile texts, values of other types, bytes that are not JSON, names of files elsewhere, and connections
that are closed early.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from functools import cache
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from random import Random
from typing import Any

from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.serve.app import MAX_BODY, LivePage, run
from sewdsl.serve.folder import ServedFolder

SECONDS = 10.0
"""Processor time limit of the server per request."""
LIMIT = 120.0
"""Time limit of an answer in seconds. It exceeds the default, since tests share the machine."""
ABOUT_TEXTS = ("look", "picture", "hover", "complete", "format", "source", "explain")
ABOUT_FILES = ("open", "save", "start")
SECRET = "sewdsl 1\nblock Secret = BN\n"
JSON = "application/json"


class _Served:
    """Server, its folder, and a secret file outside of the folder."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        home = Path(self._home.name)
        self.secret, self.folder = home / "secret.net", home / "served"
        self.secret.write_text(SECRET)
        (self.folder / "deep").mkdir(parents=True)
        self.file = self.folder / "a.net"
        for file in (self.file, self.folder / "deep" / "b.net"):
            file.write_text("sewdsl 1\nblock Mine(c) = c$(c)k3-BN\ninput 2x8x8\nbody Mine (c4)\n")
        (self.folder / "link.net").symlink_to(self.secret)
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        site = LivePage(ServedFolder(self.folder, self.file), "", "a.net")
        threading.Thread(target=run, args=(site, ["localhost"], listening, LIMIT), daemon=True).start()

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=10 * LIMIT)


@cache
def _served() -> _Served:
    return _Served()


def ask(text: str, random: Random) -> None:
    """Send a request with the text. Some are followed by a valid request."""
    served = _served()
    random.choices(_KINDS, _SHARES)[0](served, text, random)
    # No request may read or write files outside of the folder.
    assert served.secret.read_text() == SECRET
    assert sorted(path.name for path in served.folder.parent.iterdir()) == ["secret.net", "served"]
    if random.random() < 0.05:
        status, answer = _post(served, "look", json.dumps({"text": served.file.read_text(), "name": "a.net"}))
        assert status == 200
        assert "valid" in answer


def _post(served: _Served, endpoint: str, body: str | bytes, **headers: str) -> tuple[int, Any]:
    """Return status and JSON of an answer."""
    connection = served.connection()
    try:
        connection.request("POST", f"/api/{endpoint}", body, {"Content-Type": JSON, **headers})
        return _read(connection.getresponse())
    finally:
        connection.close()


def _read(response: HTTPResponse) -> tuple[int, Any]:
    data = response.read()
    assert "default-src 'none'" in (response.getheader("Content-Security-Policy") or "") or response.status == 400
    if response.getheader("Content-Type") == JSON:
        return response.status, json.loads(data)
    return response.status, data.decode()


def _about_text(served: _Served, text: str, random: Random) -> None:
    endpoint = random.choice(ABOUT_TEXTS)
    request = {
        "text": text,
        "name": random.choice(("a.net", "deep/b.net", "", "sew-resnet-18", "../secret.net", text[:50])),
        "at": random.choice((0, len(text), random.randint(0, len(text) + 1))),
        "unfolded": random.choice(([], ["repeat1"], ["repeat1", "repeat1.1.repeat1"])),
        "direction": random.choice(("TB", "LR")),
        "code": random.choice(("missing-hyphen", "unknown-name", text[:20])),
    }
    status, answer = _post(served, endpoint, json.dumps(request))
    if not _is_whole(json.dumps(request)):
        assert status == 400
        return
    assert status == 200 or (endpoint == "source" and status == 409), (endpoint, status, answer)
    _check(endpoint, status, answer, text)


def _is_whole(body: str) -> bool:
    """Return whether all strings of a request are valid, without lone surrogates."""
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(endpoint: str, status: int, reply: Any, text: str) -> None:
    """Check that an answer refers to characters of the text."""
    if status == 409:
        assert reply["error"]
    elif endpoint == "look":
        spans = [(problem["start"], problem["end"]) for problem in reply["problems"]]
        edits = [edit for problem in reply["problems"] for fix in problem["fixes"] for edit in fix["edits"]]
        spans += [(begin, end) for begin, end, _ in edits]
        assert all(0 <= begin <= end <= len(text) for begin, end in spans)
        assert all(0 < hint["at"] <= len(text) for hint in reply["hints"])
        previous_end = 0
        for _, begin, end in reply["tokens"]:
            assert previous_end <= begin < end <= len(text)
            previous_end = end
    elif endpoint == "picture":
        assert ("svg" in reply and reply["svg"].rstrip().endswith("</svg>")) or reply["error"]
    elif endpoint == "hover":
        assert reply is None or (0 <= reply["start"] <= reply["end"] <= len(text) and "<script" not in reply["html"])
    elif endpoint == "complete":
        assert 0 <= reply["start"] <= len(text)
        assert all("<script" not in item["html"] for item in reply["items"])
    else:
        assert set(reply) == ({"html"} if endpoint == "explain" else {"text"})


def _odd(served: _Served, text: str, random: Random) -> None:
    """Send values of wrong types, and too many of them."""
    values: tuple[Any, ...] = (
        *(None, True, -1, 10**30, 1.5, float("nan"), "", text[:100], [], {}, [text[:100]], {"text": text[:100]}),
        *([[[[]]]] * 50, {str(index): index for index in range(100)}, "\ud800"),
    )
    keys = ("text", "name", "at", "unfolded", "direction", "code", "mark", "anyway", "folder", "seconds", "what")
    request = {key: random.choice(values) for key in random.sample(keys, random.randint(0, len(keys)))}
    endpoint = random.choice((*ABOUT_TEXTS, "open", "start"))
    body = json.dumps(request)
    status, _ = _post(served, endpoint, body)
    assert status in ({200, 409} if _is_whole(body) else {400}), (endpoint, request, status)


def _about_files(served: _Served, text: str, random: Random) -> None:
    """Check that only files of the folder are read, and only the served file is written."""
    endpoint = random.choice(ABOUT_FILES)
    names = ("a.net", "deep/b.net", "link.net", "../secret.net", "/etc/passwd", str(served.secret), text, f"{text}.net")
    request = {"name": random.choice(names), "text": text, "mark": random.choice((None, "x")), "anyway": True}
    body = json.dumps(request)
    status, answer = _post(served, endpoint, body)
    if not _is_whole(body):
        assert status == 400
    elif endpoint == "save":
        assert status == 200
        assert served.file.read_bytes().decode() == text.replace("\r\n", "\n")
        served.file.write_text("sewdsl 1\ninput 2x8x8\nbody BN\n")
    else:
        assert status in {200, 409}
        assert "Secret" not in json.dumps(answer)


def _malformed(served: _Served, text: str, random: Random) -> None:
    body = json.dumps({"text": text}).encode()
    # Truncated JSON, damaged bytes, wrong types of content, too long a body, foreign hosts, and broken HTTP.
    match random.randrange(6):
        case 0:
            truncated = body[: random.randint(0, len(body) - 1)]
            assert _post(served, "look", truncated)[0] == 400
        case 1:
            spoilt = bytearray(body)
            for _ in range(random.randint(1, 20)):
                spoilt[random.randrange(len(spoilt))] = random.randrange(256)
            assert _post(served, random.choice(ABOUT_TEXTS), bytes(spoilt))[0] in {200, 400, 409}
        case 2:
            kind = random.choice(("text/plain", "", "application/x-www-form-urlencoded", "application/jsonx", "\u00ff"))
            assert _post(served, random.choice((*ABOUT_TEXTS, "save")), body, **{"Content-Type": kind})[0] == 415
        case 3:
            assert _post(served, "look", b" " * (MAX_BODY + 1))[0] == 413
        case 4:
            host = random.choice(("evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"))
            assert _post(served, "start", b"{}", Host=host)[0] == 400
        case _:
            with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT) as connection:
                data = text.encode(errors="replace")[:2000]
                head = random.choice((b"", b"POST /api/look HTTP/1.1\r\n", b"GET /"))
                connection.sendall(head + data + b"\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(2**16):
                    pass


def _abandoned(served: _Served, text: str, random: Random) -> None:
    """Close the connection before the request is complete or the answer arrives."""
    body = json.dumps({"text": text[: DEFAULT_LIMITS.source_bytes], "name": "a.net"}).encode()
    # Written by hand, since http.client completes a request.
    head = f"POST /api/look HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    sent = head.encode() + body
    with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT) as connection:
        connection.sendall(sent[: random.choice((len(sent), random.randint(0, len(sent))))])


_KINDS = (_about_text, _odd, _about_files, _malformed, _abandoned)
_SHARES = (60, 15, 10, 10, 5)
