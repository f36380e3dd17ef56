"""What ``sewdsl probe`` looks at: a network before training or that of a run, on random input or on test samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sewdsl.cli.options import read_spec_text, require_network
from sewdsl.compiler import Options, read, shipped_networks
from sewdsl.paths import is_folder

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.folder import RunFolder
    from sewdsl.train.plan import TrainingPlan


class ProbeInput(StrEnum):
    """What is shown to a network."""

    DATA = "data"
    NOISE = "noise"


class ProbeSamples(NamedTuple):
    """What a network is shown.

    Attributes:
        batches: Inputs and classes.
        data: Name of the data set; None: random input.
        samples: How many there are in all batches together.
        of: Test samples of the data set.
    """

    batches: Iterable[tuple[Tensor, Tensor]]
    data: str | None
    samples: int
    of: int

    def __str__(self) -> str:
        if self.data is None:
            return f"{self.samples:,} samples of random input"
        share = f"all {self.of:,}" if self.samples == self.of else f"{self.samples:,} of {self.of:,}"
        return f"{share} test samples of {self.data}"


class SampleCount(NamedTuple):
    """How much is shown, as far as the user said.

    Attributes:
        batch: Samples of a batch; None: of random input 4, of data as many as in the recipe.
        batches: How many batches; None: of random input one, of data all that there are.
        seed: Of random input, of the order of the samples, and of weights that are not trained.
    """

    batch: int | None
    batches: int | None
    seed: int


@dataclass(frozen=True)
class ProbeTarget:
    """A network, and what it is shown.

    Attributes:
        model: In the mode in which it is to be looked at.
        shown: What it is shown.
        run: The folder of the run that has trained it; None: it is not trained.
        best: Whether with the weights of the run's best epoch, not of its last.
    """

    model: SpikingNetwork
    shown: ProbeSamples
    run: Path | None = None
    best: bool = False

    @property
    def network(self) -> Network:
        """The network as data."""
        return self.model.network

    def title(self, quantity: str) -> str:
        """One line that says what was found of what."""
        epoch = "best" if self.best else "last"
        state = "before training" if self.run is None else f"after the {epoch} epoch of {self.run}"
        return f"{self.network.name}: {quantity}, {state}, on {self.shown}"

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "run": None if self.run is None else self.run.as_posix(),
            "weights": "initial" if self.run is None else "best" if self.best else "last",
            "mode": "training" if self.model.training else "evaluation",
            "data": self.shown.data,
            "samples": self.shown.samples,
        }


def is_run(target: str) -> bool:
    """Whether it is a folder, and not the name of a shipped network, as everywhere else."""
    return target not in shipped_networks() and is_folder(Path(target))


def target_from_run(
    path: Path, on: ProbeInput | None, data: Path | None, amount: SampleCount, *, best: bool
) -> ProbeTarget:
    """The trained network of a run, on its test samples unless random input is asked for.

    Raises:
        RunError, DataError, SewdslError: something in the folder, or the data, is missing or damaged.
    """
    from sewdsl.train.folder import RunFolder  # noqa: PLC0415 -- not before it is needed

    folder = RunFolder(path)
    folder.read_result()  # says at once if this is no run
    from sewdsl.train.trained import load_model  # noqa: PLC0415 -- torch and Lightning take seconds

    shown = None if on is ProbeInput.NOISE else _samples(_plan_again(folder, data), amount)
    model = load_model(folder, best=best)
    return ProbeTarget(model, shown or random_input(model.network, amount), path, best)


def samples_of_run(path: Path, data: Path | None, amount: SampleCount) -> ProbeSamples:
    """Test samples of a run.

    Raises:
        RunError, DataError, SewdslError: something in the folder, or the data, is missing or damaged.
    """
    from sewdsl.train.folder import RunFolder  # noqa: PLC0415 -- not before it is needed

    return _samples(_plan_again(RunFolder(path), data), amount)


def _plan_again(folder: RunFolder, data: Path | None) -> TrainingPlan:
    from sewdsl.train.trained import load_spec  # noqa: PLC0415 -- as above
    from sewdsl.train.whereabouts import plan_resumed_run  # noqa: PLC0415 -- as above

    return plan_resumed_run(load_spec(folder), folder, data)


def target_from_spec(
    spec: str, options: Options, on: ProbeInput | None, data: Path | None, amount: SampleCount
) -> ProbeTarget:
    """A network that is not trained, on random input unless its recipe's data is asked for.

    Batch norm takes the statistics of each batch: it has no others that are of use.

    Raises:
        DataError, SewdslError: the data is missing or damaged, or the spec has no recipe that says which.
    """
    compilation = read(read_spec_text(spec), **options)
    network = require_network(compilation)
    from sewdsl.compiler import compile as compile_module  # noqa: PLC0415 -- not before the spec is known to be good
    from sewdsl.probe import set_untrained_mode  # noqa: PLC0415 -- as above
    from sewdsl.train.plan import plan_training  # noqa: PLC0415 -- as above

    wanted = on is ProbeInput.DATA or data is not None
    shown = _samples(plan_training(compilation, data), amount) if wanted else random_input(network, amount)
    model = set_untrained_mode(compile_module(network, seed=amount.seed, optimize=0))
    return ProbeTarget(model, shown)


def random_input(network: Network, amount: SampleCount) -> ProbeSamples:
    """Random input for a network."""
    from sewdsl.probe import random_inputs  # noqa: PLC0415 -- torch takes seconds

    size, batches = amount.batch or 4, amount.batches or 1
    return ProbeSamples(
        random_inputs(network, samples=size, batches=batches, seed=amount.seed), None, size * batches, 0
    )


def _samples(planned: TrainingPlan, amount: SampleCount) -> ProbeSamples:
    from sewdsl.train.data.split import split_off_validation  # noqa: PLC0415 -- torch takes seconds
    from sewdsl.train.trained import random_batches  # noqa: PLC0415 -- as above

    samples = split_off_validation(planned.data.load(), 0, planned.recipe.seed).test
    batches = random_batches(samples, amount.batch or planned.recipe.batch, amount.batches, amount.seed)
    return ProbeSamples(batches, planned.data.name, len(batches.samples.y), len(samples.y))
