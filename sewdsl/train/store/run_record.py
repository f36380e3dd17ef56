"""What the files of a run folder say, as far as they can be read, and the runs below a folder at a glance."""

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
from sewdsl.train.store.run_lookup import missing_run_message
from sewdsl.train.store.run_notes import Lay, PluginRecord, ProcessRecord, Terms

Part = TypeVar("Part")

SHOWN = 3
"""Complaints about one file that are listed."""


class _Recipe(BaseModel):
    """The contents of ``recipe.json``, as far as anything but their text is used."""

    model_config = ConfigDict(**{**STRICT, "extra": "allow"})

    on: Text
    epochs: Positive
    seed: Seed
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    freeze: list[Text] = []
    lr: list[list[Text | float]] = []
    augment: list[Text] = []
    mean: list[float] | None = None
    std: list[float] | None = None


@dataclass(frozen=True)
class RunRecord:
    """Everything that the page shows. What was not written, or cannot be read, is empty or None.

    Attributes:
        spec: The network in the language.
        recipe: Every value in force, by name.
        command: What does the same again, in the folder of the run.
        energy: The operations of the last weights; None: they were not counted.
        license: Under which it may be used, by the Hugging Face hub's identifiers; empty: nothing was said.
        plugins: Copies of the files of code that the run was made with, in its folder.
        wrong: What is wrong with a file, by the file's name; what it concerns is left out above.
        refused: Why ``sewdsl eval`` refuses a file, by the file's name; empty without that check.
    """

    name: str
    spec: str
    recipe: dict[str, Any]
    result: dict[str, Any]
    epochs: measurements.Epochs
    confusion: measurements.ConfusionFile
    command: str
    energy: EnergyRecord | None = None
    license: str = ""
    plugins: tuple[str, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def network(self) -> Network | None:
        """The specification, compiled; None where it has errors."""
        compilation = read(Source("spec.net", self.spec)) if self.spec else None
        return compilation.network if compilation and compilation.valid else None

    @cached_property
    def energy_table(self) -> EnergyTable | None:
        """The energy of one sample; None where operations were not counted, or not of this network."""
        return self.energy.table(self.network) if self.energy and self.network else None

    @property
    def spec_refused(self) -> bool:
        """Whether the network cannot be trained again: its text is missing or has errors."""
        return "spec.net" in self.refused

    @property
    def title(self) -> str:
        """The network's name."""
        return str(self.result.get("network") or (self.network.name if self.network else self.name))

    @property
    def data(self) -> str:
        """The dataset's name; empty where it is not known."""
        return str(self.result.get("data") or self.recipe.get("on") or "")

    @property
    def firing_rates(self) -> dict[str, float]:
        """By layer: over the test samples, or where the run did not end, in its last epoch."""
        if self.result.get("firing_rates"):
            return dict(self.result["firing_rates"])
        rows = [self.rates(epoch) for epoch in self.epochs]
        return next((row for row in reversed(rows) if row), {})

    @property
    def populations(self) -> dict[str, Population]:
        """The neurons of each layer by how much they fire; empty where that was not counted or cannot be read."""
        return dict(self.result.get("neurons", {}))

    def rates(self, epoch: int) -> dict[str, float]:
        """Return firing rates after an epoch, by layer, in order of computation."""
        rates = {
            name.removeprefix(FIRING_RATE): v for name, v in self.epochs[epoch].items() if name.startswith(FIRING_RATE)
        }
        order = [node.name for node in self.network or ()]
        return {name: rates[name] for name in sorted(rates, key=lambda n: order.index(n) if n in order else len(order))}


def load_record(folder: RunFolder) -> RunRecord:
    """Read the facts of a run.

    Raises:
        RunError: If there is no folder, or no file of a run in it.
    """
    if not any(is_file(path) for path in (folder.spec, folder.recipe, folder.result)):
        raise RunError(missing_run_message(folder.path))
    wrong: dict[str, str] = {}

    def read_part(path: Path, nothing: Part, parse: Callable[[bytes], tuple[Part, Sequence[str]]]) -> Part:
        """Read what a file says; nothing where it is missing or cannot be read."""
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

    result, lay = read_fields(folder.result, Result), read_fields(folder.local, Lay)
    terms = read_fields(folder.terms, Terms)
    energy = read_part(folder.energy, None, lambda data: (parse_record(data, EnergyRecord), ()))
    shared = read_fields(folder.processes, ProcessRecord)
    start = folder.start.relative_to(folder.path) if folder.start.is_file() else None
    options = {
        "--data": "DIR" if lay else None,  # where it lies is of one machine
        "--weights": start,
        "--devices": result["processes"] if result.get("processes", 1) > 1 else None,
        "--strategy": shared.get("strategy"),
        "--device": shared.get("accelerator"),
        "--out": "RUN" if result.get("processes", 1) > 1 else None,
    }
    words = [str(word) for option, value in options.items() if value is not None for word in (option, value)]
    noted = read_fields(folder.plugins, PluginRecord).get("files", ())
    plugins = tuple(f"{folder.plugins.stem}/{note.copy_name}" for note in noted)
    for plugin in plugins:
        words += ["--plugin", plugin]
    return RunRecord(
        name=folder.path.resolve().name,
        spec=read_part(folder.spec, "", lambda data: (data.decode(), ())),
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
"""Files of a run by which a folder is known as one: a single name may be there by chance."""


@dataclass(frozen=True)
class RunSummary:
    """A run at a glance. What is not known is None.

    Attributes:
        epochs: Epochs completed.
        planned: Epochs of the recipe.
        accuracy: Share of the test samples, after the last epoch.
        best_accuracy: The same after the best epoch.
        seconds: Wall-clock time of the training; None before it has ended.
        state: ``finished``; ``running``: a process on this machine holds the folder; ``interrupted``: none does, and it
            has not ended; ``broken``: a file that is needed is missing or damaged.
    """

    path: Path
    network: str | None = None
    data: str | None = None
    epochs: int = 0
    planned: int | None = None
    accuracy: float | None = None
    best_accuracy: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    seed: int | None = None
    state: State = "broken"
    problem: str | None = None


def list_runs(parent: Path) -> Iterator[RunSummary]:
    """Yield the runs in a folder and in those below it, by path; links are not followed.

    Raises:
        RunError: If there is no such folder.
    """
    if not is_folder(parent):
        raise RunError(f"'{parent}' is not a folder" if is_there(parent) else f"there is no folder '{parent}'")
    for place, folders, files in os.walk(parent):
        folders.sort()
        folder = RunFolder(Path(place))
        marks = (folder.spec, folder.recipe, folder.result, folder.metrics, folder.last.parent, folder.lock)
        if sum(path.name in {*folders, *files} for path in marks) >= MARKER_FILES:
            folders.clear()
            yield summarize_run(folder)


def summarize_run(folder: RunFolder) -> RunSummary:
    """Summarise one run, whatever state its files are in."""
    try:
        facts = load_record(folder)
    except RunError as error:
        return RunSummary(folder.path, problem=str(error))
    result, recipe = facts.result, facts.recipe
    # of a run that did not end; none where a validation part was judged instead of the test samples
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
        accuracy=result.get("accuracy", accuracies[-1] if accuracies else None),
        best_accuracy=result.get("best_accuracy", max(accuracies, default=None)),
        parameters=result.get("parameters") or (facts.network.total_parameters if facts.network else None),
        seconds=result.get("seconds"),
        seed=result.get("seed", recipe.get("seed")),
        state=state,
        problem=problem,
    )


def is_running(folder: RunFolder) -> bool:
    """Return whether a process of this machine is at work on a run."""
    try:
        with open_file(folder.lock) as file:
            return not try_lock(file.fileno())
    except OSError:
        return False


def _problem(folder: RunFolder, facts: RunRecord) -> str | None:
    for path, text in ((folder.spec, facts.spec), (folder.recipe, facts.recipe)):
        if path.name in facts.wrong:
            return f"{path.name} is damaged, or of another version: {facts.wrong[path.name]}"
        if not text:
            return f"{path.name} is {'damaged: it is empty' if path.is_file() else 'missing'}"
    if folder.result.is_file():
        try:
            folder.read_result()
        except RunError as error:
            return str(error)
    elif facts.network is None:
        return f"{folder.spec.name} has errors: 'sewdsl check' lists them"
    elif folder.metrics.name in facts.wrong:
        return f"{folder.metrics.name} is damaged: {facts.wrong[folder.metrics.name]}"
    return None
