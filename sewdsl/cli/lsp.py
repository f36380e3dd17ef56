"""``sewdsl lsp``: language server for editors."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from importlib.metadata import version

from sewdsl.cli.output import write_output
from sewdsl.plugins import missing_package

REQUEST_FAILED = -32803
"""Error code of the Language Server Protocol for a valid request that fails."""


def command() -> None:
    """Run the language server on standard input and output.

    Requires the extra `lsp`.
    """
    try:
        from sewdsl.lsp.server import is_failure, serve
    except ModuleNotFoundError:
        if sys.stdin and not sys.stdin.isatty():
            _answer_with_error(missing_package("'sewdsl lsp'", "pygls"))
        raise
    from sewdsl.train.data import datasets

    # pygls warns about every request that is cancelled because the text has changed.
    logging.getLogger("pygls").setLevel(logging.ERROR)
    logging.getLogger("pygls.protocol.json_rpc").addFilter(is_failure)
    serve(version("sewdsl"), sorted(datasets())).run()


def _answer_with_error(reason: str) -> None:
    """Answer the first request with an error, which editors show, unlike the text of standard error."""
    length = 0
    # The first message may be malformed.
    with suppress(ValueError, KeyError, TypeError):
        while header := sys.stdin.buffer.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        request = json.loads(sys.stdin.buffer.read(length))
        error = {"code": REQUEST_FAILED, "message": reason, "data": {"retry": False}}
        content = json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
        write_output(f"Content-Length: {len(content)}\r\n\r\n{content}")
