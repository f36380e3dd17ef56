"""The folder of a run: its files, its state, and the lock that keeps it to one process."""

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
    """A run that cannot start or go on; the message says which, and why."""


class RunInterrupted(RunError):
    """A run that was asked to stop.

    Attributes:
        code: Exit code, as a shell has it: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


class RunDiverged(RunError):
    """A run whose loss or gradients stopped being numbers."""


class RunPruned(RunError):
    """A run that a search ends early, since others had been better by then."""


class RunAlreadyEnded(RunError):
    """A run that is to go on, but has nothing left to do."""


class RunUnfinished(RunError):
    """A run that is to be looked at before it has ended."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(f"the run in '{folder.path}' has not ended")
        self.folder = folder


class RunFile:
    """Path of a file in a run folder, as an attribute of :class:`RunFolder`.

    Args:
        *names: Folders and the file below the run folder.
    """

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get__(self, folder: RunFolder, _: type[RunFolder]) -> Path:
        """Return the path of the file in a folder."""
        return folder.path.joinpath(*self.names)


@dataclass(frozen=True)
class RunFolder:
    """Where everything of one run lies; what makes a folder that of a run comes last, see :data:`RUN_FILES`."""

    path: Path

    local = RunFile("local.json")
    """Where the data lies on this machine, unless it travels with a package: no file to publish."""
    ignored = RunFile(".gitignore")
    """Names what is of this machine alone, for git and the Hugging Face hub."""
    card = RunFile("README.md")
    """The model card: what a stranger needs to know and to do."""
    terms = RunFile("terms.json")
    """What the author of the run says of its use; see :class:`sewdsl.train.store.run_notes.Terms`."""
    energy = RunFile("energy.json")
    """The operations of the last weights, counted."""
    processes = RunFile("processes.json")
    """How several processes share the work, unless in the usual way."""
    plugins = RunFile("plugins.json")
    """Which plugin files were imported, if any were; copies of them lie in a folder next to it."""
    loggers = RunFile("loggers.json")
    """Where figures are logged, unless to TensorBoard alone."""
    result = RunFile("result.json")
    """What came out; see :class:`Result`."""
    best = RunFile("checkpoints", "best.safetensors")
    """The weights of the epoch with the best accuracy; of the first of them if there are several."""
    last = RunFile("checkpoints", "last.safetensors")
    """The last weights."""
    previous = RunFile("checkpoints", "previous.safetensors")
    """The weights of the save before the last."""
    state = RunFile("checkpoints", "last.ckpt")
    """State of the run without its weights, which it names by their SHA-256."""
    previous_state = RunFile("checkpoints", "previous.ckpt")
    """The state of the save before the last."""
    start = RunFile("checkpoints", "start.safetensors")
    """The weights that it began with, unless those were random."""
    lock = RunFile("lock")
    """Says which process is at work here."""
    confusion = RunFile("confusion.json")
    """Which classes the last weights take for which, over the test samples."""
    report = RunFile("report.html")
    """Everything about the run on one page."""
    metrics = RunFile("metrics.csv")
    """The figures of each epoch, a table."""
    curves = RunFile("curves.png")
    """Loss and accuracy over the epochs, a picture."""
    diagram = RunFile("diagram.svg")
    """The network, a picture."""
    recipe = RunFile("recipe.json")
    """The recipe with every value in force."""
    spec = RunFile("spec.net")
    """The network as compiled, in the language, with every override applied."""

    def read_result(self) -> Result:
        """Read what came out.

        Raises:
            RunUnfinished: If the run has not ended.
            RunError: If it is no run, or the result cannot be read.
        """
        try:
            return result.parse_result(contents(self.result))
        except OSError:
            raise RunUnfinished(self) if is_run(self.path) else RunError(missing_run_message(self.path)) from None
        except RecordError as error:
            raise RunError(f"'{self.result}' is damaged, or of another version: {error}") from None


def hide_machine(folder: RunFolder) -> None:
    """Take the name of the machine out of those of TensorBoard's files, since the folder may be published.

    A process that still writes to one goes on with it.
    """
    with suppress(OSError):  # Windows keeps a name while a file is open: then the next call takes it
        for file in [*(folder.path / "tensorboard").glob("events.out.tfevents.*")]:
            plain = re.sub(r"^(events\.out\.tfevents\.\d+)\..*\.(\d+\.\d+)$", r"\1.run.\2", file.name)
            if plain != file.name:
                file.rename(file.with_name(plain))


Parsed = TypeVar("Parsed")


def read_run_file(path: Path, parse: Callable[[bytes], Parsed], *, about: str = "", remedy: str = "") -> Parsed | None:
    """Read a file that a run or a study has written; None if it does not exist.

    Args:
        parse: Parser of its contents, which raises :class:`sewdsl.train.records.RecordError`.
        about: Clause on its contents, for the message about a damaged file.

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
        message = f"'{path}'{about} is damaged, or of another version: {error}{remedy}"
    raise RunError(message)


def read_record(path: Path, model: type[Contents], *, about: str = "", remedy: str = "") -> Contents | None:
    """Read a JSON file into a model, see :func:`read_run_file`."""
    return read_run_file(path, lambda data: parse_record(data, model), about=about, remedy=remedy)


def write_run_file(path: Path, data: bytes | str, *, keep_as: Path | None = None) -> None:
    """Write a file at once, see :func:`sewdsl.paths.write_atomically`; its folder is made where it is missing.

    Args:
        data: Its contents; text is written in UTF-8.
        keep_as: Where to keep the old contents, if there are any.

    Raises:
        RunError: If it cannot be written, as on a full disk; the old contents stay.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.encode() if isinstance(data, str) else data, keep_as=keep_as)
    except OSError as error:
        raise RunError(f"cannot write '{path}': {explain(error, path)}") from None


