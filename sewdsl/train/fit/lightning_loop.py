"""Lightning's training and evaluation loop, configured for a recipe."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any, NamedTuple, cast

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.plugins import MixedPrecision
from torch import distributed
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torchmetrics.functional.classification import multiclass_confusion_matrix

from sewdsl.ir.recipe import Recipe
from sewdsl.plugins import describe_failure, failed_plugin
from sewdsl.train.data.augmentation import Augmentation
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DataError, Reading, Samples, SampleSet
from sewdsl.train.data.split import Parts
from sewdsl.train.fit.checkpoints import AtomicCheckpointIO, RunCheckpointer, require_plain_state
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.loggers import open_loggers
from sewdsl.train.fit.loss_and_accuracy import TOP5_CLASSES
from sewdsl.train.fit.processes import DeviceType, Processes, device_type, evaluation_precision, precision
from sewdsl.train.store.result import Population, Precision
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted
from sewdsl.train.store.run_notes import Accelerator, LoggerName
from sewdsl.train.watch import FiringRateLog, FiringRates, GradientNorms

SAVE_INTERVAL_MINUTES = 5.0
"""Default interval between checkpoints within an epoch."""


ADVISING_LOGGERS = ("lightning.pytorch", "lightning.fabric")
HARMLESS_WARNINGS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's use of PyTorch
    r"GPU available but not used",  # the purpose of --device cpu
    r"Dynamo detected a call to a `functools.lru_cache`",  # our cached functions depend only on their arguments
    r"Found \d+ module\(s\) in eval mode at the start of training",  # the purpose of 'freeze'
    r"It is recommended to use `self.log\(.*sync_dist=True",  # the logged values are already reduced
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advice, announcements and harmless warnings, but no other warnings and errors."""
    levels = {name: logging.getLogger(name).level for name in ADVISING_LOGGERS}
    for name in ADVISING_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in HARMLESS_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class RunOptions(NamedTuple):
    """Options of a run that do not change its results."""

    shown: Sequence[Callback] = ()
    """Callbacks that show the progress."""
    processes: Processes = Processes()
    save_every: float = SAVE_INTERVAL_MINUTES
    """Minutes between checkpoints within an epoch (0 saves after every step)."""
    before: Precision | None = None
    """Precision of a resumed run, or None for a new run, or if it was not recorded."""
    reading: Reading = Reading()
    callbacks: Callable[[], Sequence[Callback]] = tuple
    """Function that creates the user's callbacks, called once per run."""
    loggers: Sequence[LoggerName] | None = None
    """Loggers of the metrics, or None for those of the run so far, or the default."""


class FitResult(NamedTuple):
    """Result of a training: number of epochs and processes, device and precision."""

    epochs: int
    processes: int
    device: DeviceType
    precision: Precision


