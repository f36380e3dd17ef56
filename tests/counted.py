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
    """How much more another 2n cost than another n: 2 if costs are linear, 4 if they are quadratic."""
    one, two, four = (costs(size) for size in (n, 2 * n, 4 * n))
    return (four - two) / (two - one)
