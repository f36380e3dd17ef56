"""What every test shares: settings that depend neither on how busy the machine is nor on who started the tests."""

import functools
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.testing

from tests.effort import register_profiles
from tests.slow import function, slow_tests

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tensors here are small, and threads that
# wait for each other take more time than they save, most of all alongside other processes

if "SEWDSL_TEST_GPUS" not in os.environ:  # processes of xdist inherit what the first has set
    os.environ["SEWDSL_TEST_GPUS"] = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # golden numbers are a CPU's, and so are two processes on one machine; what
# tests a GPU runs in a process that ``tests.gpu.environment`` shows it to

register_profiles()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts so what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and children of the tests would inherit it


# the commands with all of their options, which each call of the program by a test would make anew
typer.testing._get_command = functools.cache(typer.main.get_command)  # type: ignore[attr-defined]

LONGEST = (
    "laws/test_optimized.py",
    "compiler/test_time.py",
    "passes/memory/test_prediction.py",
    "syntax/test_limits.py",
    "exchange/source/test_neurons.py",
)
"""Files that take a minute or more, the longest first."""


@pytest.hookimpl(tryfirst=True)  # before pytest takes out what -m does not ask for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests, see :mod:`tests.slow`, and begins with the files that take longest.

    Each file is one process's, and none is to end long after the others.
    """
    folder, slow = Path(__file__).parent, slow_tests()
    for item in items:
        if function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)
    order = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish() -> None:
    """Takes what is there before the first test out of every search for garbage: modules are most of all objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 20)


def pytest_sessionfinish() -> None:
    """Gives them back, since libraries complain of what is still there at the very end."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _ctrl_c_is_python_s() -> Iterator[None]:
    """A test that leaves Ctrl-C to the system lets the next one that presses it end the whole process."""
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests have recorded with ``record_property``: figures that depend on the machine."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
