"""Loading of trained networks, and batches of samples for them."""

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
    """Compile the network of a run, or raise RunError if spec.net or an import of a plugin file is missing."""
    if not folder.spec.is_file():
        raise RunError(f"'{folder.spec}' is missing")
    require_plugins(folder)
    return read(folder.spec)


def load_model(folder: RunFolder | str | Path, *, best: bool = False) -> SpikingNetwork:
    """Load the network of a finished run or of an exported folder, in evaluation mode.

    Args:
        best: Whether to load the weights of the best epoch instead of the last.

    Raises:
        RunError: If a file is missing or damaged, or an exported folder has no weights of that epoch.
        SewdslError: If the spec has errors.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))
    if folder.result.exists() or not is_exported(folder.path):
        # Use the number of threads of the run: it determines the order of sums, and thereby their rounding.
        torch.set_num_threads(folder.read_result().threads)
    compilation = load_spec(folder)
    network = compilation.result() if is_exported(folder.path) else plan_training(compilation).network
    recipe = network.recipe
    return _load(folder, network, best=best, optimize=recipe.optimize if recipe else 1)


def load_trained(folder: str | Path, *, best: bool = False, optimize: int = 1) -> SpikingNetwork:
    """Load the trained network in a folder, in evaluation mode and without executing code in the folder.

    Args:
        folder: Run folder, finished or not, or folder written by ``sewdsl export --to folder``.
        best: Whether to load the weights of the best epoch of a run instead of the last.
        optimize: See :func:`sewdsl.compile`.

    Raises:
        RunError: If weights are missing or damaged, or do not fit the network.
        SewdslError: If the network is missing or has errors.
    """
    return _load(RunFolder(Path(folder)), load(folder), best=best, optimize=optimize)


def _load(folder: RunFolder, network: Network, *, best: bool, optimize: int) -> SpikingNetwork:
    """Compile a network and load the weights in its folder, in evaluation mode."""
    path = folder.best if best else folder.last
    if is_exported(folder.path):
        path = folder.path / WEIGHTS
        if best and exported_epoch(folder) != "best":
            raise RunError(f"'{folder.path}' was exported without --best and has no weights of the best epoch")
    tensors = read_weights(path)
    # The seed separates the initial weights, which the file replaces, from the random numbers of a run that is taught.
    model = compile(network, seed=0, optimize=optimize)
    load_weights(model, tensors, path)
    return model.eval()


def exported_epoch(folder: RunFolder) -> str:
    """Return the epoch of the weights in an exported folder: ``last``, ``best``, or empty if they are not of a run.

    Raises:
        RunError: If the weights file is damaged.
    """
    return read_with_metadata(folder.path / WEIGHTS)[1].get(EPOCH, "")


def find_refusals(folder: RunFolder) -> dict[str, RunError | SewdslError]:
    """Return the errors that ``sewdsl eval`` raises for a run or an exported folder, by file name.

    The data and the weights of an unfinished run are not checked.
    """
    errors: dict[str, RunError | SewdslError] = {}
    model = None
    try:
        network, recipe, _ = plan_training(load_spec(folder))
        model = compile(network, optimize=recipe.optimize)
    except SewdslError as error:
        errors[folder.spec.name] = error
    except RunError as error:
        errors[(folder.plugins if folder.spec.is_file() else folder.spec).name] = error
    paths = (folder.path / WEIGHTS,) if is_exported(folder.path) else (folder.last, folder.best)
    for path in paths if folder.result.exists() or is_exported(folder.path) else ():
        try:
            tensors = read_weights(path)
            if model is not None:
                load_weights(model, tensors, path)
        except RunError as error:
            errors[path.name] = error
    return errors


def random_batches(samples: SampleSet, size: int, batches: int | None, seed: int) -> Batches:
    """Return batches of samples in random order, without augmentation.

    Args:
        size: Batch size. The last batch may be smaller.
        batches: Maximum number of batches, or None for all samples.
    """
    # A dataset may be sorted by class: its first samples are no fair selection.
    order = np.random.default_rng(seed).permutation(len(samples.y))
    selected = torch.from_numpy(order if batches is None else order[: size * batches])
    return Batches(samples.part(selected), size)
