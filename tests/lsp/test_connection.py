"""End of the server at an unexpected end of the connection."""

import json
import subprocess
import sys
from typing import Any

URI = "untitled:a"
CRASHING = """
from sewdsl.cli.lsp import command
from sewdsl.lsp import convert
convert.answer_hover = lambda *_: 1 / 0
command()
"""


def framed(method: str, params: dict[str, Any], **number: int) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **number}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def test_an_editor_that_is_gone_leaves_no_traces() -> None:
    text = {"uri": URI, "languageId": "sewdsl", "version": 1, "text": "sewdsl 1\n"}
    change = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": "sewdsl 1\nbody BN\n"}]}
    sent = [
        framed("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1),
        framed("initialized", {}),
        framed("textDocument/didOpen", {"textDocument": text}),
        framed("textDocument/didChange", change),
    ]
    server = subprocess.run(
        [sys.executable, "-m", "sewdsl", "lsp"], input=b"".join(sent), capture_output=True, check=False, timeout=60
    )
    assert server.returncode == 0
    assert b"textDocument/publishDiagnostics" in server.stdout
    assert server.stderr == b""


def test_a_refusal_is_an_answer_and_a_failure_is_logged() -> None:
    text = {"uri": URI, "languageId": "sewdsl", "version": 1, "text": "sewdsl 1\nblock Mine = BN\n"}
    place = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 7}, "newName": "BN"}
    begun = [
        framed("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1),
        framed("textDocument/didOpen", {"textDocument": text}),
        framed("textDocument/rename", place, id=2),
    ]
    end = [framed("shutdown", {}, id=4), framed("exit", {})]
    command = [sys.executable, "-m", "sewdsl", "lsp"]
    server = subprocess.run(command, input=b"".join(begun + end), capture_output=True, check=False, timeout=60)
    assert b'"code": -32602' in server.stdout
    assert server.stderr == b""

    begun.append(framed("textDocument/hover", {key: place[key] for key in ("textDocument", "position")}, id=3))
    command[1:] = ["-c", CRASHING]
    server = subprocess.run(command, input=b"".join(begun + end), capture_output=True, check=False, timeout=60)
    assert server.stderr.count(b"Exception occurred for message") == 1
    assert b"ZeroDivisionError" in server.stderr
