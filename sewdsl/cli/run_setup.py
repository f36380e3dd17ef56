"""What the commands that train have in common: how runs start, go on, and end before their end."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from sewdsl.allocator import keep_memory
from sewdsl.cli.files import fail
from sewdsl.cli.options import NO_LOGGER, Device, exit_with_invalid_choice, exit_with_usage_error
from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.compiler import Compilation
from sewdsl.diagnostics import SewdslError
from sewdsl.plugins import plugin_files
from sewdsl.terminal import echo
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.fit.run_weights import InitialWeights
    from sewdsl.train.store.result import Result
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.store.run_notes import LoggerName
    from sewdsl.train.training_plan import TrainingPlan


EXIT_GRACE_SECONDS = 10.0
"""Seconds in which the process that says why can do so: torchrun ends all of them when one has failed."""

_NO_MEMORY = re.compile("out of memory|allocate memory")
"""How torch says it, on a GPU and elsewhere."""


def set_up_process() -> None:
    """Set up threads and memory, before torch is imported.

    Raises:
        ModuleNotFoundError: there is no torch, as in a small install: said before anything is made.
    """
    require_packages("torch")
    from sewdsl.train.fit.processes import set_passive_waiting

    set_passive_waiting()
    keep_memory()


def require_packages(*packages: str) -> None:
    """Check that packages are installed, without importing them.

    Raises:
        ModuleNotFoundError: the first of them that is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)


def logger_names(asked: list[str] | None) -> tuple[LoggerName, ...] | None:
    """Where figures are logged, from the options; None: as before, or as usual. Says at once what cannot be.

    Raises:
        RunError: a package is missing, or a key.
    """
    if asked is None:
        return None
    from sewdsl.train.store.run_notes import LOGGERS

    words = list(dict.fromkeys(word.strip() for text in asked for word in text.split(",")))
    if words == [NO_LOGGER]:
        return ()
    for word in words:
        if word not in LOGGERS:
            if word == NO_LOGGER:
                exit_with_usage_error("--logger none cannot be combined with other loggers")
            exit_with_invalid_choice("--logger", [*LOGGERS, NO_LOGGER], word)
    names = tuple(name for name in LOGGERS if name in words)
    if set(names) & {"wandb", "mlflow"}:
        from sewdsl.train.fit.loggers import check_loggers

        check_loggers(names)
    return names


def run_options(
    processes: Processes, save_every: float, reading: Reading, loggers: tuple[LoggerName, ...] | None
) -> RunOptions:
    """How a run goes: with a progress bar, in the first process, and the callbacks of plugin files."""
    from sewdsl.train.fit.callbacks import plugin_callbacks, progress_callbacks
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import rank

    shown = progress_callbacks() if rank() == 0 else ()
    return RunOptions(shown, processes, save_every, reading=reading, callbacks=plugin_callbacks, loggers=loggers)


@contextmanager
def rank_zero_only() -> Iterator[None]:
    """Let only the first process say what all find alike; what ends one is said by the first on its machine too."""
    from sewdsl.train.fit.processes import is_first_on_machine, rank

    if rank() == 0:
        yield
        return
    said = StringIO()
    try:
        with redirect_stderr(said):
            yield
    except (typer.Exit, UserError) as end:
        if not is_first_on_machine():
            time.sleep(EXIT_GRACE_SECONDS)
            raise typer.Exit(1) from None
        echo(said.getvalue() if isinstance(end, typer.Exit) else "", err=True, end="")
        raise


