"""The processes that answer about texts: what becomes of those that hang or die, and of who waits for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from sewdsl.serve import pool
from sewdsl.serve.pool import MAX_WAITING, Problem, WorkerPool
from tests.serve import misbehaving
from tests.words import raises

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="what misbehaves here does so by signals")
LIMIT = 0.5
"""Seconds that an answer may take, for texts that take forever."""
GRACE = 0.3
MAX_WORKERS = 3
"""Fewer than the server has, since each costs a start."""


def use(what: Callable[[WorkerPool], Awaitable[None]], seconds: float = LIMIT) -> None:
    """Use a pool, and check that no process remains."""

    async def whole() -> None:
        async with WorkerPool(seconds) as processes:
            await ask(processes, "first")
            begun = [each._process.pid for each in (*processes._idle, *processes._busy)]
            await asyncio.wait_for(what(processes), 120)
            begun += [each._process.pid for each in (*processes._idle, *processes._busy)]
        assert not any(map(exists, begun))

    asyncio.run(whole())


def exists(number: int) -> bool:
    """Return whether a process of that number exists, including zombies."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


async def ask(processes: WorkerPool, text: str, key: str | None = None) -> int:
    """Request an answer about a text, and return the number of the process."""
    body = json.dumps({"text": text, "name": "a.net"}).encode()
    status, answer = await processes.ask({"what": "look", "folder": "."}, body, key or text)
    if status != 200:
        raise Problem(json.loads(answer)["error"], json.loads(answer)["help"], status)
    return int(json.loads(answer))


async def until(holds: Callable[[], bool]) -> None:
    begun = monotonic()
    while not holds():
        assert monotonic() - begun < 60
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def misbehave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "BEGIN", misbehaving.QUICK)
    monkeypatch.setattr(pool, "GRACE", GRACE)
    monkeypatch.setattr(pool, "MAX_WORKERS", MAX_WORKERS)


@pytest.mark.parametrize("text", ["hang", "hang in C"])
def test_what_hangs_is_stopped_and_the_next_request_is_answered(text: str) -> None:
    async def what(processes: WorkerPool) -> None:
        begun = monotonic()
        with pytest.raises(TimeoutError):
            await ask(processes, text)
        assert LIMIT <= monotonic() - begun < LIMIT + 5
        assert await ask(processes, "next")

    use(what)


def test_what_hangs_keeps_no_other_text_waiting() -> None:
    async def what(processes: WorkerPool) -> None:
        hanging = [asyncio.create_task(ask(processes, "wait", f"tab {tab}")) for tab in range(MAX_WORKERS - 1)]
        await asyncio.sleep(0)
        assert await ask(processes, "another tab")
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    use(what, 60)


