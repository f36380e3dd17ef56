"""Kinds of folders: a run, an exported network, or neither, with a message that names what may be intended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sewdsl.compiler import shipped_networks
from sewdsl.elaborate.suggestions import nearest_name
from sewdsl.elaborate.text_files import MAX_NAMES_SCANNED
from sewdsl.paths import RUNS, is_file, is_folder, is_link, is_there

WEIGHTS = "weights.safetensors"
"""The weights, by the keys of ``sewdsl.compile(…).state_dict()``."""
EPOCH = "epoch"
"""The key in the metadata of that file under which it says whose weights they are: ``last`` or ``best``."""


def is_exported(path: Path) -> bool:
    """Return whether a network and its weights are there."""
    return is_file(path / "spec.net") and is_file(path / WEIGHTS)


MAX_RUNS_NAMED = 3
"""Runs that are named."""


def is_run(path: Path) -> bool:
    """Return whether two files of a run are there; one that was killed at once has left no recipe."""
    return is_file(path / "spec.net") and any(is_file(path / name) for name in ("recipe.json", "lock"))


def is_run_folder(target: str) -> bool:
    """Return whether a target is a folder, and not the name of a shipped network, which comes first everywhere."""
    return target not in shipped_networks() and is_folder(Path(target))


def missing_run_message(path: Path) -> str:
    """Return a sentence about a path that is not the folder of a run."""
    above = next((folder for folder in path.parents if is_run(folder)), None)
    if above is not None and is_there(path):
        return f"'{path}' lies in the folder of a run: give that, '{above}'"
    if is_folder(path):
        return _other_folder(path)
    if is_link(path) and not path.exists():
        return f"'{path}' is a link that leads nowhere"
    if is_there(path):
        makes = f": 'sewdsl train {path}' makes one" if path.suffix == ".net" else ""
        return f"'{path}' is a file, not the folder of a run{makes}"
    return f"there is no folder '{path}'{_suggestion(path)}"


def _other_folder(path: Path) -> str:
    inside = list(islice(_runs(path), MAX_RUNS_NAMED + 1))
    if not inside:
        missing = "recipe.json" if is_file(path / "spec.net") else "spec.net"
        return f"'{path}' is not the folder of a run: it holds no {missing}"
    named = ", ".join(f"'{run}'" for run in inside[:MAX_RUNS_NAMED]) + (", …" if len(inside) > MAX_RUNS_NAMED else "")
    return f"'{path}' is not the folder of a run, but holds some: {named}"


def _suggestion(path: Path) -> str:
    places = dict.fromkeys((path.parent, RUNS))
    known = {run.name: run for place in reversed(places) for run in _runs(place)}
    near = nearest_name(path.name, known)
    if near is not None:
        return f": did you mean '{known[near]}'?"
    if str(path) in shipped_networks():
        return f", but a network of that name: 'sewdsl train {path}' makes a run"
    return f"; 'sewdsl runs' lists the runs in '{RUNS}'" if RUNS.is_dir() else ""


def _runs(place: Path) -> Iterator[Path]:
    """Yield the runs that lie in a folder itself, by name."""
    with suppress(OSError):
        yield from filter(is_run, sorted(islice(place.iterdir(), MAX_NAMES_SCANNED)))
