"""What the files of a run folder say, as far as they can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sewdsl.compiler import read
from sewdsl.ir.network import Network
from sewdsl.source import Source
from sewdsl.train import confusions, metrics
from sewdsl.train.finding import no_run
from sewdsl.train.folder import RunError, RunFolder
from sewdsl.train.watch.names import FIRING_RATE
from sewdsl.train.watch.population import Population

POPULATIONS = TypeAdapter(dict[str, Population])


@dataclass(frozen=True)
class Facts:
    """Everything that the page shows. What was not written, or cannot be read, is empty or None.

    Attributes:
        name: The folder's.
        spec: The network in the language.
        recipe: Every value in force, by name.
        result: The fields of ``result.json``.
        epochs: The figures of each epoch.
        confusion: Which classes the test samples are taken for.
        diagram: SVG.
    """

    name: str
    spec: str
    recipe: dict[str, Any]
    result: dict[str, Any]
    epochs: metrics.Epochs
    confusion: confusions.Confusions
    diagram: str

    @cached_property
    def network(self) -> Network | None:
        """The specification, compiled; None where it has errors."""
        compilation = read(Source("spec.net", self.spec)) if self.spec else None
        return compilation.network if compilation and compilation.valid else None

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

    @cached_property
    def populations(self) -> dict[str, Population]:
        """The neurons of each layer by how much they fire; empty where that was not counted or cannot be read."""
        try:
            return POPULATIONS.validate_python(self.result.get("neurons", {}))
        except ValidationError:
            return {}

    def rates(self, epoch: int) -> dict[str, float]:
        """Firing rates after an epoch, by layer, in order of computation."""
        found = {
            name.removeprefix(FIRING_RATE): v for name, v in self.epochs[epoch].items() if name.startswith(FIRING_RATE)
        }
        order = [node.name for node in self.network or ()]
        return {name: found[name] for name in sorted(found, key=lambda n: order.index(n) if n in order else len(order))}


def gather(folder: RunFolder) -> Facts:
    """The facts of a run.

    Raises:
        RunError: there is no folder, or no file of a run in it.
    """
    if not any(path.is_file() for path in (folder.spec, folder.recipe, folder.result)):
        raise RunError(no_run(folder.path))
    return Facts(
        name=folder.path.resolve().name,
        spec=_text(folder.spec),
        recipe=_object(folder.recipe),
        result=_object(folder.result),
        epochs=_epochs(folder.metrics),
        confusion=confusions.read(folder.confusion),
        diagram=_text(folder.diagram),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError):
        return None


def _object(path: Path) -> dict[str, Any]:
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _epochs(path: Path) -> metrics.Epochs:
    try:
        return metrics.epochs(path)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
