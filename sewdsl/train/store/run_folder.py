"""Run folders: files, state, and the lock against concurrent use."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import lock_descriptor

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import PARTIAL, RUNS, explain, write_atomically
from sewdsl.train.records import Contents, RecordError, contents, parse_record
from sewdsl.train.store import result
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_lookup import is_run, missing_run_message
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel


class RunError(UserError):
    """Run that cannot start or continue."""


class RunInterrupted(RunError):
    """Run stopped by a signal. The exit code is 130 after Ctrl-C and 143 after SIGTERM, as in shells."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


class RunDiverged(RunError):
    """Run with a non-finite loss or gradient."""


class RunPruned(RunError):
    """Run stopped early by a search, because other trials were better at this point."""


class RunAlreadyEnded(RunError):
    """Finished run that was to be resumed."""


class RunInUse(RunError):
    """Run folder that another process has locked."""


class RunUnfinished(RunError):
    """Unfinished run whose results were requested."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(f"the run in '{folder.path}' is not finished")
        self.folder = folder


class RunFile:
    """Path of a file, by its components below the run folder, as an attribute of :class:`RunFolder`."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get__(self, folder: RunFolder, _: type[RunFolder]) -> Path:
        """Return the path of the file in a folder."""
        return folder.path.joinpath(*self.names)


@dataclass(frozen=True)
class RunFolder:
    """Files of a run, with the markers of a run folder last (see :data:`RUN_FILES`)."""

    path: Path

    local = RunFile("local.json")
    """Location of the dataset on this machine, unless it comes with a package. Not for publication."""
    ignored = RunFile(".gitignore")
    """Files specific to this machine, excluded by git and the Hugging Face hub."""
    card = RunFile("README.md")
    terms = RunFile("terms.json")
    """Licence (see :class:`sewdsl.train.store.run_notes.Terms`)."""
    energy = RunFile("energy.json")
    """Counted operations of the last weights."""
    processes = RunFile("processes.json")
    """Distributed strategy and device, if set."""
    plugins = RunFile("plugins.json")
    """Imported plugin files, if any. The folder ``plugins`` next to it has copies."""
    loggers = RunFile("loggers.json")
    """Loggers, if other than TensorBoard."""
    result = RunFile("result.json")
    """Results (see :class:`Result`)."""
    best = RunFile("checkpoints", "best.safetensors")
    """Weights of the epoch with the best accuracy, or of the first one if several are equal."""
    last = RunFile("checkpoints", "last.safetensors")
    previous = RunFile("checkpoints", "previous.safetensors")
    """Weights of the checkpoint before the last."""
    state = RunFile("checkpoints", "last.ckpt")
    """State of the run without its weights, which are identified by their SHA-256."""
    previous_state = RunFile("checkpoints", "previous.ckpt")
    """State of the checkpoint before the last."""
    start = RunFile("checkpoints", "start.safetensors")
    """Initial weights, unless they were random."""
    lock = RunFile("lock")
    """Lock with the ID of the process that uses the folder."""
    confusion = RunFile("confusion.json")
    """Confusion matrix of the last weights on the test samples."""
    report = RunFile("report.html")
    metrics = RunFile("metrics.csv")
    curves = RunFile("curves.png")
    """Plot of loss and accuracy over epochs."""
    diagram = RunFile("diagram.svg")
    recipe = RunFile("recipe.json")
    """Recipe with every setting in force."""
    spec = RunFile("spec.net")
    """Compiled network as a .net file, with all overrides applied."""

    def read_result(self) -> Result:
        """Read the results.

        Raises:
            RunUnfinished: If the run is not finished.
            RunError: If the folder is not a run folder, or the result cannot be read.
        """
        try:
            return result.parse_result(contents(self.result))
        except OSError:
            raise RunUnfinished(self) if is_run(self.path) else RunError(missing_run_message(self.path)) from None
        except RecordError as error:
            raise RunError(f"'{self.result}' is damaged or from another version: {error}") from None


def hide_machine(folder: RunFolder) -> None:
    """Remove the name of the machine from TensorBoard's file names, because the folder may be published.

    A process that is writing to a renamed file continues to do so.
    """
    with suppress(OSError):  # Windows cannot rename an open file, but the next call will.
        for file in [*(folder.path / "tensorboard").glob("events.out.tfevents.*")]:
            anonymous = re.sub(r"^(events\.out\.tfevents\.\d+)\..*\.(\d+\.\d+)$", r"\1.run.\2", file.name)
            if anonymous != file.name:
                file.rename(file.with_name(anonymous))


Parsed = TypeVar("Parsed")


