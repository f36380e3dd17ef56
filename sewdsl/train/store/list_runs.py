"""The runs below a folder: what each is of, how far it came, and whether somebody is still at work on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import is_folder, is_there, open_file
from sewdsl.train.store.run_folder import RunError, RunFolder, try_lock
from sewdsl.train.store.run_record import RunRecord, load_record

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
    """The runs in a folder and in those below it, by path; links are not followed.

    Raises:
        RunError: there is no such folder.
    """
    if not is_folder(parent):
        message = f"'{parent}' is not a folder" if is_there(parent) else f"there is no folder '{parent}'"
        raise RunError(message)
    for place, folders, files in os.walk(parent):
        folders.sort()
        folder = RunFolder(Path(place))
        marks = (folder.spec, folder.recipe, folder.result, folder.metrics, folder.last.parent, folder.lock)
        if sum(path.name in {*folders, *files} for path in marks) >= MARKER_FILES:
            folders.clear()
            yield summarize_run(folder)


def summarize_run(folder: RunFolder) -> RunSummary:
    """One run, whatever state its files are in."""
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
        data=result.get("data") or recipe.get("on"),
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
    """Whether a process of this machine is at work on a run."""
    try:
        with open_file(folder.lock) as file:
            return not try_lock(file.fileno())
    except OSError:
        return False


def _problem(folder: RunFolder, facts: RunRecord) -> str | None:
    for path, read in ((folder.spec, facts.spec), (folder.recipe, facts.recipe)):
        if path.name in facts.wrong:
            return f"{path.name} is damaged: {facts.wrong[path.name]}"
        if not read:
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
