"""How often and how long each thing is measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Plan(BaseModel):
    """The same for all contenders.

    Attributes:
        rounds: How often each contender is measured, each time in a process of its own; they take turns.
        warm_up: Steps of a process before its clock starts.
        least: Steps timed in each process, at least.
        most: And at most.
        seconds: For how long steps are timed, between ``least`` and ``most``.
        threads: Of torch, the same everywhere.
    """

    model_config = ConfigDict(frozen=True)

    rounds: int = 5
    warm_up: int = 2
    least: int = 3
    most: int = 30
    seconds: float = 3.0
    threads: int = 1


QUICK = Plan(rounds=1, warm_up=1, least=2, most=2, seconds=0.0)
"""Proves that everything runs; its times mean nothing."""
