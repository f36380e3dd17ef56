"""What the files of a run folder say, as far as they can be read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.compiler import read
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.energy_forms import EnergyTable
from sewdsl.paths import is_file
from sewdsl.source import Source
from sewdsl.train.records import STRICT, Positive, RecordError, Seed, Text, contents, parse_record, salvage
from sewdsl.train.store import measurements
from sewdsl.train.store.measurements import FIRING_RATE, EnergyRecord
from sewdsl.train.store.result import Population, Result
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_lookup import missing_run_message
from sewdsl.train.store.run_notes import Lay, PluginRecord, ProcessRecord
from sewdsl.train.store.terms import Terms

Found = TypeVar("Found")

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
        name: The folder's.
        spec: The network in the language.
        recipe: Every value in force, by name.
        result: The fields of ``result.json``.
        epochs: The figures of each epoch.
        confusion: Which classes the test samples are taken for.
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
        """Firing rates after an epoch, by layer, in order of computation."""
        found = {
            name.removeprefix(FIRING_RATE): v for name, v in self.epochs[epoch].items() if name.startswith(FIRING_RATE)
        }
        order = [node.name for node in self.network or ()]
        return {name: found[name] for name in sorted(found, key=lambda n: order.index(n) if n in order else len(order))}


def load_record(folder: RunFolder) -> RunRecord:
    """The facts of a run.

    Raises:
        RunError: there is no folder, or no file of a run in it.
    """
    if not any(is_file(path) for path in (folder.spec, folder.recipe, folder.result)):
        raise RunError(missing_run_message(folder.path))
    wrong: dict[str, str] = {}

    def found(path: Path, nothing: Found, parse: Callable[[bytes], tuple[Found, Sequence[str]]]) -> Found:
        """What a file says; nothing where it is missing or cannot be read."""
        try:
            said, complaints = parse(contents(path))
        except FileNotFoundError:
            return nothing
        except OSError as error:
            said, complaints = nothing, [error.strerror or type(error).__name__]
        except (RecordError, UnicodeDecodeError) as error:
            said, complaints = nothing, [str(error)]
        if complaints:
            wrong[path.name] = "; ".join(complaints[:SHOWN]) + ("; …" if len(complaints) > SHOWN else "")
        return said

    nothing: dict[str, Any] = {}
    result = found(folder.result, nothing, lambda data: salvage(data, Result))
    lay = found(folder.local, nothing, lambda data: salvage(data, Lay))
    terms = found(folder.terms, nothing, lambda data: salvage(data, Terms))
    energy = found(folder.energy, None, lambda data: (parse_record(data, EnergyRecord), ()))
    shared = found(folder.processes, nothing, lambda data: salvage(data, ProcessRecord))
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
    noted = found(folder.plugins, nothing, lambda data: salvage(data, PluginRecord)).get("files", ())
    plugins = tuple(f"{folder.plugins.stem}/{note.copy_name}" for note in noted)
    for plugin in plugins:
        words += ["--plugin", plugin]
    return RunRecord(
        name=folder.path.resolve().name,
        spec=found(folder.spec, "", lambda data: (data.decode(), ())),
        recipe=found(folder.recipe, nothing, lambda data: salvage(data, _Recipe)),
        result=result,
        epochs=found(folder.metrics, {}, lambda data: (measurements.parse_metrics(data), ())),
        confusion=found(folder.confusion, measurements.NONE, measurements.parse_confusion),
        command=shlex.join(["sewdsl", "train", folder.spec.name, *words]),
        energy=energy,
        license=terms.get("license", ""),
        plugins=plugins,
        wrong=wrong,
    )
