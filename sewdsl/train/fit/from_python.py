"""Training and evaluation from Python, with custom callbacks, neurons or datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

from lightning.pytorch import Callback

from sewdsl.compiler import Options, read, trained_networks
from sewdsl.compiler import compile as compile_network
from sewdsl.lower import SpikingNetwork
from sewdsl.paths import is_folder
from sewdsl.train.data.dataset import DataSet, Reading
from sewdsl.train.fit.callbacks import plugin_callbacks, progress_callbacks
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.execution import tf32_allowed
from sewdsl.train.fit.lightning_loop import EvaluationOptions, RunOptions, evaluate_samples, quiet_lightning
from sewdsl.train.fit.load_run import load_model, load_spec
from sewdsl.train.fit.loggers import check_loggers
from sewdsl.train.fit.processes import Processes, device_type
from sewdsl.train.fit.train_run import resume_run, start_run
from sewdsl.train.store.result import Precision, Result
from sewdsl.train.store.run_folder import RunError, RunFolder, make_numbered, make_run_folder
from sewdsl.train.store.run_notes import Accelerator, LoggerName, find_inputs, plan_resumed_run
from sewdsl.train.training_plan import dataset_of, plan_training


class TrainedRun(NamedTuple):
    """Finished run."""

    folder: Path
    result: Result
    """Results, e.g. ``.accuracy`` and ``.best_accuracy`` in [0, 1], and ``.firing_rates``."""


def train_network(
    spec: str | Path,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] | None = None,
    device: Accelerator = "auto",
    progress_bar: bool = True,
    **options: Unpack[Options],
) -> TrainedRun:
    """Train the network of a spec with its recipe, in this process, and write a run folder.

    Args:
        spec: Path, name of a shipped network, or layer string.
        out: New run folder. The default is ``runs/NAME-N``.
        overwrite: Whether to replace an existing run in ``out``, without removing other files.
        data: Dataset folder, or folder of several datasets. The default is the environment variable ``SEWDSL_DATA``.
        callbacks: Lightning callbacks, called after those of sewdsl and of plugin files.
        loggers: Any of ``tensorboard``, ``wandb`` and ``mlflow``. The default is TensorBoard.
        device: Device to run on (``auto`` selects a GPU if available).
        progress_bar: Whether to print a line per epoch, and a progress bar on a terminal.
        **options: See :class:`sewdsl.Options`, e.g. ``set={"train.epochs": "3", "train.on": "digits"}``.

    Raises:
        SewdslError: If the spec has errors, has no recipe, or does not fit its dataset.
        DataError: If the data is missing or damaged.
        RunError: If the folder is not empty, a logger cannot be opened, or the training fails.
    """
    compilation = read(spec, **options)
    planned = plan_training(compilation, None if data is None else Path(data))
    # Check everything before the run folder is created.
    find_inputs(planned)
    check_loggers(loggers or ())
    device_type(device)
    run_options = _run_options(callbacks, loggers, device, progress_bar=progress_bar)
    folder = make_numbered(planned.network.name) if out is None else make_run_folder(Path(out), overwrite=overwrite)
    return TrainedRun(folder.path, start_run(compilation, planned, folder, run_options))


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
    """Resume an unfinished run, or extend a finished run by further epochs.

    Args:
        epochs: Total number of epochs. The default is that of the recipe.
        data: Dataset folder. The default is the environment variable ``SEWDSL_DATA``, or the recorded folder.
        callbacks: The same callbacks in the same order as before. Their states are restored.
        loggers: Loggers. The default are those of the run so far.

    Raises:
        RunAlreadyEnded: If the run is finished.
        RunError: If the folder cannot be used, or its plugin files were not imported.
        DataError, SewdslError: As in :func:`train_network`.
    """
    folder, changes = RunFolder(Path(run)), {} if epochs is None else {"train.epochs": str(epochs)}
    options = _run_options(callbacks, loggers, device, progress_bar=progress_bar)
    return TrainedRun(folder.path, resume_run(folder, None if data is None else Path(data), changes, options))


def _run_options(
    callbacks: Sequence[Callback], loggers: Sequence[LoggerName] | None, device: Accelerator, *, progress_bar: bool
) -> RunOptions:
    progress = progress_callbacks() if progress_bar else ()
    processes = Processes(accelerator=device)
    for each in callbacks:
        if not isinstance(each, Callback):
            raise RunError(f"callbacks: expected lightning.pytorch.Callback objects, got {each!r}")
    return RunOptions(progress, processes, callbacks=lambda: [*plugin_callbacks(), *callbacks], loggers=loggers)


class Evaluation(NamedTuple):
    """Results on all test samples."""

    data: str
    """Name of the dataset."""
    samples: int
    """Number of its test samples."""
    accuracy: float
    """Fraction of correct samples."""
    top5_accuracy: float | None
    """Fraction of samples whose class is among the five largest logits, or None below 20 classes."""
    firing_rates: dict[str, float]
    """Spikes per neuron, sample and time-step, by layer."""
    confusion: list[list[int]]
    """Row i, column j: samples of class i that are classified as j."""
    loss: float | None = None
    """Loss of the main output if its target is not a class, otherwise None. The accuracy is 0 then."""


def evaluate(
    trained: str | Path | SpikingNetwork,
    data: str | Path | None = None,
    *,
    best: bool = False,
    device: Accelerator = "auto",
    reading: Reading = Reading(),
) -> Evaluation:
    """Evaluate a trained network on the test samples of the dataset in its recipe.

    Args:
        trained: A run folder or an exported one, the name of a shipped network with trained weights, or a module of
            :func:`sewdsl.compile` whose network has a recipe. A module keeps its mode.
        data: Dataset folder. The default is the environment variable ``SEWDSL_DATA``, or the recorded folder of a run.
        best: Whether to use the weights of the best epoch instead of the last.
        device: Device to run on (``auto`` selects a GPU if available).
        reading: Number of prefetching threads, and memory for samples.

    Raises:
        RunError: If the folder has no finished run or a damaged file, or the device is missing.
        DataError: If the dataset is missing or damaged.
        SewdslError: If the network has errors.
        ValueError: If a module's network has no recipe.
    """
    folder = None if data is None else Path(data)
    if isinstance(trained, SpikingNetwork):
        mode = trained.training
        try:
            return _evaluate(trained, dataset_of(trained.network, folder), device, None, reading)
        finally:
            trained.train(mode)
    name = str(trained)
    # A folder takes precedence over a shipped network of the same name.
    if name in trained_networks() and not is_folder(Path(name)):
        _, recipe, dataset = plan_training(read(name), folder)
        model = compile_network(name, weights="trained", optimize=recipe.optimize)
        return _evaluate(model, dataset, device, None, reading)
    run = RunFolder(Path(trained))
    model = load_model(run, best=best)
    precision = run.read_result().precision if run.result.exists() else None
    return _evaluate(model, plan_resumed_run(load_spec(run), run, folder).data, device, precision, reading)


def _evaluate(
    model: SpikingNetwork, data: DataSet, device: Accelerator, precision: Precision | None, reading: Reading
) -> Evaluation:
    device_type(device)  # Fail before loading samples if the device is missing.

    recipe = model.network.recipe
    assert recipe is not None  # noqa: S101 -- the dataset comes from it
    data.read_by(reading)
    samples = data.load().test
    with quiet_lightning(), tf32_allowed(recipe.tf32):
        score = evaluate_samples(
            Classifier(model, recipe), samples, EvaluationOptions(device, precision, reading.readers)
        )
    return Evaluation(
        data.name, len(samples.y), score.accuracy, score.top5_accuracy, score.firing_rates, score.confusion, score.loss
    )