def read_run_file(path: Path, parse: Callable[[bytes], Parsed], *, about: str = "", remedy: str = "") -> Parsed | None:
    """Read a file of a run or a study, or return None if it does not exist.

    Args:
        parse: Parser of the contents, which raises :class:`sewdsl.train.records.RecordError`.
        about: Description of the contents, for the message about a damaged file, e.g. `` (loggers)``.
        remedy: Clause at the end of this message, e.g. ``; pass --logger to replace it``.

    Raises:
        RunError: If the file cannot be read or is damaged.
    """
    try:
        return parse(contents(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"cannot read '{path}': {error.strerror}"
    except RecordError as error:
        message = f"'{path}'{about} is damaged or from another version: {error}{remedy}"
    raise RunError(message)


def read_record(path: Path, model: type[Contents], *, about: str = "", remedy: str = "") -> Contents | None:
    """Read a JSON file into a model, see :func:`read_run_file`."""
    return read_run_file(path, lambda data: parse_record(data, model), about=about, remedy=remedy)


def write_run_file(path: Path, data: bytes | str, *, keep_as: Path | None = None) -> None:
    """Write a file atomically and create its folder, see :func:`sewdsl.paths.write_atomically`.

    Args:
        data: Contents, where text is encoded in UTF-8.
        keep_as: New name for an existing file.

    Raises:
        RunError: If the file cannot be written, e.g. on a full disk. An existing file is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.encode() if isinstance(data, str) else data, keep_as=keep_as)
    except OSError as error:
        raise RunError(f"cannot write '{path}': {explain(error, path)}") from None


def write_record(path: Path, record: BaseModel) -> None:
    """Write a model to a JSON file, see :func:`write_run_file`."""
    write_run_file(path, record.model_dump_json(indent=2) + "\n")


def make_run_folder(path: Path, *, overwrite: bool = False) -> RunFolder:
    """Create a run folder at a chosen path, or remove the run in it if ``overwrite`` is set.

    Raises:
        RunError: If the folder contains other files or cannot be created, or if its run cannot be removed or is in use.
    """
    if overwrite and is_run(path):
        with run_lock(RunFolder(path)):
            clear_run_folder(RunFolder(path))
        return RunFolder(path)
    try:
        # Fails for names with bytes that are not UTF-8.
        str(path).encode()
        path.mkdir(parents=True, exist_ok=True)
        if not all(entry.name == RunFolder(path).lock.name or _is_partial(entry.name) for entry in path.iterdir()):
            hint = (
                "use --resume to resume it, or --overwrite to replace it" if is_run(path) else "choose another folder"
            )
            raise RunError(f"'{path}' already contains {'a run' if is_run(path) else 'files'}; {hint}")
    except UnicodeEncodeError:
        raise RunError(f"cannot create the folder '{path}': TensorBoard requires a name in UTF-8") from None
    except OSError as error:
        raise RunError(f"cannot create the folder '{path}': {explain(error, path)}") from None
    return RunFolder(path)


_LISTED_FILES = [file.names[0] for file in vars(RunFolder).values() if isinstance(file, RunFile)]
RUN_FILES = tuple(
    name for name in dict.fromkeys(["tensorboard", "wandb", "mlflow", "plugins", *_LISTED_FILES]) if name != "lock"
)
"""Files of a run. The last ones mark a run folder: an interrupted removal can be repeated."""


def clear_run_folder(folder: RunFolder) -> None:
    """Remove the files of a run and nothing else, except for the lock, which the caller holds.

    Raises:
        RunError: If the folder is not a run folder, or a file cannot be removed.
    """
    if not is_run(folder.path):
        raise RunError(f"'{folder.path}' is not a run folder; nothing was removed")
    try:
        for name in RUN_FILES:
            entry = folder.path / name
            # Remove a link, never its target.
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove '{error.filename}': {error.strerror}") from None


def _is_partial(name: str) -> bool:
    """Return whether a file was left by a :func:`sewdsl.paths.write_atomically` that was killed."""
    return name.startswith(".") and name.endswith(PARTIAL)


def open_group(path: Path, belongs: Callable[[str], bool], group: str) -> None:
    """Create a folder for several runs, or accept an existing folder without other files.

    Args:
        belongs: Returns whether a name belongs to the group.
        group: Description for messages: ``a repeat``, ``part of this study``.

    Raises:
        RunError: If the folder contains other files, or cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        others = [entry.name for entry in path.iterdir() if not belongs(entry.name)]
    except OSError as error:
        raise RunError(f"cannot create the folder '{path}': {explain(error, path)}") from None
    if others:
        raise RunError(f"'{path}' contains '{min(others)}', which is not {group}; choose another folder with --out")


def make_numbered(name: str) -> RunFolder:
    """Create a run folder named after the network: ``runs/mnist5k-1``, ``runs/mnist5k-2``, ….

    Raises:
        RunError: If the folder cannot be created.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
        for ordinal in count(1):
            path = RUNS / f"{stem}-{ordinal}"
            with suppress(FileExistsError):  # Another process may create it at the same time.
                path.mkdir()
                return RunFolder(path)
    except OSError as error:
        raise RunError(f"cannot create a folder in '{RUNS}': {explain(error, RUNS)}") from None
    raise AssertionError  # Unreachable: count() is infinite.


@contextmanager
def run_lock(folder: RunFolder) -> Iterator[None]:
    """Lock a run folder against other processes. The system releases the lock when the process ends.

    Partial files of a killed process are removed.

    Raises:
        RunInUse: If another process has the lock.
        RunError: If the lock cannot be created.
    """
    try:
        file = folder.lock.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"cannot write to the folder '{folder.path}': {explain(error, folder.path)}") from None
    with file:
        if not try_lock(file.fileno()):
            holder = ""
            with suppress(OSError):  # On Windows, other processes cannot read a locked file.
                file.seek(0)
                holder = file.read(20).strip()
            raise RunInUse(f"'{folder.path}' is in use by process {holder or 'unknown'}")
        os.ftruncate(file.fileno(), 0)
        with suppress(OSError):  # On a full disk, the lock works without the process ID.
            os.write(file.fileno(), f"{os.getpid()}\n".encode())
        _remove_partial_files(folder)
        yield


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, and return whether the lock succeeded."""
    # `sewdsl runs` takes the lock for a moment to detect running processes: retry.
    for wait in (0.01, 0.02, 0.04, None):
        if lock_descriptor(descriptor, blocking=False):
            return True
        if wait is not None:
            time.sleep(wait)
    return False


def _remove_partial_files(folder: RunFolder) -> None:
    """Remove partial files of a killed process, which can be as large as a checkpoint. Requires the lock."""
    for parent in (folder.path, folder.last.parent):
        with suppress(OSError):  # Remaining files are harmless.
            for entry in [*parent.iterdir()]:
                if _is_partial(entry.name) and entry.is_file():
                    entry.unlink(missing_ok=True)
