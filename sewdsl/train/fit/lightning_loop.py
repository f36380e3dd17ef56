"""Lightning's loop, set up for a recipe."""

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
from sewdsl.train.fit.processes import DeviceType, Processes, device_type, judged_precision, precision
from sewdsl.train.store.result import Population, Precision
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted
from sewdsl.train.store.run_notes import Accelerator, LoggerName
from sewdsl.train.watch import FiringRateLog, GradientNorms, NeuronRates

SAVE_INTERVAL_MINUTES = 5.0
"""From one save within an epoch to the next."""


ADVISING_LOGGERS = ("lightning.pytorch", "lightning.fabric")
HARMLESS_WARNINGS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # between Lightning and torch
    r"GPU available but not used",  # which is what --device cpu asks for
    r"Dynamo detected a call to a `functools.lru_cache`",  # what is cached here depends on the arguments alone
    r"Found \d+ module\(s\) in eval mode at the start of training",  # which are what 'freeze' names
    r"It is recommended to use `self.log\(.*sync_dist=True",  # what is logged is of all processes already
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide advice and announcements; warnings and errors pass, but for those that are known not to matter."""
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
    """How a run goes, apart from what comes out.

    Attributes:
        save_every: Minutes from one save within an epoch to the next; 0: after every step.
        before: Of a run that goes on, the precision so far; None: it begins, or has not noted it.
        callbacks: What makes callbacks of the user's own, called once for each run.
        loggers: Where figures are logged; None: where they were before, or as usual.
    """

    shown: Sequence[Callback] = ()
    processes: Processes = Processes()
    save_every: float = SAVE_INTERVAL_MINUTES
    before: Precision | None = None
    reading: Reading = Reading()
    callbacks: Callable[[], Sequence[Callback]] = tuple
    loggers: Sequence[LoggerName] | None = None


class FitResult(NamedTuple):
    """How a training ended: epochs completed, number of processes, and the device and precision of each."""

    epochs: int
    processes: int
    device: DeviceType
    precision: Precision


class WeightAverage(WeightAveraging):
    """The average of the weights and running statistics over the steps: what is judged, and kept in checkpoints.

    After each step of the optimizer it is decay times itself and 1 - decay times the weights; after the first, the
    weights. What is trained stays apart, and a run that goes on goes on with it.

    Args:
        decay: Fraction that it keeps of itself, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start the average on the device that trains."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class Judging(NamedTuple):
    """How a network is judged.

    Attributes:
        trained_in: The precision of its training, in which it is judged; None: what the recipe says, on this device.
        readers: Threads that prefetch samples; None: as many as these ask for.
    """

    accelerator: Accelerator = "auto"
    trained_in: Precision | None = None
    readers: int | None = None


class Score(NamedTuple):
    """How a network did.

    Attributes:
        top5_accuracy: The share whose class is among the five likeliest; None: there are fewer than 20.
        firing_rates: Of each layer, by the node's name; so are ``neurons``.
    """

    accuracy: float
    top5_accuracy: float | None
    firing_rates: dict[str, float]
    neurons: dict[str, Population]
    confusion: list[list[int]]


def fit_epochs(module: Classifier, parts: Parts, folder: RunFolder, options: RunOptions) -> FitResult:
    """Train a module in place for the epochs of its recipe, from the folder's last checkpoint on if there is one.

    Raises:
        RunInterrupted: If it was asked to stop.
        RunError: If it cannot go on.
    """
    recipe, checkpointer = module.recipe, RunCheckpointer(folder, 60 * options.save_every)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        own = list(options.callbacks())
        require_plain_state({type(each).__qualname__: each.state_dict() for each in own})
        with open_loggers(module, folder, options.loggers) as loggers:
            average = [] if recipe.ema is None else [WeightAverage(recipe.ema)]
            callbacks = [*average, checkpointer, FiringRateLog(), GradientNorms(), *options.shown, *own]
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
            network = module.model.network
            classes = network.nodes[network.output].output.elements
            training, judged = _batches(parts, recipe, trainer.global_rank, trainer.world_size, classes)
            module.steps = recipe.epochs * ceil(len(training) / recipe.accumulate)
            for batches in (training, judged):
                batches.readers, batches.device = options.reading.readers, trainer.strategy.root_device
            trainer.fit(module, training, judged, ckpt_path=folder.state if folder.state.exists() else None)
    except SystemExit:  # how Lightning ends on Ctrl-C before the checkpointer listens
        raise RunInterrupted(signal.SIGINT) from None
    except (RunError, DataError):
        raise
    except Exception as error:
        own_code = failed_plugin(error)
        if own_code is not None:
            raise RunError(describe_failure(own_code.path, error)) from None
        if not isinstance(error, OSError):
            raise
        raise RunError(f"cannot write '{error.filename or folder.path}': {error.strerror}") from None
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # Lightning ignores Ctrl-C from the first one on
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()  # a process that left early would take the connection from under the others
        distributed.destroy_process_group()
    if checkpointer.signal and trainer.current_epoch < recipe.epochs:
        raise RunInterrupted(checkpointer.signal)
    device = device_type(options.processes.accelerator)
    return FitResult(trainer.current_epoch, trainer.world_size, device, cast("Precision", trainer.precision))


