"""Shapes and ranges as short text, also where they differ from copy to copy: ``32×(128→64→…→1)²``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sewdsl.ir.signal import ValueRange

MAX_STATIONS = 4
"""Most stations that are all shown."""


def shape_range_text(values: Sequence[tuple[int, ...]]) -> str:
    """One shape or the way from the first to the last.

    >>> shapes([(32, 128, 128)])
    '32×128×128'
    >>> shapes([(32, 16, 16), (32, 8, 8), (32, 4, 4), (32, 2, 2), (32, 1, 1)])
    '32×(16→8→…→1)²'
    >>> shapes([(32, 1, 1), (11,)])
    '32×1×1→11'
    """
    values = [key for key, _ in groupby(values)]
    if len({len(shape) for shape in values}) > 1:
        return _way(["×".join(map(str, shape)) for shape in values])
    axes = [_way([str(length) for length in axis]) for axis in zip(*values, strict=True)]
    texts = [f"({axis})" if "→" in axis and len(axes) > 1 else axis for axis in axes]
    if len(texts) > 1 and texts[-1] == texts[-2] and "→" in texts[-1]:
        texts[-2:] = [f"{texts[-1]}²"]
    return "×".join(texts)


def value_range_text(values: Sequence[ValueRange]) -> str:
    """The range of counts, or the way from the first to the last.

    >>> ranges([Values(2)]), ranges([Values(2), Values(3), Values(4), Values(5), Values(6)])
    ('0..2', '0..(2→3→…→6)')
    """
    way = _way([key for key, _ in groupby("real" if value.upper is None else str(value.upper) for value in values)])
    return f"0..({way})" if "→" in way else f"0..{way}"


def _way(stations: Sequence[str]) -> str:
    stations = [key for key, _ in groupby(stations)]
    if len(stations) > MAX_STATIONS:
        stations = [*stations[:2], "…", stations[-1]]
    return "→".join(stations)
