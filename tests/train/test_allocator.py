"""Memory that is given back is kept, and used again; or returned at once, as is asked for."""

import os
import subprocess
import sys

import pytest

from sewdsl.train.fit.process_setup import keep_freed_memory, return_freed_memory

PROGRAM = """
import resource, sys
from sewdsl.train.fit.process_setup import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    before = faults()
    torch.ones(16, 1024, 1024)
    return faults() - before
for _ in range(3):  # glibc needs a few to find a piece that is large enough with its margin
    use()
print(use())
"""


def faults(way: str, **environment: str) -> int:
    """Page faults of using 64 MiB that were used before."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, way],
        capture_output=True,
        text=True,
        check=True,
        env={**known, **environment, "THP_MEM_ALLOC_ENABLE": "0"},
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_used_again() -> None:
    pages = 64 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert faults("as it is") > pages / 2
    assert faults("keep") < pages / 20


RETURNING = """
import os, sys
from sewdsl.train.fit.process_setup import keep_freed_memory, return_freed_memory
keep_freed_memory()
if sys.argv[1] == "return":
    assert return_freed_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
import torch
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
pieces = [torch.ones(1 << 18) for _ in range(100)]
held = resident() - before
del pieces[::2], pieces[-1]  # holes, and something behind them
print(held, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_returned() -> None:
    """Of 100 pieces of 1 MiB every other one, though what came before it kept everything."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "THP_"))}
    for way, least, most in (("keep", 95, 115), ("return", 40, 60)):
        program = [sys.executable, "-c", RETURNING, way]
        done = subprocess.run(program, capture_output=True, text=True, check=True, env=known)
        held, left = (int(word) / 2**20 for word in done.stdout.split())
        assert 95 < held < 115
        assert least < left < most


def test_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    assert not keep_freed_memory()
    assert not return_freed_memory()
