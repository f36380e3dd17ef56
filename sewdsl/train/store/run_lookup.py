"""Detection of run folders and exported folders, and messages for other paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.text_files import MAX_NAMES_SCANNED
from sewdsl.paths import RUNS, is_file, is_folder, is_link, is_there
from sewdsl.syntax.suggestions import nearest_name

WEIGHTS = "weights.safetensors"
"""Weights of an exported folder, by the keys of ``sewdsl.compile(…).state_dict()``."""
EPOCH = "epoch"
"""Metadata key in that file for the epoch of the weights: ``last`` or ``best``."""


def is_exported(path: Path) -> bool:
    """Return whether a folder has an exported network with weights."""
    return is_file(path / "spec.net") and is_file(path / WEIGHTS)


MAX_RUNS_NAMED = 3
"""Maximum number of runs listed in a message."""


def is_run(path: Path) -> bool:
    """Return whether a folder has the files of a run. A run killed at its start has a lock but no recipe."""
    return is_file(path / "spec.net") and any(is_file(path / name) for name in ("recipe.json", "lock"))


def is_run_folder(target: str) -> bool:
    """Return whether a target is a folder rather than the name of a shipped network."""
    # Names of shipped networks take precedence in all commands.
    return target not in shipped_networks() and is_folder(Path(target))


def missing_run_message(path: Path) -> str:
    """Return the error message for a path that is not a run folder."""
    above = next((folder for folder in path.parents if is_run(folder)), None)
    if above is not None and is_there(path):
        return f"'{path}' is inside the run folder '{above}'; use that folder"
    if is_folder(path):
        return _describe_folder(path)
    if is_link(path) and not path.exists():
        return f"'{path}' is a broken link"
    if is_there(path):
        hint = f"; to create one, use 'sewdsl train {path}'" if path.suffix == ".net" else ""
        return f"'{path}' is a file, expected a run folder{hint}"
    return f"there is no folder '{path}'{_suggestion(path)}"


def _describe_folder(path: Path) -> str:
    runs = list(islice(_runs(path), MAX_RUNS_NAMED + 1))
    if not runs:
        missing = "recipe.json" if is_file(path / "spec.net") else "spec.net"
        return f"'{path}' is not a run folder: {missing} is missing"
    names = ", ".join(f"'{run}'" for run in runs[:MAX_RUNS_NAMED]) + (", …" if len(runs) > MAX_RUNS_NAMED else "")
    return f"'{path}' is not a run folder, but contains run folders: {names}"


def _suggestion(path: Path) -> str:
    parents = dict.fromkeys((path.parent, RUNS))
    runs = {run.name: run for parent in reversed(parents) for run in _runs(parent)}
    near = nearest_name(path.name, runs)
    if near is not None:
        return f"; did you mean '{runs[near]}'?"
    if str(path) in shipped_networks():
        return f"; to train the network of this name, use 'sewdsl train {path}'"
    return f"; 'sewdsl runs' lists the runs in '{RUNS}'" if RUNS.is_dir() else ""


def _runs(parent: Path) -> Iterator[Path]:
    """Yield the run folders directly inside a folder, by name."""
    with suppress(OSError):
        # A folder may have millions of entries.
        yield from filter(is_run, sorted(islice(parent.iterdir(), MAX_NAMES_SCANNED)))
