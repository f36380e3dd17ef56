"""The network that a run has trained, and samples to show to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors import SafetensorError

from sewdsl.compiler import Compilation, compile, read  # noqa: A004 -- what it does
from sewdsl.lower import SpikingNetwork
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import SampleSet
from sewdsl.train.fit import checkpoints
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.store.exported_folder import EPOCH, WEIGHTS, is_exported
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_plugins import require_plugins
from sewdsl.train.training_plan import plan_training


def load_spec(folder: RunFolder) -> Compilation:
    """What a run has trained, compiled.

    Raises:
        RunError: it is not in the folder, or was made with code that was not imported.
    """
    if not folder.spec.is_file():
        message = f"'{folder.spec}' is missing"
        raise RunError(message)
    require_plugins(folder)
    return read(folder.spec)


def load_model(folder: RunFolder | str | Path, *, best: bool = False) -> SpikingNetwork:
    """The network of a run that has ended, in evaluation mode: with the running statistics that it has learned.

    Or the one that ``sewdsl export --to folder`` has written.

    As many threads compute as did in the run, since another number rounds sums in another order.

    Args:
        folder: Of the run, or the way to it.
        best: Whether with the weights of the best epoch; otherwise with those of the last.

    Raises:
        RunError: something in the folder is missing or damaged.
        SewdslError: its spec has errors.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))
    if is_exported(folder.path):
        return load_exported(folder, best=best)
    reported = folder.read_result()
    network, recipe, _ = plan_training(load_spec(folder))
    torch.set_num_threads(reported.threads)
    module = Classifier(compile(network, optimize=recipe.optimize), recipe)
    checkpoints.load_weights(module, folder.best if best else folder.last)
    return module.model.eval()


def exported_epoch(folder: RunFolder) -> str:
    """Whose weights an exported folder holds, ``last`` or ``best``; empty where they are of no run.

    Raises:
        RunError: the file of weights is damaged.
    """
    file = folder.path / WEIGHTS
    try:
        with safetensors.safe_open(file, "pt") as stored:
            return str((stored.metadata() or {}).get(EPOCH, ""))
    except (OSError, SafetensorError) as error:
        message = f"'{file}' is damaged: {error}"
        raise RunError(message) from None


def load_exported(folder: RunFolder, *, best: bool = False) -> SpikingNetwork:
    """The network in an exported folder, in evaluation mode.

    Args:
        folder: The folder.
        best: Whether the weights of the best epoch are asked for, which may not be those that are there.

    Raises:
        RunError: something in the folder is missing or damaged.
        SewdslError: its spec has errors.
    """
    network = load_spec(folder).result()
    if best and exported_epoch(folder) != "best":
        message = f"'{folder.path}' was exported without --best: the weights of the best epoch are not in it"
        raise RunError(message)
    file = folder.path / WEIGHTS
    if folder.result.exists():
        torch.set_num_threads(folder.read_result().threads)
    try:
        with safetensors.safe_open(file, "pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 -- it is no dictionary
    except (OSError, SafetensorError) as error:
        message = f"'{file}' is damaged: {error}"
        raise RunError(message) from None
    model = compile(network, optimize=network.recipe.optimize if network.recipe else 1)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        message = f"'{file}' has the weights of another network: {str(error).splitlines()[-1].strip()}"
        raise RunError(message) from None
    return model.eval()


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
