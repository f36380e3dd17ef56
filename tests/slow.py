"""List of slow tests, rewritten by ``pytest --junit-xml=times.xml && python -m tests.slow times.xml``.

A test function is slow if a case takes more than 0.05 s on average, or all cases more than 2 s.
``pytest -m "not slow"`` omits slow tests. The first test that uses a shared fixture includes the time of the fixture.
``pytest -m "not slow" --junit-xml=rest.xml && python -m tests.slow times.xml rest.xml`` finds the other tests.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

LIST = Path(__file__).with_name("slow.txt")
CASE, TOGETHER = 0.05, 2.0
"""Seconds."""


def slow_tests() -> frozenset[str]:
    """The slow test functions: ``tests/a/test_b.py::test_c``."""
    return frozenset(LIST.read_text(encoding="utf-8").split())


def function(nodeid: str) -> str:
    """The function of a test, without the case."""
    return nodeid.partition("[")[0]


def measure(report: Path) -> list[str]:
    """The slow test functions of a report of pytest."""
    times: dict[str, list[float]] = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest's own
        parts = str(case.get("classname")).split(".")
        classes = [part for part in parts if part[0].isupper()]
        path = "/".join(parts[: len(parts) - len(classes)]) + ".py"
        name = "::".join([path, *classes, function(str(case.get("name")))])
        times[name].append(float(case.get("time", 0)))
    return sorted(
        name
        for name, seconds in times.items()
        if _is_file(name) and (sum(seconds) > TOGETHER or sum(seconds) / len(seconds) > CASE)
    )


def _is_file(name: str) -> bool:
    """Return whether a test is in a file of tests, unlike doctests."""
    return (LIST.parents[1] / name.partition("::")[0]).is_file()


if __name__ == "__main__":
    found = sorted({name for report in sys.argv[1:] for name in measure(Path(report))})
    LIST.write_text("".join(f"{name}\n" for name in found), encoding="utf-8")