def write_record(path: Path, record: BaseModel) -> None:
    """Write a model into a JSON file, see :func:`write_run_file`."""
    write_run_file(path, record.model_dump_json(indent=2) + "\n")


def make_run_folder(path: Path) -> RunFolder:
    """Make a new run folder at a place of the user's choice.

    Raises:
        RunError: If there are files already, or it cannot be made.
    """
    try:
        str(path).encode()
        path.mkdir(parents=True, exist_ok=True)
        if not all(entry.name == RunFolder(path).lock.name or _cut_short(entry.name) for entry in path.iterdir()):
            hint = "--resume goes on with it, --overwrite starts over" if is_run(path) else "choose another folder"
            raise RunError(f"'{path}' already holds {'a run' if is_run(path) else 'files'}; {hint}")
    except UnicodeEncodeError:
        message = f"cannot make the folder '{path}': its name is not UTF-8, and TensorBoard takes no other"
        raise RunError(message) from None
    except OSError as error:
        raise RunError(f"cannot make the folder '{path}': {explain(error, path)}") from None
    return RunFolder(path)


_LISTED_FILES = [file.names[0] for file in vars(RunFolder).values() if isinstance(file, RunFile)]
RUN_FILES = tuple(
    name for name in dict.fromkeys(["tensorboard", "wandb", "mlflow", "plugins", *_LISTED_FILES]) if name != "lock"
)
"""Names of what a run leaves; without the last ones, a folder is no run, and nothing else of it would be removed."""


def clear_run_folder(folder: RunFolder) -> None:
    """Remove what a run has left, and nothing else; its lock stays, which the caller holds.

    Raises:
        RunError: If the folder holds something else than a run, or it cannot be removed.
    """
    if not is_run(folder.path):
        raise RunError(f"'{folder.path}' is not the folder of a run: nothing was removed")
    try:
        for name in RUN_FILES:
            entry = folder.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove '{error.filename}': {error.strerror}") from None


def _cut_short(name: str) -> bool:
    """Return whether a name is what :func:`sewdsl.paths.write_atomically` leaves where it is killed."""
    return name.startswith(".") and name.endswith(PARTIAL)


def open_group(path: Path, belongs: Callable[[str], bool], group: str) -> None:
    """Make a folder for several runs, or accept one that holds nothing else already.

    Args:
        belongs: Whether a name in it does.
        group: What it is for, in words: ``repeat``, ``part of this study``.

    Raises:
        RunError: If it holds something else, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        strange = [entry.name for entry in path.iterdir() if not belongs(entry.name)]
    except OSError as error:
        raise RunError(f"cannot make the folder '{path}': {explain(error, path)}") from None
    if strange:
        raise RunError(f"'{path}' holds '{min(strange)}', which is no {group}; choose another folder with --out")


def make_numbered(name: str) -> RunFolder:
    """Make a new run folder named after the network: ``runs/mnist5k-1``, ``runs/mnist5k-2``, ….

    Raises:
        RunError: If it cannot be made.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = RUNS / f"{stem}-{number}"
            with suppress(FileExistsError):  # another process may be as fast
                path.mkdir()
                return RunFolder(path)
    except OSError as error:
        raise RunError(f"cannot make a folder in '{RUNS}': {explain(error, RUNS)}") from None
    raise AssertionError  # unreachable: the numbers do not end


@contextmanager
def run_lock(folder: RunFolder) -> Iterator[None]:
    """Keep other processes from writing to a run folder; a lock ends with its process, however that ends.

    What an earlier process left half-written is removed.

    Raises:
        RunError: If another process is at work there, or the lock cannot be made.
    """
    try:
        file = folder.lock.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"cannot write to the folder '{folder.path}': {error.strerror}") from None
    with file:
        if not try_lock(file.fileno()):
            holder = ""
            with suppress(OSError):  # Windows lets no other process read what is locked
                file.seek(0)
                holder = file.read(20).strip()
            raise RunError(f"'{folder.path}' is in use by process {holder or 'unknown'}")
        os.ftruncate(file.fileno(), 0)
        with suppress(OSError):  # a full disk: the lock holds without its number
            os.write(file.fileno(), f"{os.getpid()}\n".encode())
        _remove_partial_files(folder)
        yield


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return whether that worked.

    Who only looks whether a run is locked has its lock for a moment, and is waited for.
    """
    for wait in (0.01, 0.02, 0.04, None):
        if lock_descriptor(descriptor, blocking=False):
            return True
        if wait is not None:
            time.sleep(wait)
    return False


def _remove_partial_files(folder: RunFolder) -> None:
    """Remove what a killed process had begun to write, up to a checkpoint in size; the caller has the lock."""
    for place in (folder.path, folder.last.parent):
        with suppress(OSError):  # what cannot be removed does no harm
            for entry in [*place.iterdir()]:
                if _cut_short(entry.name) and entry.is_file():
                    entry.unlink(missing_ok=True)


def clear_and_lock(path: Path) -> RunFolder:
    """Return the folder of a run, of which nothing is left.

    Raises:
        RunError: If another process is at work there, it holds something else than a run, or it cannot be removed.
    """
    folder = RunFolder(path)
    with run_lock(folder):
        clear_run_folder(folder)
    return folder
