"""The tests run alike wherever they are started."""

import re
import runpy
import signal
from pathlib import Path

from tests import slow
from tests.slow import slow_tests

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests" / "conftest.py"


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


def test_slow_tests_exist() -> None:
    for name in slow_tests():
        path, *names = name.split("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert all(re.search(rf"\b(def|class) {each}\b", text) for each in names), name


def test_times_become_a_list(tmp_path: Path) -> None:
    """A case that takes long, or many that take long together."""
    cases = {
        "test_one": [0.06],
        "test_two": [0.04] * 51,
        "test_three": [0.04] * 49,
        "test_four": [0.19, 0.0, 0.0, 0.0],
    }
    rows = [
        f'<testcase classname="tests.project.test_conftest" name="{name}[{i}]" time="{seconds}"/>'
        for name, each in cases.items()
        for i, seconds in enumerate(each)
    ]
    report = tmp_path / "times.xml"
    report.write_text(f"<testsuite>{''.join(rows)}</testsuite>", encoding="utf-8")
    assert slow.measure(report) == [f"tests/project/test_conftest.py::{name}" for name in ("test_one", "test_two")]
