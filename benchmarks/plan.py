"""Number and duration of measurements."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Plan(BaseModel):
    """Plan of a run, equal for all contenders.

    Attributes:
        rounds: Number of measurements of each contender, each in a new process. Contenders take turns.
        warm_up: Number of steps before the clock starts.
        least: Smallest number of timed steps per process.
        most: Largest number of timed steps per process.
        seconds: Duration of the timed steps, between ``least`` and ``most``.
        threads: Number of threads of PyTorch.
    """

    model_config = ConfigDict(frozen=True)

    rounds: int = 5
    warm_up: int = 2
    least: int = 3
    most: int = 30
    seconds: float = 3.0
    threads: int = 1


QUICK = Plan(rounds=1, warm_up=1, least=2, most=2, seconds=0.0)
"""Plan to test the benchmarks. Its times mean nothing."""
