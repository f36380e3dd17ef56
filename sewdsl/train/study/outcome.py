"""What comes out of a study."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from sewdsl.train.repeats import Spread
from sewdsl.train.result import Result


class VariantResult(BaseModel):
    """One variant.

    Attributes:
        labels: What makes it another than the rest, by axis.
        folder: Where its runs lie, seen from the study's folder.
        parameters: Learnable parameters.
        seeds: Of the runs that have ended.
        diverged: Of those whose numbers stopped being numbers: where, by seed.
        accuracy: Share of the test samples, after the last epoch; None before the first run has ended.
        best_accuracy: The same after the best epoch.
        train_accuracy: Share of the training samples in the last epoch, with dropout, augmentation and all.
        seconds: Wall-clock time of the training, of all seeds together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, str]
    folder: str
    parameters: int
    seeds: list[int] = []
    diverged: dict[int, str] = {}
    accuracy: Spread | None = None
    best_accuracy: Spread | None = None
    train_accuracy: Spread | None = None
    seconds: float = 0.0

    @classmethod
    def of(  # noqa: PLR0913 -- what a row holds
        cls,
        labels: dict[str, str],
        folder: str,
        parameters: int,
        results: Sequence[Result],
        train_accuracies: Sequence[float],
        diverged: dict[int, str],
    ) -> VariantResult:
        """The row of these runs."""
        return cls(
            labels=labels,
            folder=folder,
            parameters=parameters,
            seeds=[result.seed for result in results],
            diverged=diverged,
            accuracy=_spread([result.accuracy for result in results]),
            best_accuracy=_spread([result.best_accuracy for result in results]),
            train_accuracy=_spread(train_accuracies),
            seconds=round(sum(result.seconds for result in results), 1),
        )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread.of(values) if values else None


class Outcome(BaseModel):
    """The contents of ``study.json``.

    Attributes:
        network: The network's name.
        data: The data set's.
        runs: How many the study asks for.
        machine: What the last run ran on, in words.
        rows: In the order of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    runs: int
    machine: str
    rows: list[VariantResult]

    @property
    def title(self) -> str:
        """The network and its data set, the latter only once."""
        return self.network if self.data in self.network else f"{self.network} on {self.data}"

    @property
    def axes(self) -> list[str]:
        """What the variants differ in, in the order of the file."""
        return list(self.rows[0].labels) if self.rows else []

    @property
    def complete(self) -> bool:
        """Whether every run has ended or diverged."""
        return sum(len(row.seeds) + len(row.diverged) for row in self.rows) == self.runs

    @property
    def seconds(self) -> float:
        """Wall-clock time of the training, of all runs together."""
        return sum(row.seconds for row in self.rows)