def _batches(parts: Parts, recipe: Recipe, process: int, processes: int, classes: int = 0) -> tuple[Batches, Batches]:
    """Return what to train on, and what judges it.

    Raises:
        RunError: If a process would have nothing to train on.
    """
    judged = parts.test if parts.validation is None else parts.validation
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
    return training, Batches(judged, recipe.batch, process=process, processes=processes)


def check_devices(recipe: Recipe, processes: Processes, before: Precision | None = None) -> None:
    """Check that the devices of a run are there, and work as they are asked to, before anything is made.

    Args:
        before: See :class:`RunOptions`.

    Raises:
        RunError: If they are not, or do not.
    """
    _make_trainer(recipe, processes, before, logger=False, enable_checkpointing=False)


def _make_trainer(recipe: Recipe, processes: Processes, before: Precision | None, **options: Any) -> Trainer:
    """Return Lightning's loop; errors are those of :func:`check_devices`."""
    if recipe.ema is not None and processes.strategy == "fsdp":
        raise RunError("'ema' averages whole weights, and fsdp gives each process a part of them; take --strategy ddp")
    if processes.strategy == "fsdp" and device_type(processes.accelerator) != "cuda":
        raise RunError("--strategy fsdp requires a GPU; use --strategy ddp on processors")
    chosen = precision(recipe, device_type(processes.accelerator), before)
    try:
        return Trainer(
            **processes.options,
            precision=chosen,
            enable_model_summary=False,
            enable_progress_bar=False,
            **options,
        )
    except (ValueError, MisconfigurationException) as error:
        # Lightning explains in many sentences, of which the first says what is wrong.
        raise RunError(str(error).strip().partition(". ")[0].partition("\n")[0].replace("`", "'")) from None


class Confusion(Callback):
    """Counts the samples of a pass by their class and by the class that the network finds."""

    def __init__(self) -> None:
        self._counts: torch.Tensor | None = None

    @property
    def counts(self) -> list[list[int]]:
        """Row i, column j has how many samples of class i are taken for class j; empty before the first batch."""
        counts: list[list[int]] = [] if self._counts is None else self._counts.tolist()
        return counts

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from zero."""
        self._counts = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Samples,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch; ``outputs`` are the logits ``[N, classes]`` that the validation step returns."""
        counts = multiclass_confusion_matrix(outputs, batch[1], outputs.shape[1], validate_args=False)
        self._counts = counts if self._counts is None else self._counts + counts


def evaluate_samples(module: Classifier, samples: SampleSet, how: Judging) -> Score:
    """Show samples to a network, in evaluation mode and in one process.

    Raises:
        RunError: If a GPU is asked for, and there is none.
    """
    confusion = Confusion()
    device = device_type(how.accelerator)
    chosen = judged_precision(module.recipe, device, how.trained_in)
    trainer = Trainer(
        accelerator=how.accelerator,
        devices=1,
        plugins=None if chosen == "32-true" else MixedPrecision(chosen, device),  # its name is refused on CPUs
        callbacks=[confusion],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    rates = NeuronRates()
    batches = Batches(samples, module.recipe.batch, readers=how.readers, device=trainer.strategy.root_device)
    with rates.watch(module.model):
        trainer.validate(module, batches, verbose=False)
    network = module.model.network
    many = network.nodes[network.output].output.elements >= TOP5_CLASSES
    top5_accuracy = module.test_tally.top5_accuracy if many else None
    return Score(module.test_tally.accuracy, top5_accuracy, rates.rates, rates.populations, confusion.counts)
