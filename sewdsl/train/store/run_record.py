"""Readable facts of a run folder, and summaries of the runs below a folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.compiler import read
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.energy_forms import EnergyTable
from sewdsl.paths import is_file, is_folder, is_there, open_file
from sewdsl.source import Source
from sewdsl.train.records import STRICT, Positive, RecordError, Seed, Text, contents, parse_record, salvage
from sewdsl.train.store import measurements
from sewdsl.train.store.measurements import FIRING_RATE, EnergyRecord
from sewdsl.train.store.result import Population, Result
from sewdsl.train.store.run_folder import RunError, RunFolder, try_lock
from sewdsl.train.store.run_lookup import is_exported, missing_run_message
from sewdsl.train.store.run_notes import DataLocation, PluginRecord, ProcessRecord, Terms

Part = TypeVar("Part")

SHOWN = 3
"""Maximum number of messages about one file."""


class _Recipe(BaseModel):
    """Contents of ``recipe.json``, limited to the settings that are used other than as text."""

    model_config = ConfigDict(**{**STRICT, "extra": "allow"})

    on: Text
    epochs: Positive
    seed: Seed
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    freeze: list[Text] = []
    lr: list[list[Text | float]] = []
    augment: list[Text] = []
    losses: list[Text] = []
    mean: list[float] | None = None
    std: list[float] | None = None


@dataclass(frozen=True)
class RunRecord:
    """Facts of a run for its report. Missing or unreadable facts are empty or None."""

    name: str
    spec: str
    """Source of the network."""
    recipe: dict[str, Any]
    """Every setting in force, by name."""
    result: dict[str, Any]
    epochs: measurements.Epochs
    confusion: measurements.ConfusionFile
    command: str
    """Command that repeats the run, executed in the run folder."""
    energy: EnergyRecord | None = None
    """Counted operations of the last weights, or None if they were not counted."""
    license: str = ""
    """Licence identifier of the Hugging Face hub (empty without a licence)."""
    plugins: tuple[str, ...] = ()
    """Paths of the copies of plugin files, relative to the run folder."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """Problems of damaged files, by file name. Their contents are missing above."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Errors of ``sewdsl eval`` about files, by file name (empty if not checked)."""

    @cached_property
    def network(self) -> Network | None:
        """Compiled network, or None if the source has errors."""
        compilation = read(Source("spec.net", self.spec)) if self.spec else None
        return compilation.network if compilation and compilation.valid else None

    @cached_property
    def energy_table(self) -> EnergyTable | None:
        """Energy of one sample, or None if operations were not counted, or not for this network."""
        return self.energy.table(self.network) if self.energy and self.network else None

    @property
    def spec_refused(self) -> bool:
        """Whether the network cannot be trained again, because its source is missing or has errors."""
        return "spec.net" in self.refused

    @property
    def title(self) -> str:
        """Name of the network."""
        return str(self.result.get("network") or (self.network.name if self.network else self.name))

    @property
    def data(self) -> str:
        """Name of the dataset (empty if unknown)."""
        return str(self.result.get("data") or self.recipe.get("on") or "")

    @property
    def classifies(self) -> bool:
        """Whether the main output is trained to output a class, as far as the network is known."""
        recipe = self.network.recipe if self.network is not None else None
        return recipe is None or recipe.terms[0].loss.classifies

    @property
    def firing_rates(self) -> dict[str, float]:
        """Firing rates by layer, over the test samples or, for an unfinished run, in the last epoch."""
        if self.result.get("firing_rates"):
            return dict(self.result["firing_rates"])
        rows = [self.rates(epoch) for epoch in self.epochs]
        return next((row for row in reversed(rows) if row), {})

    @property
    def populations(self) -> dict[str, Population]:
        """Neurons of each layer by firing rate (empty if not counted or not readable)."""
        return dict(self.result.get("neurons", {}))

    def rates(self, epoch: int) -> dict[str, float]:
        """Return the firing rates after an epoch, by layer in order of computation."""
        rates = {
            name.removeprefix(FIRING_RATE): v for name, v in self.epochs[epoch].items() if name.startswith(FIRING_RATE)
        }
        order = [node.name for node in self.network or ()]
        return {name: rates[name] for name in sorted(rates, key=lambda n: order.index(n) if n in order else len(order))}


