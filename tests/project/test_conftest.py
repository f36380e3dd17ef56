"""The tests run alike wherever they are started."""

import runpy
import signal
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"


def test_interrupts_are_heard_in_the_background() -> None:
    """There, a shell has them ignored, and every child of a test would ignore them too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        runpy.run_path(str(CONFTEST))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_whoever_hears_interrupts_goes_on_to_do_so() -> None:
    before = signal.signal(signal.SIGINT, print)
    try:
        runpy.run_path(str(CONFTEST))
        assert signal.getsignal(signal.SIGINT) is print
    finally:
        signal.signal(signal.SIGINT, before)