class WeightAverage(WeightAveraging):
    """Exponential moving average of the weights and running statistics, used for evaluation and saved weights.

    The average starts with the weights after the first optimizer step. After each further step, it becomes decay times
    the average plus 1 - decay times the weights. The trained weights are saved separately to resume a run.

    Args:
        decay: Decay of the average, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        average_floats = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

        def update(averages: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor) -> None:
            # Counters, such as num_batches_tracked, are no weights. The tensors of a call have one dtype.
            if averages[0].is_floating_point():
                average_floats(averages, current, steps)
            else:
                torch._foreach_copy_(averages, current)

        super().__init__(multi_avg_fn=update)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average on the training device."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class EvaluationOptions(NamedTuple):
    """Options of an evaluation."""

    accelerator: Accelerator = "auto"
    trained_in: Precision | None = None
    """Precision of the training, also used for the evaluation. None takes that of the recipe on this device."""
    readers: int | None = None
    """Number of prefetching threads. None takes the number of the dataset."""


class Score(NamedTuple):
    """Results of an evaluation."""

    accuracy: float
    top5_accuracy: float | None
    """Fraction of samples with their class among the five largest logits, or None below 20 classes."""
    firing_rates: dict[str, float]
    """Firing rate of each layer, by node name."""
    neurons: dict[str, Population]
    """Neurons of each layer by firing rate, by node name."""
    confusion: list[list[int]]
    """Row i, column j: number of samples of class i that are classified as j."""
    accuracies: dict[str, float]
    """Fraction of correct samples for each further output that is trained to output the class."""
    loss: float | None = None
    """Loss of the main output if its target is not a class, otherwise None. The accuracy is 0 then."""


def fit_epochs(module: Classifier, parts: Parts, folder: RunFolder, options: RunOptions) -> FitResult:
    """Train a module in place for the epochs of the recipe, from the last checkpoint of the folder, if any.

    Raises:
        RunInterrupted: If a signal stopped the training.
        RunError: If the training cannot continue.
    """
    recipe, checkpointer = module.recipe, RunCheckpointer(folder, 60 * options.save_every)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        own_callbacks = list(options.callbacks())
        # Fail before the training, rather than at the first checkpoint.
        require_plain_state({type(each).__qualname__: each.state_dict() for each in own_callbacks})
        with open_loggers(module, folder, options.loggers) as loggers:
            average = [] if recipe.ema is None else [WeightAverage(recipe.ema)]
            callbacks = [*average, checkpointer, FiringRateLog(), GradientNorms(), *options.shown, *own_callbacks]
            trainer = _make_trainer(
                recipe,
                options.processes,
                options.before,
                max_epochs=recipe.epochs,
                accumulate_grad_batches=recipe.accumulate,
                gradient_clip_val=recipe.clip,
                callbacks=callbacks,
                logger=loggers,
                default_root_dir=folder.path,
                plugins=AtomicCheckpointIO(folder),
                log_every_n_steps=1,
                num_sanity_val_steps=0,
            )
            network = module.network
            classes = network.nodes[network.main_output].output.elements
            training, evaluation = _batches(parts, recipe, trainer.global_rank, trainer.world_size, classes)
            module.steps = recipe.epochs * ceil(len(training) / recipe.accumulate)
            for batches in (training, evaluation):
                batches.readers, batches.device = options.reading.readers, trainer.strategy.root_device
            trainer.fit(module, training, evaluation, ckpt_path=folder.state if folder.state.exists() else None)
    except SystemExit:  # Lightning's response to Ctrl-C before the signal handlers are installed.
        raise RunInterrupted(signal.SIGINT) from None
    except (RunError, DataError):
        raise
    except Exception as error:
        plugin = failed_plugin(error)
        if plugin is not None:
            raise RunError(describe_failure(plugin.path, error)) from None
        if not isinstance(error, OSError):
            raise
        raise RunError(f"cannot write '{error.filename or folder.path}': {error.strerror}") from None
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # Lightning ignores further Ctrl-C after the first one.
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()  # A process that exits early would close the connection of the others.
        distributed.destroy_process_group()
    if checkpointer.signal and trainer.current_epoch < recipe.epochs:
        raise RunInterrupted(checkpointer.signal)
    device = device_type(options.processes.accelerator)
    return FitResult(trainer.current_epoch, trainer.world_size, device, cast("Precision", trainer.precision))


def _batches(parts: Parts, recipe: Recipe, process: int, processes: int, classes: int = 0) -> tuple[Batches, Batches]:
    """Return the training and evaluation batches, or raise RunError for a process without training samples."""
    evaluation = parts.test if parts.validation is None else parts.validation
    training = Batches(
        parts.train,
        recipe.batch,
        recipe.seed,
        process=process,
        processes=processes,
        augmentation=Augmentation(transforms=recipe.augment),
        classes=classes,
    )
    if not len(training):
        raise RunError(f"{len(parts.train.y)} training samples are too few for {processes} processes")
    return training, Batches(evaluation, recipe.batch, process=process, processes=processes)


def check_devices(recipe: Recipe, processes: Processes, before: Precision | None = None) -> None:
    """Check that the devices exist and support the recipe, before any files are created.

    Args:
        before: See :class:`RunOptions`.

    Raises:
        RunError: If a device is missing or does not support the recipe.
    """
    _make_trainer(recipe, processes, before, logger=False, enable_checkpointing=False)


def _make_trainer(recipe: Recipe, processes: Processes, before: Precision | None, **options: Any) -> Trainer:
    """Create Lightning's trainer (raises as :func:`check_devices` does)."""
    for key in ("ema", "quantize"):
        if getattr(recipe, key) is not None and processes.strategy == "fsdp":
            raise RunError(
                f"'{key}' cannot be combined with --strategy fsdp, which shards the weights; use --strategy ddp"
            )
    if processes.strategy == "fsdp" and device_type(processes.accelerator) != "cuda":
        raise RunError("--strategy fsdp requires a GPU; use --strategy ddp on a CPU")
    run_precision = precision(recipe, device_type(processes.accelerator), before)
    try:
        return Trainer(
            **processes.options,
            precision=run_precision,
            enable_model_summary=False,
            enable_progress_bar=False,
            **options,
        )
    except (ValueError, MisconfigurationException) as error:
        # Lightning's messages have many sentences, of which the first names the problem.
        raise RunError(str(error).strip().partition(". ")[0].partition("\n")[0].replace("`", "'")) from None


class Confusion(Callback):
    """Confusion matrix of an evaluation.

    Attributes:
        counts: Row i, column j: number of samples of class i classified as j. None before the first batch.
    """

    counts: torch.Tensor | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Samples,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch. The validation step returns its logits ``[N, classes]`` as ``outputs``."""
        counts = multiclass_confusion_matrix(outputs, batch[1], outputs.shape[1], validate_args=False)
        self.counts = counts if self.counts is None else self.counts + counts


def evaluate_samples(module: Classifier, samples: SampleSet, how: EvaluationOptions) -> Score:
    """Evaluate a network on samples, in evaluation mode and in one process.

    Raises:
        RunError: If a GPU is requested but not available.
    """
    confusion = Confusion()
    # A matrix of all tokens would be large.
    callbacks: list[Callback] = [] if module.recipe.terms[0].loss.target else [confusion]
    device = device_type(how.accelerator)
    run_precision = evaluation_precision(module.recipe, device, how.trained_in)
    trainer = Trainer(
        accelerator=how.accelerator,
        devices=1,
        # Lightning rejects the name of 16-bit precision on CPUs, but not the plugin.
        plugins=None if run_precision == "32-true" else MixedPrecision(run_precision, device),
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    rates = FiringRates()
    batches = Batches(samples, module.recipe.batch, readers=how.readers, device=trainer.strategy.root_device)
    with rates.watch(module.model):
        trainer.validate(module, batches, verbose=False)
    network = module.network
    has_top5 = module.classifies and network.nodes[network.main_output].output.channels >= TOP5_CLASSES
    top5_accuracy = module.test_tally.top5_accuracy if has_top5 else None
    accuracies = {name: tally.accuracy for name, tally in module.others.items()}
    return Score(
        module.test_tally.accuracy,
        top5_accuracy,
        rates.rates,
        rates.populations,
        [] if confusion.counts is None else confusion.counts.tolist(),
        accuracies,
        None if module.classifies else module.test_tally.loss,
    )