def load_record(folder: RunFolder) -> RunRecord:
    """Read the facts of a run, or raise RunError if the folder does not exist or has no files of a run."""
    if not any(is_file(path) for path in (folder.spec, folder.recipe, folder.result)):
        raise RunError(missing_run_message(folder.path))
    wrong: dict[str, str] = {}

    def read_part(path: Path, nothing: Part, parse: Callable[[bytes], tuple[Part, Sequence[str]]]) -> Part:
        """Parse a file, and record its problems. Return ``nothing`` if it is missing or unreadable."""
        try:
            part, complaints = parse(contents(path))
        except FileNotFoundError:
            return nothing
        except OSError as error:
            part, complaints = nothing, [error.strerror or type(error).__name__]
        except (RecordError, UnicodeDecodeError) as error:
            part, complaints = nothing, [str(error)]
        if complaints:
            wrong[path.name] = "; ".join(complaints[:SHOWN]) + ("; …" if len(complaints) > SHOWN else "")
        return part

    def read_fields(path: Path, model: type[BaseModel]) -> dict[str, Any]:
        return read_part(path, {}, lambda data: salvage(data, model))

    result, location = read_fields(folder.result, Result), read_fields(folder.local, DataLocation)
    terms = read_fields(folder.terms, Terms)
    energy = read_part(folder.energy, None, lambda data: (parse_record(data, EnergyRecord), ()))
    shared = read_fields(folder.processes, ProcessRecord)
    start = folder.start.relative_to(folder.path) if folder.start.is_file() else None
    options = {
        "--data": "DIR" if location else None,  # The location itself is specific to a machine.
        "--weights": start,
        "--devices": result["processes"] if result.get("processes", 1) > 1 else None,
        "--strategy": shared.get("strategy"),
        "--device": shared.get("accelerator"),
        # Several processes cannot agree on a new numbered folder.
        "--out": "RUN" if result.get("processes", 1) > 1 else None,
    }
    words = [str(word) for option, value in options.items() if value is not None for word in (option, value)]
    notes = read_fields(folder.plugins, PluginRecord).get("files", ())
    plugins = tuple(f"{folder.plugins.stem}/{note.copy_name}" for note in notes)
    for plugin in plugins:
        words += ["--plugin", plugin]
    return RunRecord(
        name=folder.path.resolve().name,
        spec=read_part(folder.spec, "", lambda data: (data.decode(), ())),
        # Unknown settings of other versions are kept, since the report lists all settings.
        recipe=read_fields(folder.recipe, _Recipe),
        result=result,
        epochs=read_part(folder.metrics, {}, lambda data: (measurements.parse_metrics(data), ())),
        confusion=read_part(folder.confusion, measurements.NONE, measurements.parse_confusion),
        command=shlex.join(["sewdsl", "train", folder.spec.name, *words]),
        energy=energy,
        license=terms.get("license", ""),
        plugins=plugins,
        wrong=wrong,
    )


State = Literal["finished", "running", "interrupted", "broken"]
MARKER_FILES = 2
"""Number of files that identify a run folder: a single name may be a coincidence."""


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run. Unknown values are None."""

    path: Path
    network: str | None = None
    data: str | None = None
    epochs: int = 0
    """Number of completed epochs."""
    planned: int | None = None
    """Number of epochs in the recipe."""
    accuracy: float | None = None
    """Fraction of correct test samples after the last epoch, or None if its target is not a class."""
    best_accuracy: float | None = None
    """The same after the best epoch."""
    parameters: int | None = None
    seconds: float | None = None
    """Wall-clock time of the training, or None for an unfinished run."""
    seed: int | None = None
    state: State = "broken"
    """``finished``, ``running`` (a process on this machine holds the lock), ``interrupted`` (unfinished, and no process
    holds the lock), or ``broken`` (a required file is missing or damaged)."""
    problem: str | None = None
    """Message about a damaged or missing file."""


def list_runs(parent: Path) -> Iterator[RunSummary]:
    """Yield the runs in a folder and subfolders by path, without links. Raise RunError if the folder is missing."""
    if not is_folder(parent):
        raise RunError(f"'{parent}' is not a folder" if is_there(parent) else f"there is no folder '{parent}'")
    for root, folders, files in os.walk(parent):
        folders.sort()
        folder = RunFolder(Path(root))
        markers = (folder.spec, folder.recipe, folder.result, folder.metrics, folder.last.parent, folder.lock)
        if sum(path.name in {*folders, *files} for path in markers) >= MARKER_FILES and not is_exported(folder.path):
            # Do not search inside a run folder.
            folders.clear()
            yield summarize_run(folder)


def summarize_run(folder: RunFolder) -> RunSummary:
    """Summarise a run in any state, including damaged ones."""
    try:
        facts = load_record(folder)
    except RunError as error:
        return RunSummary(folder.path, problem=str(error))
    result, recipe = facts.result, facts.recipe
    # Accuracies of an unfinished run. With a validation set, epochs have no test accuracy.
    accuracies = [row["test_accuracy"] for row in facts.epochs.values() if "test_accuracy" in row]
    problem = _problem(folder, facts)
    if is_running(folder):
        state: State = "running"
    elif problem:
        state = "broken"
    else:
        state = "finished" if folder.result.is_file() else "interrupted"
    return RunSummary(
        path=folder.path,
        network=result.get("network") or (facts.network.name if facts.network else None),
        data=facts.data or None,
        epochs=result.get("epochs") or len(facts.epochs),
        planned=recipe.get("epochs"),
        accuracy=result.get("accuracy", accuracies[-1] if accuracies else None) if facts.classifies else None,
        best_accuracy=result.get("best_accuracy", max(accuracies, default=None)) if facts.classifies else None,
        parameters=result.get("parameters") or (facts.network.total_parameters if facts.network else None),
        seconds=result.get("seconds"),
        seed=result.get("seed", recipe.get("seed")),
        state=state,
        problem=problem,
    )


def is_running(folder: RunFolder) -> bool:
    """Return whether a process on this machine is using a run folder."""
    try:
        with open_file(folder.lock) as file:
            # Closing the file releases the lock.
            return not try_lock(file.fileno())
    except OSError:
        return False


def _problem(folder: RunFolder, facts: RunRecord) -> str | None:
    for path, text in ((folder.spec, facts.spec), (folder.recipe, facts.recipe)):
        if path.name in facts.wrong:
            return f"{path.name} is damaged or from another version: {facts.wrong[path.name]}"
        if not text:
            return f"{path.name} is {'empty' if path.is_file() else 'missing'}"
    if folder.result.is_file():
        try:
            folder.read_result()
        except RunError as error:
            return str(error)
    elif facts.network is None:
        return f"{folder.spec.name} has errors; run 'sewdsl check' to list them"

    elif folder.metrics.name in facts.wrong:
        return f"{folder.metrics.name} is damaged: {facts.wrong[folder.metrics.name]}"
    return None
