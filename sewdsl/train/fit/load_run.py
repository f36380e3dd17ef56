"""The network that a run has trained, and samples to show to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sewdsl.compiler import Compilation, compile, load, read
from sewdsl.diagnostics import SewdslError
from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import SampleSet
from sewdsl.train.fit.run_weights import load_weights, read_weights, read_with_metadata
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_lookup import EPOCH, WEIGHTS, is_exported
from sewdsl.train.store.run_notes import require_plugins
from sewdsl.train.training_plan import plan_training


def load_spec(folder: RunFolder) -> Compilation:
    """Compile what a run has trained.

    Raises:
        RunError: If it is not in the folder, or was made with code that was not imported.
    """
    if not folder.spec.is_file():
        raise RunError(f"'{folder.spec}' is missing")
    require_plugins(folder)
    return read(folder.spec)


def load_model(folder: RunFolder | str | Path, *, best: bool = False) -> SpikingNetwork:
    """Return the network of a finished run or of an exported folder, in evaluation mode.

    The number of threads becomes that of the run: another number rounds sums in another order.

    Args:
        best: Whether to load the weights of the best epoch in place of the last.

    Raises:
        RunError: If a file is missing or damaged, or an exported folder does not hold the weights of that epoch.
        SewdslError: If its spec has errors.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))
    if folder.result.exists() or not is_exported(folder.path):
        torch.set_num_threads(folder.read_result().threads)
    compilation = load_spec(folder)
    network = compilation.result() if is_exported(folder.path) else plan_training(compilation).network
    recipe = network.recipe
    return _load(folder, network, best=best, optimize=recipe.optimize if recipe else 1)


def load_trained(folder: str | Path, *, best: bool = False, optimize: int = 1) -> SpikingNetwork:
    """Return the trained network in a folder, in evaluation mode; nothing in the folder is run.

    Args:
        folder: A run folder, also of an unfinished run, or one that ``sewdsl export --to folder`` has written.
        best: Whether to load the weights of a run's best epoch in place of its last.
        optimize: See :func:`sewdsl.compile`.

    Raises:
        RunError: If the folder has no such weights, or they are damaged or of another network.
        SewdslError: If there is no network in the folder, or it has errors.
    """
    return _load(RunFolder(Path(folder)), load(folder), best=best, optimize=optimize)


def _load(folder: RunFolder, network: Network, *, best: bool, optimize: int) -> SpikingNetwork:
    """Return a network with the weights in its folder, in evaluation mode."""
    path = folder.best if best else folder.last
    if is_exported(folder.path):
        path = folder.path / WEIGHTS
        if best and exported_epoch(folder) != "best":
            raise RunError(f"'{folder.path}' was exported without --best: the weights of the best epoch are not in it")
    tensors = read_weights(path)
    model = compile(network, optimize=optimize)
    load_weights(model, tensors, path)
    return model.eval()


def exported_epoch(folder: RunFolder) -> str:
    """Return the epoch of the weights in an exported folder: ``last`` or ``best``, or empty for weights of no run.

    Raises:
        RunError: If the file of weights is damaged.
    """
    return read_with_metadata(folder.path / WEIGHTS)[1].get(EPOCH, "")


def find_refusals(folder: RunFolder) -> dict[str, RunError | SewdslError]:
    """Return the errors that ``sewdsl eval`` raises for the files of a run or an exported folder, by file name.

    The weights of a run that has not ended are not looked at, nor is the data.
    """
    refusals: dict[str, RunError | SewdslError] = {}
    model = None
    try:
        network, recipe, _ = plan_training(load_spec(folder))
        model = compile(network, optimize=recipe.optimize)
    except SewdslError as error:
        refusals[folder.spec.name] = error
    except RunError as error:
        refusals[(folder.plugins if folder.spec.is_file() else folder.spec).name] = error
    paths = (folder.path / WEIGHTS,) if is_exported(folder.path) else (folder.last, folder.best)
    for path in paths if folder.result.exists() or is_exported(folder.path) else ():
        try:
            tensors = read_weights(path)
            if model is not None:
                load_weights(model, tensors, path)
        except RunError as error:
            refusals[path.name] = error
    return refusals


def random_batches(samples: SampleSet, size: int, batches: int | None, seed: int) -> Batches:
    """Return batches of samples in a random order, as they are; a dataset may lie sorted by class.

    Args:
        size: Samples in a batch; the last batch has what is left.
        batches: How many at most; None: all that there are.
    """
    order = np.random.default_rng(seed).permutation(len(samples.y))
    chosen = torch.from_numpy(order if batches is None else order[: size * batches])
    return Batches(samples.part(chosen), size)
