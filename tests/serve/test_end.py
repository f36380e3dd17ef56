"""``sewdsl serve`` ends when it is told to, whatever it is at, and leaves no process."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.serve import misbehaving

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found where Linux shows them")
SERVE = """
from sewdsl.serve import pool
pool.BEGIN = {begin!r}
from sewdsl.__main__ import main
main()
"""


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Browser]]:
    """A server whose processes do what a text says, and what asks it."""
    code = SERVE.format(begin=misbehaving.QUICK)
    command = [sys.executable, "-c", code, "serve", str(folder), "--no-open", "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            address = re.search(r":(\d+)/", server.stdout.readline())
            assert address is not None
            with ExitStack() as stack:
                yield server, Browser(int(address[1]), stack)
        finally:
            server.kill()


class Browser:
    """Connections to a server, each closed in the end."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port, self._stack = port, stack

    def ask(self, text: str) -> http.client.HTTPConnection:
        """A connection over which a text was asked about."""
        connection = http.client.HTTPConnection("localhost", self._port, timeout=60)
        self._stack.callback(connection.close)
        body = f'{{"text": "{text}", "name": "a.net"}}'
        connection.request("POST", "/api/look", body, {"Content-Type": "application/json"})
        return connection


def descendants(number: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if int(rest.split()[1]) in {number, *found}:
            found.add(int(name.split()[0]))
    return found


def begin(
    server: subprocess.Popen[str], browser: Browser, *texts: str
) -> tuple[set[int], list[http.client.HTTPConnection]]:
    """Request answers until all processes hang, and return all processes of the server."""
    first = browser.ask("first").getresponse()
    assert (first.status, first.read().isdigit()) == (200, True)
    connections = [browser.ask(text) for text in texts]
    began = monotonic()
    while len(processes := descendants(server.pid)) < len(texts) + 1 or sum(map(hangs, processes)) < len(texts):
        assert monotonic() - began < 60
        sleep(0.05)
    return processes, connections


def hangs(number: int) -> bool:
    """Return whether a process has reported that it hangs."""
    return Path(f"/proc/{number}/comm").read_text().rstrip() == misbehaving.HANGS


def gone(processes: set[int]) -> None:
    """Wait until all of some processes have ended."""
    began = monotonic()
    while any(Path(f"/proc/{number}").exists() for number in processes):
        assert monotonic() - began < 20
        sleep(0.05)


@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
def test_a_signal_ends_it_while_texts_hang(tmp_path: Path, end: signal.Signals, code: int) -> None:
    with serving(tmp_path, "--timeout", "600") as (server, browser):
        processes, connections = begin(server, browser, "hang", "hang in C")
        began = monotonic()
        server.send_signal(end)
        for connection in connections:
            response = connection.getresponse()
            assert (response.status, b"the server was stopped" in response.read()) == (503, True)
        assert server.wait(20) == code
        assert monotonic() - began < 10
        assert server.communicate() == ("", "")
        gone(processes)


def test_where_it_is_killed_its_processes_end(tmp_path: Path) -> None:
    with serving(tmp_path, "--timeout", "600") as (server, browser):
        processes, _ = begin(server, browser, "hang")
        server.kill()
        server.wait()
        gone(processes)


def test_a_page_that_is_closed_wants_no_answer(tmp_path: Path) -> None:
    """Each keystroke closes the connection with the request for the previous text."""
    with serving(tmp_path, "--timeout", "600") as (server, browser):
        processes, connections = begin(server, browser, "hang")
        connections[0].close()
        began = monotonic()
        while processes <= descendants(server.pid):
            assert monotonic() - began < 20
            sleep(0.05)
        after = browser.ask("next").getresponse()
        assert after.status == 200


def test_what_takes_too_long_is_said_with_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path, "--timeout", "1") as (_, browser):
        response = browser.ask("wait").getresponse()
        assert response.status == 504
        assert response.read().decode() == (
            '{"error":"compiling the text was stopped after 1 s",'
            '"help":"shorten the text, reduce its repeats, or raise the limit with \'sewdsl serve --timeout 2\'"}'
        )
