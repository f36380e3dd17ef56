"""What ``sewdsl train`` does, as functions: for scripts with callbacks, neurons or data sets of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Unpack

from sewdsl.compiler import Options, read
from sewdsl.train.fit import progress
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.loggers import check_loggers
from sewdsl.train.fit.own_callbacks import plugin_callbacks
from sewdsl.train.fit.processes import Processes
from sewdsl.train.fit.train_run import resume_run, start_run
from sewdsl.train.store.result import Result
from sewdsl.train.store.run_folder import RunFolder, make_numbered, make_run_folder
from sewdsl.train.store.run_notes import Accelerator, LoggerName
from sewdsl.train.training_plan import plan_training

if TYPE_CHECKING:
    from lightning.pytorch import Callback


class TrainedRun(NamedTuple):
    """A training that has ended.

    Attributes:
        folder: Where everything about it lies.
        result: What came out: ``.accuracy`` and ``.best_accuracy`` in [0, 1], ``.firing_rates`` and more.
    """

    folder: Path
    result: Result


def train_network(
    spec: str | Path,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] | None = None,
    device: Accelerator = "auto",
    progress_bar: bool = True,
    **options: Unpack[Options],
) -> TrainedRun:
    """Trains the network of a spec as its recipe says, in this process, and keeps everything in a folder.

    Args:
        spec: A path, the name of a shipped network, or a compact string.
        out: A new folder for the run; None: ``runs/NAME-N``.
        data: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says.
        callbacks: Lightning's, called after sewdsl's own and those of plugin files.
        loggers: Of ``tensorboard``, ``wandb`` and ``mlflow``; None: TensorBoard alone.
        device: What it runs on; ``auto``: a GPU if there is one.
        progress_bar: Whether lines about each epoch, and on a terminal a bar, are printed.
        **options: See :class:`sewdsl.Options`: ``set={"train.epochs": "3", "train.on": "digits"}``.

    Raises:
        SewdslError: the spec has errors or no recipe, or does not fit its data.
        DataError: the data is missing or damaged.
        RunError: the folder holds something already, a logger cannot be opened, or the training cannot go on.
    """
    compilation = read(spec, **options)
    planned = plan_training(compilation, None if data is None else Path(data))
    planned.data.find()
    check_loggers(loggers or ())
    folder = make_numbered(planned.network.name) if out is None else make_run_folder(Path(out))
    way = _way(callbacks, loggers, device, progress_bar=progress_bar)
    return TrainedRun(folder.path, start_run(compilation, planned, folder, way))


def resume_training(
    run: str | Path,
    *,
    epochs: int | None = None,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] | None = None,
    device: Accelerator = "auto",
    progress_bar: bool = True,
) -> TrainedRun:
    """Goes on with a run that did not end, or for more epochs with one that did.

    Args:
        epochs: How many there are to be in all; None: as many as the recipe says.
        data: Where the data lies; None: where the environment variable says, or where it lay.
        callbacks: The same as before, in the same order: each gets its state back.
        loggers: None: those of before.
        device: As for :func:`train_network`.
        progress_bar: As for :func:`train_network`.

    Raises:
        RunAlreadyEnded: nothing is left to do.
        RunError: what is in the folder cannot be used, or its plugin files were not imported.
        DataError, SewdslError: as for :func:`train_network`.
    """
    folder, changes = RunFolder(Path(run)), {} if epochs is None else {"train.epochs": str(epochs)}
    way = _way(callbacks, loggers, device, progress_bar=progress_bar)
    return TrainedRun(folder.path, resume_run(folder, None if data is None else Path(data), changes, way))


def _way(
    callbacks: Sequence[Callback], loggers: Sequence[LoggerName] | None, device: Accelerator, *, progress_bar: bool
) -> RunOptions:
    """How a run goes."""
    shown = progress.callbacks() if progress_bar else ()
    return RunOptions(
        shown,
        Processes(accelerator=device),
        callbacks=lambda: [*plugin_callbacks(), *callbacks],
        loggers=loggers,
    )
