"""Work is shared among threads, and its result does not depend on how many there are."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from sewdsl.snn.kernels import thread_blocks
from tests.snn.kernels.cases import Case, current, make, run


@pytest.fixture(params=["OpenMP", "pool"])
def restored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The threads of PyTorch, or those of the pool that takes their place where PyTorch has no GNU OpenMP."""
    if request.param == "pool":
        monkeypatch.setattr(thread_blocks, "_openmp", lambda: None)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("blocks", [0, 1, 16, 1000, 1001])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_block_is_dealt_with_once(restored: None, blocks: int, count: int) -> None:
    torch.set_num_threads(count)
    pieces: list[tuple[int, int]] = []
    thread_blocks.run_in_blocks(lambda first, last: pieces.append((first, last)), blocks, parallel=True)
    assert [i for first, last in sorted(pieces) for i in range(first, last)] == list(range(blocks))
    assert len(pieces) <= max(1, count * thread_blocks.PIECES_PER_THREAD)


def test_small_work_stays_in_the_calling_thread(restored: None) -> None:
    torch.set_num_threads(2)
    callers = []
    thread_blocks.run_in_blocks(lambda _first, _last: callers.append(threading.get_ident()), 10_000, parallel=False)
    assert callers == [threading.get_ident()]


def test_an_error_arrives(restored: None) -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        thread_blocks.run_in_blocks(lambda first, _last: first // 0, 10_000, parallel=True)


def test_an_error_of_another_thread_arrives(restored: None) -> None:
    torch.set_num_threads(2)
    caller, failed = threading.get_ident(), threading.Event()

    def work(_first: int, _last: int) -> None:
        if threading.get_ident() != caller:
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(60)

    with pytest.raises(ZeroDivisionError):
        thread_blocks.run_in_blocks(work, 10_000, parallel=True)


def test_the_result_does_not_depend_on_the_threads(restored: None) -> None:
    case = Case(make("PLIF"), current(8, 5, 9, 40, 40), None)
    outcomes = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        outcomes.append(run(case, "fastest"))
    for other in outcomes[1:]:
        assert torch.equal(other.spikes, outcomes[0].spikes)
        assert torch.equal(other.g_x, outcomes[0].g_x)
        assert torch.equal(other.g_learned[0], outcomes[0].g_learned[0])


def test_several_callers_at_once(restored: None) -> None:
    torch.set_num_threads(2)
    case = Case(make("PLIF"), current(8, 5, 9, 40, 40), None)
    alone = run(case, "fastest")
    with ThreadPoolExecutor(4) as callers:
        for outcome in callers.map(lambda _: run(case, "fastest"), range(8)):
            assert torch.equal(outcome.spikes, alone.spikes)
            assert torch.equal(outcome.g_learned[0], alone.g_learned[0])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(restored: None) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows does not fork")
    torch.set_num_threads(2)
    seen: list[int] = []
    thread_blocks.run_in_blocks(lambda first, _last: seen.append(first), 10_000, parallel=True)
    child = os.fork()
    if not child:
        again: list[int] = []
        thread_blocks.run_in_blocks(lambda first, _last: again.append(first), 10_000, parallel=True)
        os._exit(0 if sorted(again) == sorted(seen) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0


def test_a_thread_that_comes_late_holds_nothing(restored: None) -> None:
    """Its turn stays in line until it wakes, and with it what it holds."""
    torch.set_num_threads(2)
    pool, free = thread_blocks._pool(2), threading.Event()
    busy = [pool.submit(free.wait, 60) for _ in range(2)]
    held = torch.zeros(8)
    gone = weakref.ref(held)
    try:
        thread_blocks.run_in_blocks(partial(_touch, held), 10_000, parallel=True)
        del held
        assert gone() is None
    finally:
        free.set()
        for each in busy:
            each.result()


def _touch(held: torch.Tensor, _first: int, _last: int) -> None:
    held += 1
