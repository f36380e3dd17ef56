"""Shared setup of the training commands: start, resume, interrupt."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Literal

import typer

from sewdsl.allocator import keep_memory
from sewdsl.cli.files import fail
from sewdsl.cli.options import NO_LOGGER, Device, exit_with_invalid_choice, exit_with_usage_error
from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.diagnostics import SewdslError
from sewdsl.plugins import plugin_files
from sewdsl.terminal import echo
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import Processes
    from sewdsl.train.store.run_folder import RunFolder
    from sewdsl.train.store.run_notes import LoggerName


EXIT_GRACE_SECONDS = 10.0
"""Seconds for the first process to print an error: torchrun kills all processes after the first failure."""

_NO_MEMORY = re.compile("out of memory|allocate memory")
"""Messages of torch for exhausted memory, on GPUs and on CPUs."""


def set_up_process() -> None:
    """Configure threads and memory before torch is imported, or raise ModuleNotFoundError without torch."""
    # Fail before any file is written.
    require_packages("torch")
    from sewdsl.train.fit.processes import set_passive_waiting

    set_passive_waiting()
    keep_memory()


def require_packages(*packages: str) -> None:
    """Raise ModuleNotFoundError for the first package that is not installed, without importing any."""
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)


def logger_names(values: list[str] | None) -> tuple[LoggerName, ...] | None:
    """Parse ``--logger``; None selects the loggers of a resumed run, or the default.

    Raises:
        RunError: If a package or an API key is missing.
    """
    if values is None:
        return None
    from sewdsl.train.store.run_notes import LOGGERS

    words = list(dict.fromkeys(word.strip() for value in values for word in value.split(",")))
    if words == [NO_LOGGER]:
        return ()
    for word in words:
        if word not in LOGGERS:
            if word == NO_LOGGER:
                exit_with_usage_error("--logger none cannot be combined with other loggers")
            exit_with_invalid_choice("--logger", [*LOGGERS, NO_LOGGER], word)
    names = tuple(name for name in LOGGERS if name in words)
    # Services can fail: check their packages and keys before the run starts.
    if set(names) & {"wandb", "mlflow"}:
        from sewdsl.train.fit.loggers import check_loggers

        check_loggers(names)
    return names


def run_options(
    processes: Processes, save_every: float, reading: Reading, loggers: tuple[LoggerName, ...] | None
) -> RunOptions:
    """Return the options of a run, with callbacks of plugins, and a progress bar in the first process."""
    from sewdsl.train.fit.callbacks import plugin_callbacks, progress_callbacks
    from sewdsl.train.fit.lightning_loop import RunOptions
    from sewdsl.train.fit.processes import rank

    progress = progress_callbacks() if rank() == 0 else ()
    return RunOptions(progress, processes, save_every, reading=reading, callbacks=plugin_callbacks, loggers=loggers)


@contextmanager
def rank_zero_only() -> Iterator[None]:
    """Print messages in the first process only, and errors in the first process of each machine."""
    from sewdsl.train.fit.processes import is_first_on_machine, rank

    if rank() == 0:
        yield
        return
    captured_stderr = StringIO()
    try:
        with redirect_stderr(captured_stderr):
            yield
    except (typer.Exit, UserError) as error:
        # A file can be missing on one machine only, so each machine reports its errors.
        if not is_first_on_machine():
            time.sleep(EXIT_GRACE_SECONDS)
            raise typer.Exit(1) from None
        echo(captured_stderr.getvalue() if isinstance(error, typer.Exit) else "", err=True, end="")
        raise


@contextmanager
def run_errors(folder: Callable[[], RunFolder | None] = lambda: None, *, resuming: bool = False) -> Iterator[None]:
    """Print errors and the commands that resume an interrupted run, and exit.

    After a signal, the exit code is 128 plus its number, as in a shell.

    Args:
        folder: Returns the run folder, or None before it is created.
        resuming: Whether the command is ``--resume``, whose errors do not suggest to resume.
    """
    try:
        yield
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        raise typer.Exit(1) from None
    except UserError as error:
        from sewdsl.train.data.dataset import DataMismatch
        from sewdsl.train.fit.processes import rank
        from sewdsl.train.store.run_folder import RunAlreadyEnded, RunInterrupted, RunInUse, RunUnfinished

        # Resuming a finished run is not an error, so scripts can repeat the command.
        if isinstance(error, RunAlreadyEnded):
            echo(str(error), err=True)
            raise typer.Exit(0) from None
        code, prefix = (error.code, "") if isinstance(error, RunInterrupted) else (1, "error: ")
        run = error.folder if isinstance(error, RunUnfinished) else folder()
        if rank() == 0 or code == 1:
            echo(f"{prefix}{error}", err=True)
        can_resume = isinstance(error, RunInterrupted | RunUnfinished) or not resuming
        # Another process is training in the folder, so its run cannot be resumed now.
        can_resume = can_resume and not isinstance(error, RunInUse)
        if rank() == 0 and can_resume and run and not run.result.exists():
            # The network does not fit its dataset: resuming would fail again.
            if not isinstance(error, DataMismatch):
                _print_resume_commands(run)
            elif run.spec.is_file():
                echo(
                    f"no checkpoint was written; change the network and train it with --out {run.path} --overwrite",
                    err=True,
                )
        raise typer.Exit(code) from None


def probe_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return the device of a probe, or raise RunError if ``cuda`` is selected and no GPU is available."""
    from sewdsl.train.fit.processes import device_type

    # Probes count in float64, which Apple's GPUs do not support.
    return "cuda" if device_type(device) == "cuda" else "cpu"


@contextmanager
def probe_errors() -> Iterator[None]:
    """Convert errors of a probe into messages with exit code 1."""
    try:
        yield
    except ValueError as error:
        fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        fail("out of memory; a smaller batch needs less")


def _print_resume_commands(run: RunFolder) -> None:
    """Print the commands that can resume, finish or export an unfinished run."""
    from sewdsl.train.fit.resume_checks import CHANGEABLE_SETTING, fewest_epochs
    from sewdsl.train.store.run_lookup import is_run

    resume_command = _resume_command(run)
    if not run.state.exists():
        if is_run(run.path):
            echo(f"no checkpoint yet; to start again: {resume_command}", err=True)
        return
    echo(f"to resume: {resume_command}", err=True)
    fewest = fewest_epochs(run)
    if fewest is not None:
        echo(f"to finish after epoch {fewest}: {resume_command} --set {CHANGEABLE_SETTING}={fewest}", err=True)
    if run.best.exists():
        export = shlex.join(["sewdsl", "export", str(run.spec), "OUT", "--weights", str(run.best), *_plugin_words()])
        echo(f"to export the best weights so far: {export}", err=True)


def _resume_command(run: RunFolder) -> str:
    from sewdsl.train.data.data_folders import data_folder_variable
    from sewdsl.train.store.run_folder import RunError
    from sewdsl.train.store.run_notes import read_data_path

    recorded_path, variable = None, data_folder_variable()
    with suppress(RunError):
        recorded_path = read_data_path(run)
    # The environment variable takes precedence over the recorded path, and --data over both.
    use_option = recorded_path and variable and variable.absolute() != recorded_path
    data = ["--data", str(recorded_path)] if use_option else []
    return shlex.join(["sewdsl", "train", "--resume", str(run.path), *data, *_plugin_words()])


def _plugin_words() -> list[str]:
    return [word for file in plugin_files() for word in ("--plugin", str(file.path))]
