"""Costs that do not depend on the clock: the lines of Python that a call runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines_run(call: Callable[[], object]) -> int:
    """Number of lines, of repeated expressions too."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def growth(costs: Callable[[int], int], n: int) -> float:
    """Return the cost of a second 2n relative to that of a second n: 2 for linear costs, 4 for quadratic costs."""
    one, two, four = (costs(size) for size in (n, 2 * n, 4 * n))
    return (four - two) / (two - one)
