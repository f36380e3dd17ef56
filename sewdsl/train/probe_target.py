"""Networks to probe, and their input: samples of a dataset or random input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sewdsl.compiler import Compilation
from sewdsl.compiler import compile as compile_module
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.lower import SpikingNetwork
from sewdsl.probe import move_batches, random_inputs, set_untrained_mode
from sewdsl.train.data.split import split_off_validation
from sewdsl.train.fit.execution import autocast, tf32_allowed
from sewdsl.train.fit.load_run import load_model, load_spec, random_batches
from sewdsl.train.fit.processes import evaluation_precision
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.store.run_notes import plan_resumed_run
from sewdsl.train.training_plan import TrainingPlan, plan_training

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.train.fit.processes import DeviceType
    from sewdsl.train.store.result import Precision


class ProbeSamples(NamedTuple):
    """Input of a probed network."""

    batches: Iterable[tuple[Tensor, Tensor]]
    data: str | None
    """Name of the dataset, or None for random input."""
    samples: int
    """Number of samples used."""
    of: int
    """Number of test samples of the dataset, or 0 for random input."""

    def __str__(self) -> str:
        if self.data is None:
            return f"{self.samples:,} samples of random input"
        share = f"all {self.of:,}" if self.samples == self.of else f"{self.samples:,} of {self.of:,}"
        return f"{share} test samples of {self.data}"


class SampleCount(NamedTuple):
    """Requested amount of input, and how to read it."""

    batch: int | None
    """Batch size. The default is 4 for random input, and that of the recipe for a dataset."""
    batches: int | None
    """Number of batches. The default is 1 for random input, and all samples for a dataset."""
    seed: int
    """Seed of random input, of the order of samples, and of random weights."""
    readers: int | None = None
    """Number of prefetching threads. None takes the number of the dataset."""


@dataclass(frozen=True)
class ProbeTarget:
    """Network to probe, and its input."""

    model: SpikingNetwork
    """Network in the mode to probe it in."""
    shown: ProbeSamples
    run: Path | None = None
    """Run folder of a trained network, or None for an untrained one."""
    best: bool = False
    """Whether the weights are those of the best epoch instead of the last."""
    noted: Precision | None = None
    """Recorded precision of the training, if any."""
    device: DeviceType = "cpu"
    precision: Precision = "32-true"

    @property
    def network(self) -> Network:
        """Network of the model."""
        return self.model.network

    def title(self, quantity: str) -> str:
        """Return the title of a result: network, quantity, weights and input."""
        epoch = "best" if self.best else "last"
        state = "before training" if self.run is None else f"after the {epoch} epoch of {self.run}"
        return f"{self.network.name}: {quantity}, {state}, on {self.shown}"

    def on(self, device: DeviceType) -> ProbeTarget:
        """Return the target on a device, with the precision of the training for trained networks."""
        recipe = None if self.run is None else self.network.recipe
        precision = evaluation_precision(recipe, device, self.noted) if recipe else self.precision
        shown = self.shown._replace(batches=move_batches(self.shown.batches, device))
        return replace(self, model=self.model.to(device), shown=shown, device=device, precision=precision)

    def as_json(self) -> dict[str, Any]:
        """Return the target as JSON-compatible values."""
        return {
            "run": None if self.run is None else self.run.as_posix(),
            "weights": "initial" if self.run is None else "best" if self.best else "last",
            "mode": "training" if self.model.training else "evaluation",
            "data": self.shown.data,
            "samples": self.shown.samples,
            "device": self.device,
            "precision": self.precision,
        }

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Set TF32 and precision as in the training, within a context."""
        recipe = self.network.recipe
        with tf32_allowed(recipe.tf32 if recipe else None), autocast(self.precision, self.device):
            yield


def target_from_run(path: Path, data: Path | None, amount: SampleCount, *, best: bool, noise: bool) -> ProbeTarget:
    """Return the trained network of a run, with its test samples or random input.

    Raises:
        RunError, DataError, SewdslError: If the folder or the data is incomplete or damaged.
    """
    folder = RunFolder(path)
    noted = folder.read_result().precision  # Fails early if the folder is not a finished run.
    shown = None if noise else samples_of_run(path, data, amount)
    model = load_model(folder, best=best)
    return ProbeTarget(model, shown or random_input(model.network, amount), path, best, noted)


def target_from_spec(compilation: Compilation, data: Path | None, amount: SampleCount, *, noise: bool) -> ProbeTarget:
    """Return an untrained network, with random input or the dataset of its recipe.

    Raises:
        DataError, SewdslError: If the data is missing or damaged, or the spec has no recipe to name it.
    """
    network = compilation.result()
    shown = random_input(network, amount) if noise else _samples(plan_training(compilation, data), amount)
    # Without training there are no running statistics: batch norm uses those of each batch.
    return ProbeTarget(set_untrained_mode(compile_module(network, seed=amount.seed, optimize=0)), shown)


def samples_of_run(path: Path, data: Path | None, amount: SampleCount, *, training: bool = False) -> ProbeSamples:
    """Return test samples, or training samples, of the dataset of a run.

    Raises:
        RunError, DataError, SewdslError: If the folder or the data is incomplete or damaged.
    """
    folder = RunFolder(path)
    return _samples(plan_resumed_run(load_spec(folder), folder, data), amount, training=training)


def random_input(network: Network, amount: SampleCount) -> ProbeSamples:
    """Return random input for a network."""
    size, batches = amount.batch or 4, amount.batches or 1
    return ProbeSamples(
        random_inputs(network, samples=size, batches=batches, seed=amount.seed), None, size * batches, 0
    )


def _samples(planned: TrainingPlan, amount: SampleCount, *, training: bool = False) -> ProbeSamples:
    # No validation set is used, so none is split off.
    parts = split_off_validation(planned.data.load(), 0, planned.recipe.seed)
    samples = parts.train if training else parts.test
    batches = random_batches(samples, amount.batch or planned.recipe.batch, amount.batches, amount.seed)
    batches.readers = amount.readers
    return ProbeSamples(batches, planned.data.name, len(batches.samples.y), len(samples.y))
