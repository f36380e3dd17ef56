"""Shared settings of all tests, independent of the load of the machine and of the user."""

import functools
import gc
import os
import signal
from collections.abc import Iterator

import pytest
import typer.testing

from tests.effort import factor, register_profiles
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


@pytest.hookimpl(tryfirst=True)  # before pytest takes out what -m does not ask for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow tests, see :mod:`tests.slow`, and deselect the deep tests by default.

    A deep test runs under the profile ``deep``, with ``-m deep``, and if the command line names its file.
    """
    slow = slow_tests()
    for item in items:
        if function(item.nodeid) in slow:
            item.add_marker(pytest.mark.slow)
    if factor() > 1 or "deep" in config.option.markexpr:
        return
    named = {config.invocation_params.dir / argument.partition("::")[0] for argument in config.args}
    left_out = {item: None for item in items if item.get_closest_marker("deep") and item.path not in named}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Exclude existing objects from garbage collection: modules are most of all objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 20)


def pytest_sessionfinish() -> None:
    """Include the objects again, because libraries report remaining objects at exit."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """Replace ``os.fsync``: files of tests need not survive a crash of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture
def plain_pytorch() -> Iterator[None]:
    """Run neurons without kernels, each of which compiles for a second. Other tests compare kernels with PyTorch."""
    from sewdsl.snn.kernels import use_kernels  # noqa: PLC0415 -- imports torch, which many tests do without

    with use_kernels("reference"):
        yield


@pytest.fixture(autouse=True)
def _ctrl_c_is_python_s() -> Iterator[None]:
    """A test that leaves Ctrl-C to the system lets the next one that presses it end the whole process."""
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the values of ``record_property``, which depend on the machine."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
