"""Runs the page's server, up to its end."""

from __future__ import annotations

import socket

import uvicorn

from sewdsl.serve.app import LivePage, app
from sewdsl.serve.pool import WorkerPool

CLOSING = 1
"""Seconds for which the end of a connection is waited for: browsers keep some open that say nothing."""


class _Server(uvicorn.Server):
    """Ends what its processes are at before anything else, so that no request keeps it."""

    def __init__(self, config: uvicorn.Config, pool: WorkerPool) -> None:
        super().__init__(config)
        self._pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the processes, then the connections."""
        await self._pool.close()
        await super().shutdown(sockets)


def run(site: LivePage, hosts: list[str], listening: socket.socket, seconds: float) -> None:
    """Answers requests until a signal ends it.

    Args:
        site: What the server knows.
        hosts: The names under which it may be asked.
        listening: Where it listens.
        seconds: How long the answer to a request about a text may take.
    """
    pool = WorkerPool(seconds)
    config = uvicorn.Config(app(site, hosts, pool), log_level="error", timeout_graceful_shutdown=CLOSING)
    _Server(config, pool).run(sockets=[listening])
