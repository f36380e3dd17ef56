"""Sessions with the language server and the page's server, over their protocols."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

LIBRARY = "sewdsl 1\nneuron IF\n# Two convolutions.\nblock Mine(c=in) = c$(c)k3-BN-SN-c$(c)k3-BN-SN\n"
NET = """sewdsl 1
use "lib.net"
input 2x32x32
steps 4
body c8k3-BN-PLIF-{Mine-MPk2s2}*2-Mine (c16)-SEW Block (c16s2)-GAP-FC5

train on mnist5k {
    epochs 2
    optimizer SGD(lr=0.1)
}
"""
BROKEN = 'sewdsl 1\nuse "lib.net"\ninput 2x32x32\nbody c8k3-BN-PLIFMPk2-Mine (c16)–GAP-FC5\nneuron LIFF\nfoo\n'
PLACES = (
    "sewdsl",
    "use",
    "lib.net",
    "input",
    "steps",
    "body",
    "c8k3",
    "PLIF",
    "Mine",
    "MPk2s2",
    "SEW Block",
    "FC5",
    "epochs",
    "SGD",
    "lr",
)


def editor(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the answers of an editor session with the language server."""
    client = _Client(folder)
    try:
        yield from _edited(client)
    finally:
        client.process.kill()
        client.process.wait()


def _edited(client: _Client) -> Iterator[tuple[str, Any]]:
    root = client.folder.as_uri()
    started = client.ask("initialize", processId=None, rootUri=root, capabilities={
        "general": {"positionEncodings": ["utf-16"]},
        "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}},
    })  # fmt: skip
    # The version changes from commit to commit.
    started.get("serverInfo", {}).pop("version", None)
    yield "initialize", started
    client.tell("initialized")
    uri = f"{root}/a.net"
    yield "opened", client.opened(uri, NET)
    document = {"textDocument": {"uri": uri}}
    for word in PLACES:
        at = {**document, "position": _position(NET, word)}
        answers = {
            name: client.ask(f"textDocument/{name}", **at)
            for name in ("hover", "completion", "definition", "prepareRename")
        }
        answers["references"] = client.ask("textDocument/references", **at, context={"includeDeclaration": True})
        yield "at-" + re.sub(r"\W", "-", word), answers
    yield (
        "rename",
        [
            client.ask("textDocument/rename", **document, position=_position(NET, "Mine"), newName=name)
            for name in ("Yours", "SEW Block", "a b", "1x", "")
        ],
    )
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    for name in ("documentSymbol", "foldingRange"):
        yield name, client.ask(f"textDocument/{name}", **document)
    yield "hints", client.ask("textDocument/inlayHint", **document, range=everything)
    yield "formatting", client.ask("textDocument/formatting", **document, options={"tabSize": 4, "insertSpaces": True})
    yield "changed", client.changed(uri, BROKEN, 2)
    for name, only in (("actions", None), ("fix-all", ["source.fixAll"])):
        context = {"diagnostics": [], **({"only": only} if only else {})}
        yield name, client.ask("textDocument/codeAction", **document, range=everything, context=context)
    yield (
        "completion",
        [
            client.ask("textDocument/completion", **document, position={"line": line, "character": character})
            for line, character in ((3, 6), (3, 13), (3, 20), (4, 8), (5, 0), (5, 3))
        ],
    )
    yield (
        "unknown",
        [client.ask("textDocument/hover", textDocument={"uri": f"{root}/none.net"}, position=_position(NET, "use"))],
    )
    yield "shutdown", client.ask("shutdown")
    client.tell("exit")


