"""Memory that is given back is kept, and used again; or returned at once, as is asked for."""

import os
import platform
import subprocess
import sys

import pytest

from sewdsl.allocator import keep_memory, memory_kept, return_memory
from tests.systems import page_size

PIECES = """
import os, resource, sys
from sewdsl.allocator import keep_memory, memory_kept, return_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def leave_holes():
    before = resident()
    pieces = [torch.ones(1 << 18) for _ in range(100)]
    held = resident() - before
    del pieces[::2], pieces[-1]  # holes, and something behind them
    print(held, resident() - before)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    before = faults()
    torch.ones(16, 1024, 1024)
    return faults() - before
def use_again():
    for _ in range(3):  # glibc needs a few to find a piece that is large enough with its margin
        use()
    print(use())
"""
"""Page faults of using 64 MiB that were used before; MiB of 100 pieces of 1 MiB, and then without every other one."""
KEEPING = """
use_again()
assert keep_memory()
leave_holes()
use_again()
"""
INSIDE = """
from threading import Thread
use_again()
before = resident()
@memory_kept()
def within():
    torch.ones(16, 1024, 1024)
    with memory_kept():
        torch.ones(16, 1024, 1024)
    use_again()
    print(resident() - before)
within()
print(resident() - before)
use_again()
"""
ENTERED = """
memory_kept().__enter__()
use_again()
"""
FOR_GOOD = """
assert keep_memory()
with memory_kept():
    pass
use_again()
"""
RETURNING = """
keep_memory()
assert return_memory()
assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
import torch
leave_holes()
"""


FORKING = """
import torch
for program in sys.argv[1:]:
    if not (child := os.fork()):
        exec(program)
        os._exit(sys.stdout.flush() or 0)
    assert os.waitpid(child, 0)[1] == 0, program
    print(";", flush=True)
"""
"""Run programs that have torch, each in a process of its own, after a single import of it."""
AFTER_IMPORT = {"keeping": KEEPING, "inside": INSIDE, "entered": ENTERED, "for good": FOR_GOOD}


def printed(program: str, *arguments: str, **environment: str) -> str:
    """Return the output of a process without a chosen allocator."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "THP_"))}
    command = [sys.executable, "-c", PIECES + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**known, **environment}).stdout


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


@pytest.fixture(scope="module")
def after_import() -> dict[str, list[int]]:
    """The numbers that each program prints."""
    texts = printed(FORKING, *AFTER_IMPORT.values(), THP_MEM_ALLOC_ENABLE="0").split(";")[:-1]
    return dict(zip(AFTER_IMPORT, map(numbers, texts), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_used_again(after_import: dict[str, list[int]]) -> None:
    """Pieces of any size, once that is asked for."""
    before, held, left, after = after_import["keeping"]
    pages = 64 * 2**20 // page_size()
    assert before > pages / 2
    assert 95 < held / 2**20 < 115
    assert 95 < left / 2**20 < 115
    assert after < pages / 20


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_kept_for_a_while(after_import: dict[str, list[int]]) -> None:
    """Within a function and a block in it; what was kept then goes back, and what comes after is as it was before."""
    before, inside, held, left, after = after_import["inside"]
    pages = 64 * 2**20 // page_size()
    assert before > pages / 2
    assert inside < pages / 20
    assert held / 2**20 > 60
    assert left / 2**20 < 16
    assert after > pages / 2


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_a_block_without_a_name_does_not_end(after_import: dict[str, list[int]]) -> None:
    (after,) = after_import["entered"]
    assert after < 64 * 2**20 // page_size() / 20


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_a_block_ends_nothing_that_is_for_good(after_import: dict[str, list[int]]) -> None:
    (after,) = after_import["for good"]
    assert after < 64 * 2**20 // page_size() / 20


def test_without_glibc_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with pytest.warns(UserWarning, match="requires glibc on Linux"), memory_kept():
        assert not keep_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_returned() -> None:
    """Every other one of 100 pieces is freed, although earlier pieces remain."""
    held, left = numbers(printed(RETURNING))
    assert 95 < held / 2**20 < 115
    assert 40 < left / 2**20 < 60


def test_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    assert not keep_memory()
    assert not return_memory()
    with memory_kept():  # nor does it undo what they decided
        pass