def test_who_waits_for_a_text_that_hangs_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process would hang too, so one is asked, and no other."""
    asked, whole = list[bytes](), pool.Worker.ask

    async def noted(self: pool.Worker, head: dict[str, Any], body: bytes) -> tuple[int, bytes, bool]:
        asked.append(body)
        return await whole(self, head, body)

    monkeypatch.setattr(pool.Worker, "ask", noted)

    async def what(processes: WorkerPool) -> None:
        asked.clear()
        waiting = [asyncio.create_task(ask(processes, "wait")) for _ in range(5)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in results] == [TimeoutError] * 5
        assert len(asked) == 1

    use(what)


def test_the_process_that_knows_a_text_is_asked_about_it() -> None:
    async def what(processes: WorkerPool) -> None:
        await until(lambda: len(processes._idle) == 2)
        first = await ask(processes, "a")
        assert await ask(processes, "b") != first
        assert await ask(processes, "a") == first
        both = await asyncio.gather(ask(processes, "sleep"), ask(processes, "sleep"))
        assert both[0] == both[1]

    use(what, 30)


def test_what_is_no_longer_wanted_ends() -> None:
    async def what(processes: WorkerPool) -> None:
        stale = asyncio.create_task(ask(processes, "wait"))
        await until(lambda: bool(processes._busy))
        (process,) = [each._process.pid for each in processes._busy]
        begun = monotonic()
        stale.cancel()
        assert await ask(processes, "newer") != process
        await until(lambda: not exists(process))
        assert GRACE <= monotonic() - begun < GRACE + 5

    use(what, 60)


def test_what_ends_soon_is_not_killed_for_being_stale() -> None:
    """The process answers the next request, and no other process starts."""

    async def what(processes: WorkerPool) -> None:
        stale = asyncio.create_task(ask(processes, "sleep"))
        await until(lambda: bool(processes._busy))
        (process,) = [each._process.pid for each in processes._busy]
        stale.cancel()
        await until(lambda: not processes._busy)
        assert await ask(processes, "sleep") == process

    use(what, 30)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_process_killed_for_memory_is_not_called_a_defect() -> None:
    async def what(processes: WorkerPool) -> None:
        with raises(Problem) as problem:
            await ask(processes, "is killed")
        assert problem.value.status == 503
        assert "bug" not in problem.value.advice
        assert await ask(processes, "next")

    use(what, 30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("die", "the worker process died (SIGSEGV)"),
        ("exit", "the worker process died (exit status 3)"),
        ("raise", "'look' failed: ValueError in misbehaving.py, line"),
        ("long", "the answer exceeds 67,108,864 bytes"),
        pytest.param(
            *("allocate", "this needs more than 2 GiB of memory"),
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits it"),
        ),
    ],
)
def test_what_goes_wrong_is_said(text: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    async def what(processes: WorkerPool) -> None:
        with pytest.raises(Problem) as problem:
            await ask(processes, text)
        assert str(problem.value).startswith(said)
        assert problem.value.advice
        assert problem.value.status == 500
        assert await ask(processes, "next")

    use(what, 30)
    errors = capfd.readouterr().err
    assert ("ValueError: as is tested" in errors) == (text == "raise")


def test_what_is_printed_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    async def what(processes: WorkerPool) -> None:
        assert await ask(processes, "print") == await ask(processes, "print")

    use(what, 30)
    assert capfd.readouterr().err.count("{}") == 2


def test_a_process_that_died_while_it_had_nothing_to_do_is_not_asked() -> None:
    async def what(processes: WorkerPool) -> None:
        await until(lambda: len(processes._idle) == 2)
        for each in processes._idle:
            each.kill()
        await until(lambda: not any(each.alive for each in processes._idle))
        assert await ask(processes, "next")

    use(what, 30)


def test_of_very_many_requests_the_last_are_rejected() -> None:
    async def what(processes: WorkerPool) -> None:
        tasks = [asyncio.create_task(ask(processes, "wait", f"busy {number}")) for number in range(MAX_WORKERS)]
        await until(lambda: len(processes._busy) == MAX_WORKERS)
        tasks += [asyncio.create_task(ask(processes, "wait", f"waits {number}")) for number in range(MAX_WAITING)]
        late = asyncio.create_task(ask(processes, "late"))
        with raises(Problem):
            await late
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await ask(processes, "next")

    use(what, 60)


def test_processes_that_are_not_needed_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def what(processes: WorkerPool) -> None:
        await asyncio.gather(*(ask(processes, "sleep", f"{number}") for number in range(MAX_WORKERS)))
        await until(lambda: len(processes._idle) > pool.MIN_WORKERS)
        monkeypatch.setattr(pool, "IDLE", 0.1)
        processes._in_background(processes._end_idle())
        await until(lambda: len(processes._idle) == pool.MIN_WORKERS)

    use(what, 30)


def test_where_no_process_can_be_started_the_request_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "BEGIN", "raise SystemExit('as is tested')")

    async def what() -> None:
        async with WorkerPool(LIMIT) as processes:
            for _ in range(2):
                with pytest.raises(Problem, match="cannot start a worker process"):
                    await ask(processes, "text")

    asyncio.run(what())
    assert 2 <= capfd.readouterr().err.count("as is tested") <= 6


def test_what_is_asked_at_the_end_is_told_so() -> None:
    async def what(processes: WorkerPool) -> None:
        tasks = [asyncio.create_task(ask(processes, "wait", f"{number}")) for number in range(MAX_WORKERS + 1)]
        await until(lambda: bool(processes._busy))
        await processes.close()
        for task in tasks:
            with pytest.raises(Problem, match="the server was stopped"):
                await task
        with raises(Problem):
            await ask(processes, "late")

    use(what, 60)


def test_modules_in_the_users_folder_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lark.py").write_text("raise SystemExit('this is the user’s')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(pool, "BEGIN", misbehaving.WHOLE)

    async def what(processes: WorkerPool) -> None:
        assert await ask(processes, "next")

    use(what, 30)


def test_the_system_ends_what_the_server_does_not() -> None:
    """The server is killed while a process evaluates a regular expression."""

    async def what() -> None:
        process = await pool.Worker.start()
        body = json.dumps({"text": "hang in C", "name": "a.net"}).encode()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.ask({"what": "look", "folder": ".", "seconds": -1}, body), 100)
        assert not process.alive
        await process.end()

    asyncio.run(what())
