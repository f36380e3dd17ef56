"""What a ``study`` section searches: ranges of numbers, and how they are searched instead of trying every value."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.elaborate.overrides import Override
from sewdsl.light_dataclass import dataclass
from sewdsl.syntax.tree import Call, Number, Value

SCALES = ("log", "linear")
"""How a range is walked through."""
METHODS = ("TPE", "Random")
"""What chooses the values of a trial."""
SIGNIFICANT_DIGITS = 4
"""Of a number out of a range that need not be whole: more of them would only be noise in tables."""
BOUNDS = 2
TRIAL = "trial"
"""The column of the numbers of trials."""


class Search(BaseModel):
    """``search TPE(trials=20, prune=median)``.

    Attributes:
        method: ``TPE``, the tree-structured Parzen estimator (Bergstra et al. 2011), or ``Random``.
        trials: How many choices of values are trained.
        seed: Of what chooses them.
        prune: ``median`` ends a trial whose best epoch so far is worse than the median of those before it had been by
            then; None: each is trained to its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["TPE", "Random"]
    trials: Annotated[int, Field(ge=1, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    prune: Literal["median"] | None = None

    def __str__(self) -> str:
        others = [f"seed={self.seed}"] if self.seed else []
        others += ["prune=median"] if self.prune else []
        return f"{self.method}({', '.join([f'trials={self.trials}', *others])})"


@dataclass(frozen=True)
class StudyRange:
    """A key of ``vary`` whose values are the numbers from one to another.

    Attributes:
        scale: One of :data:`SCALES`.
        low: The override that sets the key to the least number.
        high: The same with the greatest number.
        whole: Whether its values are whole numbers.
    """

    name: str
    scale: str
    low: Override
    high: Override
    whole: bool

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest."""
        return float(self.low.text), float(self.high.text)

    def text(self, number: float) -> str:
        """A number out of it as a table and a file have it, with few digits, and not beyond the bounds."""
        if self.whole:
            return str(round(number))
        low, high = self.bounds
        places = SIGNIFICANT_DIGITS - 1 - floor(log10(abs(number))) if number else 0
        return repr(min(high, max(low, round(number, places))))

    def __str__(self) -> str:
        return f"{self.scale} {self.low.text} {self.high.text}"


def is_range_text(text: str) -> bool:
    """Whether a text is that of a :class:`StudyRange`, and not of listed values."""
    scale, *bounds = text.split(" ")
    return scale in SCALES and len(bounds) == BOUNDS and all(bound[:1] in "-.0123456789" for bound in bounds)


def is_range(values: Sequence[Value]) -> bool:
    """Whether the values after a key are a range, ``log 0.0001 0.1``, and no list of values."""
    first = values[0] if values else None
    named = isinstance(first, Call) and not first.called and first.name.plain in SCALES
    return named and (len(values) == 1 or any(isinstance(value, Number) for value in values[1:]))
