"""Statistics of samples: medians with quartiles, ratios per round, straight lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import correlation, linear_regression, median, quantiles

from benchmarks.results import Entry, Sample

LEAST_FOR_LINE = 3


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Line:
    """Straight line through points, by least squares.

    Attributes:
        start: Value at 0.
        slope: Increase per unit.
        fit: R², the explained fraction of the variance.
    """

    start: float
    slope: float
    fit: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(low, median(values), high)


def ratio(entry: Entry, base: Entry, figure: Callable[[Sample], float]) -> Spread | None:
    """Return the ratio of an entry to a base over their common rounds, or None without any."""
    # One ratio per round, since a disturbance of the machine affects both sides of a round.
    pairs = zip(entry.samples, base.samples, strict=False)
    ratios = [figure(own) / figure(reference) for own, reference in pairs if figure(reference) > 0]
    return spread(ratios) if ratios else None


def line(points: Sequence[tuple[float, float]]) -> Line | None:
    """Return the line through points (x, y), or None for too few points."""
    if len(points) < LEAST_FOR_LINE:
        return None
    xs, ys = zip(*points, strict=True)
    slope, start = linear_regression(xs, ys)
    return Line(start, slope, correlation(xs, ys) ** 2 if len(set(ys)) > 1 else 1.0)