@contextmanager
def run_errors(folder: Callable[[], RunFolder | None] = lambda: None, *, resuming: bool = False) -> Iterator[None]:
    """Say what is wrong, and how a run goes on that ends before its end; the exit code of a signal is a shell's.

    Args:
        folder: Of the run, once there is one.
        resuming: Whether the run was asked to go on: if that is refused, asking again is no help.
    """
    try:
        yield
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        raise typer.Exit(1) from None
    except UserError as error:
        from sewdsl.train.data.dataset import DataMismatch
        from sewdsl.train.fit.processes import rank
        from sewdsl.train.store.run_folder import RunAlreadyEnded, RunInterrupted, RunUnfinished

        if isinstance(error, RunAlreadyEnded):
            echo(str(error), err=True)
            raise typer.Exit(0) from None
        code, prefix = (error.code, "") if isinstance(error, RunInterrupted) else (1, "error: ")
        run = error.folder if isinstance(error, RunUnfinished) else folder()
        if rank() == 0 or code == 1:
            echo(f"{prefix}{error}", err=True)
        helps = isinstance(error, RunInterrupted | RunUnfinished) or not resuming
        if rank() == 0 and helps and run and not run.result.exists():
            if isinstance(error, DataMismatch):
                echo(
                    f"no checkpoint was written; change the network and train it with --out {run.path} --overwrite",
                    err=True,
                )
            else:
                _print_resume_commands(run)
        raise typer.Exit(code) from None


def probe_device(device: Device) -> Literal["cpu", "cuda"]:
    """Where a network is looked at: what is counted is counted in float64, which Apple's GPUs do not have.

    Raises:
        RunError: a GPU is asked for, and there is none.
    """
    from sewdsl.train.fit.processes import device_type

    return "cuda" if device_type(device.value) == "cuda" else "cpu"


@contextmanager
def probe_errors() -> Iterator[None]:
    """Say why a network cannot be looked at."""
    try:
        yield
    except ValueError as error:
        fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        fail("out of memory; a smaller batch needs less")


def _print_resume_commands(run: RunFolder) -> None:
    """The commands that make something of a run that has not ended: only those that would do."""
    from sewdsl.train.fit.resume_checks import CHANGEABLE_SETTING, fewest_epochs
    from sewdsl.train.store.run_lookup import is_run

    resuming = _resume_command(run)
    if not run.state.exists():
        if is_run(run.path):
            echo(f"no checkpoint yet; to start again: {resuming}", err=True)
        return
    echo(f"to resume: {resuming}", err=True)
    fewest = fewest_epochs(run)
    if fewest is not None:
        echo(f"to finish after epoch {fewest}: {resuming} --set {CHANGEABLE_SETTING}={fewest}", err=True)
    if run.best.exists():
        export = shlex.join(["sewdsl", "export", str(run.spec), "OUT", "--weights", str(run.best), *_plugin_words()])
        echo(f"to export the best weights so far: {export}", err=True)


def _resume_command(run: RunFolder) -> str:
    """The command that goes on with a run, on the same data: the folder remembers it, but the variable comes first."""
    from sewdsl.train.data.data_folders import data_folder_variable
    from sewdsl.train.store.run_folder import RunError
    from sewdsl.train.store.run_notes import read_data_path

    lay, variable = None, data_folder_variable()
    with suppress(RunError):
        lay = read_data_path(run)
    data = ["--data", str(lay)] if lay and variable and variable.absolute() != lay else []
    return shlex.join(["sewdsl", "train", "--resume", str(run.path), *data, *_plugin_words()])


def _plugin_words() -> list[str]:
    """Return the options that import again what was imported."""
    return [word for file in plugin_files() for word in ("--plugin", str(file.path))]


def make_runners(
    data: Path | None,
    how: Callable[[], RunOptions],
    announce: Callable[[TrainingPlan], None] = lambda _: None,
    begin: InitialWeights | None = None,
) -> tuple[Callable[[Compilation, TrainingPlan, RunFolder], Result], Callable[[RunFolder], Result]]:
    """What starts one of several runs, and what goes on with one.

    Args:
        how: Made separately for each run.
        begin: The weights that each starts with; None: random ones.
    """
    from sewdsl.train.fit.train_run import resume_run, start_run

    def start(compilation: Compilation, planned: TrainingPlan, folder: RunFolder) -> Result:
        announce(planned)
        return start_run(compilation, planned, folder, how(), begin)

    def go_on(folder: RunFolder) -> Result:
        echo(f"resuming {folder.path}", err=True)
        return resume_run(folder, data, None, how())

    return start, go_on
