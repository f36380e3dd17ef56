"""Memory that is given back is kept, and used again; or returned at once, as is asked for."""

import os
import subprocess
import sys

import pytest

from sewdsl.train.fit.process_setup import keep_freed_memory, return_freed_memory

PIECES = """
import os, resource, sys
from sewdsl.train.fit.process_setup import keep_freed_memory, return_freed_memory
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
import torch
use_again()
assert keep_freed_memory()
leave_holes()
use_again()
"""
RETURNING = """
keep_freed_memory()
assert return_freed_memory()
assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
import torch
leave_holes()
"""


def printed(program: str, **environment: str) -> list[int]:
    """The numbers that a process prints whose allocator nobody has decided about."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "THP_"))}
    command = [sys.executable, "-c", PIECES + program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**known, **environment})
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_used_again() -> None:
    """Pieces of any size, once that is asked for."""
    before, held, left, after = printed(KEEPING, THP_MEM_ALLOC_ENABLE="0")
    pages = 64 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert before > pages / 2
    assert 95 < held / 2**20 < 115
    assert 95 < left / 2**20 < 115
    assert after < pages / 20


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_returned() -> None:
    """Of 100 pieces every other one, though what came before it kept everything."""
    held, left = printed(RETURNING)
    assert 95 < held / 2**20 < 115
    assert 40 < left / 2**20 < 60


def test_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    assert not keep_freed_memory()
    assert not return_freed_memory()
