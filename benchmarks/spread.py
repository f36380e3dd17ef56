"""Figures from samples: medians with quartiles, ratios round by round, straight lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import correlation, linear_regression, median, quantiles

from benchmarks.results import Entry, Sample

LEAST_FOR_LINE = 3


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Line:
    """A straight line through points, by least squares.

    Attributes:
        start: At 0.
        slope: For each unit.
        fit: R², the part of the variance that the line explains.
    """

    start: float
    slope: float
    fit: float


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(low, median(values), high)


def ratio(entry: Entry, base: Entry, figure: Callable[[Sample], float]) -> Spread | None:
    """How many times as much an entry takes as a base, from the rounds that both have; None without any.

    Each round gives one ratio: what disturbs the machine for a while disturbs both sides of it.
    """
    pairs = zip(entry.samples, base.samples, strict=False)
    ratios = [figure(ours) / figure(theirs) for ours, theirs in pairs if figure(theirs) > 0]
    return spread(ratios) if ratios else None


def line(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line through points (x, y); None for too few."""
    if len(points) < LEAST_FOR_LINE:
        return None
    xs, ys = zip(*points, strict=True)
    slope, start = linear_regression(xs, ys)
    return Line(start, slope, correlation(xs, ys) ** 2 if len(set(ys)) > 1 else 1.0)