class _Client:
    """Client of the language server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        command = [sys.executable, "-m", "sewdsl", "lsp"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a request, and return its result or error."""
        self.number += 1
        self._send({"id": self.number, "method": method, "params": parameters or None})
        answer = self._until(lambda message: message.get("id") == self.number and "method" not in message)
        return answer["result"] if "result" in answer else {"error": answer.get("error")}

    def tell(self, method: str, **parameters: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": parameters})

    def opened(self, uri: str, text: str) -> Any:
        """Open a document, and return its diagnostics."""
        self.tell("textDocument/didOpen", textDocument={"uri": uri, "languageId": "sewdsl", "version": 1, "text": text})
        return self._said(uri, 1)

    def changed(self, uri: str, text: str, version: int) -> Any:
        """Change a document, and return its diagnostics."""
        self.tell(
            "textDocument/didChange", textDocument={"uri": uri, "version": version}, contentChanges=[{"text": text}]
        )
        return self._said(uri, version)

    def _said(self, uri: str, version: int) -> Any:
        expected = "textDocument/publishDiagnostics", uri, version

        def fits(message: Any) -> bool:
            parameters = message.get("params") or {}
            return (message.get("method"), parameters.get("uri"), parameters.get("version")) == expected

        return self._until(fits)["params"]

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def _until(self, fits: Any) -> Any:
        assert self.process.stdout is not None
        while True:
            length = 0
            while line := self.process.stdout.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            # An empty header means that the output has ended.
            if not length:
                return {"error": "the server has ended"}
            message = json.loads(self.process.stdout.read(length))
            if fits(message):
                return message
            if "id" in message and "method" in message:
                # Requests of the server need an answer.
                self._send({"id": message["id"], "result": None})


def _position(text: str, word: str) -> dict[str, int]:
    at = text.index(word, text.index("body") if word in {"Mine", "PLIF"} else 0)
    return {"line": text.count("\n", 0, at), "character": at - text.rfind("\n", 0, at) - 1}


def browser(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the answers of the page's server, request by request."""
    command = [sys.executable, "-u", "-m", "sewdsl", "serve", "a.net", "--port", "0", "--no-open"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = _address(server)
        for name, requests in _requests():
            yield name, [_post(address, name.partition("-")[0], each) for each in requests]
        opened = _post(address, "start", {})["body"]
        changed = NET.replace("GAP-", "")
        saves = [
            {"text": changed, "mark": opened["mark"]},
            {"text": NET, "mark": opened["mark"]},
            {"text": 3},
            {"text": NET},
        ]
        yield "save", [_post(address, "save", each) for each in saves] + [(folder / "a.net").read_text()]
        with urlopen(f"{address}/") as answer:  # noqa: S310 -- our own server
            yield "page", {"headers": _headers(answer.headers), "length": len(answer.read()) > 0}
    finally:
        server.kill()
        server.wait()


def _requests() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    texts = (
        NET,
        BROKEN,
        "",
        "c4k3-BN",
        "sewdsl 1\ninput 1x28x28\nbody c4k3-BN-IF-FC9\ntrain on mnist5k {\n    optimizer Adam\n}\n",
    )
    every = [{"text": text, "name": "a.net"} for text in texts]
    places = [{"text": NET, "name": "a.net", "at": NET.index(word)} for word in PLACES]
    yield "start", [{}]
    yield "look", every
    yield "picture", [each | extra for each in every for extra in ({}, {"direction": "LR"}, {"unfolded": ["repeat1"]})]
    yield "hover", places
    yield "complete", places
    yield "explain", [{"code": "join-needs-spikes"}, {"code": "nothing"}]
    yield "format", every
    yield "source", every
    yield "open", [{"name": name} for name in ("lib.net", "tiny", "missing.net", "../outside.net", "")]
    yield "nothing", [{}]


def _post(address: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    request = Request(f"{address}/api/{endpoint}", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urlopen(request) as answer:  # noqa: S310 -- our own server
            return {"status": answer.status, "body": json.loads(answer.read())}
    except HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def _headers(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in {"date", "content-length", "server"}}


def _address(server: subprocess.Popen[str]) -> str:
    """Return the address that a server prints."""
    assert server.stdout is not None
    for line in server.stdout:
        if match := re.search(r"http://[\w.\[\]:]+:\d+", line):
            _wait(match[0])
            return match[0]
    message = "the server did not start"
    raise RuntimeError(message)


def _wait(address: str) -> None:
    for _ in range(100):
        try:
            urlopen(address).close()  # noqa: S310 -- our own server
        except OSError:
            time.sleep(0.1)
        else:
            return
