"""The network that a run has trained, and samples to show to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sewdsl.compiler import Compilation, compile, read  # noqa: A004 -- what it does
from sewdsl.lower import SpikingNetwork
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import SampleSet
from sewdsl.train.fit import checkpoints
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training


def load_spec(folder: RunFolder) -> Compilation:
    """What a run has trained, compiled.

    Raises:
        RunError: it is not in the folder.
    """
    if not folder.spec.is_file():
        message = f"'{folder.spec}' is missing"
        raise RunError(message)
    return read(folder.spec)


def load_model(folder: RunFolder | str | Path, *, best: bool = False) -> SpikingNetwork:
    """The network of a run that has ended, in evaluation mode: with the running statistics that it has learned.

    As many threads compute as did in the run, since another number rounds sums in another order.

    Args:
        folder: Of the run, or the way to it.
        best: Whether with the weights of the best epoch; otherwise with those of the last.

    Raises:
        RunError: something in the folder is missing or damaged.
        SewdslError: its spec has errors.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))
    reported = folder.read_result()
    network, recipe, _ = plan_training(load_spec(folder))
    torch.set_num_threads(reported.threads)
    module = Classifier(compile(network, optimize=recipe.optimize), recipe)
    checkpoints.load_weights(module, folder.best if best else folder.last)
    return module.model.eval()


def random_batches(samples: SampleSet, size: int, batches: int | None, seed: int) -> Batches:
    """Batches of samples in a random order, as they are; a dataset may lie sorted by class.

    Args:
        samples: From which they are drawn, each at most once.
        size: Samples in a batch; the last batch has what is left.
        batches: How many at most; None: all that there are.
        seed: Of the order.
    """
    order = np.random.default_rng(seed).permutation(len(samples.y))
    chosen = torch.from_numpy(order if batches is None else order[: size * batches])
    return Batches(samples.part(chosen), size)
