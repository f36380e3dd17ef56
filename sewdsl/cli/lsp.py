"""``sewdsl lsp``: the language server, for editors."""

from __future__ import annotations

import logging
from importlib.metadata import version


def command() -> None:
    """Answer an editor over standard input and output, as the Language Server Protocol says."""
    from sewdsl.lsp.server import is_failure, serve
    from sewdsl.train.data import datasets

    logging.getLogger("pygls").setLevel(logging.ERROR)  # a text that changes while it is asked about is no news
    logging.getLogger("pygls.protocol.json_rpc").addFilter(is_failure)
    serve(version("sewdsl"), sorted(datasets())).run()
