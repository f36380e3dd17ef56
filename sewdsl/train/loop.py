"""Lightning's loop, set up for a recipe."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from time import perf_counter
from typing import Literal, NamedTuple

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from sewdsl.ir.recipe import Recipe
from sewdsl.train.classifier import Classifier
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import SampleSet, Splits
from sewdsl.train.folder import RunFolder
from sewdsl.train.rates import FiringRates
from sewdsl.train.watch.confusion import Confusion
from sewdsl.train.watch.firing import FiringRateLog
from sewdsl.train.watch.gradients import GradientNorms


class Fitted(NamedTuple):
    """How a training ended: epochs completed, wall-clock seconds, and whether it was interrupted."""

    epochs: int
    seconds: float
    interrupted: bool


class Score(NamedTuple):
    """How a network did: the share of right answers, the firing rates by the neuron's name, and what it confuses."""

    accuracy: float
    firing_rates: dict[str, float]
    confusion: list[list[int]]


def fit(module: Classifier, splits: Splits, folder: RunFolder, shown: Sequence[Callback] = ()) -> Fitted:
    """Trains for the epochs of the recipe; Ctrl-C ends it early, with the checkpoints of the epochs before.

    Args:
        module: What to train, in place.
        splits: On what, and by what to judge it after each epoch.
        folder: Where the checkpoints and the logs go.
        shown: Callbacks that show how it goes.
    """
    recipe = module.recipe
    checkpoints = [
        ModelCheckpoint(path.parent, path.stem, monitor=monitor, mode="max", enable_version_counter=False)
        for path, monitor in ((folder.best, "test_accuracy"), (folder.last, None))
    ]
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        precision=_precision(recipe),
        max_epochs=recipe.epochs,
        callbacks=[*checkpoints, FiringRateLog(), GradientNorms(), *shown],
        logger=[CSVLogger(folder.path, "", "csv"), TensorBoardLogger(folder.path, "", "tensorboard")],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in shown),
    )
    start = perf_counter()
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, Batches(splits.train, recipe.batch, recipe.seed), Batches(splits.test, recipe.batch))
    except SystemExit:
        if not trainer.interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # Lightning ignores Ctrl-C from the first one on
    return Fitted(trainer.current_epoch, perf_counter() - start, trainer.interrupted)


def judge(module: Classifier, samples: SampleSet) -> Score:
    """Shows the samples to a network, in evaluation mode and in the recipe's precision."""
    confusion = Confusion()
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        precision=_precision(module.recipe),
        callbacks=[confusion],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    rates = FiringRates()
    with rates.watch(module.model):
        trainer.validate(module, Batches(samples, module.recipe.batch), verbose=False)
    return Score(module.test_tally.accuracy, rates.rates, confusion.counts)


def _precision(recipe: Recipe) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    if recipe.precision == "32":
        return "32-true"
    return "16-mixed" if torch.cuda.is_available() else "bf16-mixed"
