"""What becomes of the server when the connection does not end as agreed."""

import json
import subprocess
import sys
from typing import Any

URI = "untitled:a"


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
