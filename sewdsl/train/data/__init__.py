"""Registry of datasets: the classes in the modules of this package, and those of plugins.

``sewdsl check`` reads the shape and the number of classes without loading samples. To keep it fast, the modules
import torch and numpy inside functions.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path

from sewdsl.plugins import missing_members, warn
from sewdsl.train.data import data_folders
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import DATASETS, IN_MEMORY_BYTES, DataError, DataOptions, DataSet, Reading, Splits

__all__ = ["Batches", "DataError", "DataOptions", "DataSet", "Reading", "Splits", "datasets", "find_dataset", "load"]


def datasets() -> dict[str, type[DataSet]]:
    """Return the datasets by name: the shipped ones and those of loaded plugins that define every required member."""
    _import_shipped()
    return {name: kind for name, kind in DATASETS.items() if not missing_members(kind)}


@functools.cache
def _import_shipped() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def find_dataset(name: str) -> type[DataSet] | None:
    """Return the dataset class with a name, or None."""
    from sewdsl.ops import plugins

    # Importing plugins of other distributions is slow: search them for unknown names only.
    if name not in datasets():
        plugins()
    kind = DATASETS.get(name)
    # A plugin may define an incomplete class. Print a warning here instead of failing during a run.
    if kind is not None and (lacking := missing_members(kind)):
        module = kind.__module__
        warn(module.partition(".")[0], module, f"{name} does not define {lacking}")
        return None
    return kind


def load(
    name: str,
    folder: str | Path | None = None,
    *,
    steps: int = 1,
    shape: tuple[int, ...] | None = None,
    subset: bool = False,
    in_memory: int = IN_MEMORY_BYTES,
) -> Splits:
    """Load a dataset for a custom training loop (see :class:`Batches`).

    Args:
        name: Name of the dataset, as in ``train on NAME``.
        folder: Dataset folder, or folder of several datasets. The default is the environment variable
            ``SEWDSL_DATA``. Datasets that come with a package need no folder.
        steps: Number of time-steps T of a sequence.
        shape: ``(C, H, W)`` of a sample, for datasets without a fixed shape.
        subset: Whether to accept an incomplete dataset.
        in_memory: Largest split to cache in memory, in bytes (see :class:`Reading`).

    Returns:
        ``train`` and ``test``, split as in ``sewdsl train``.

    Raises:
        ValueError: If the name is unknown, or if the dataset requires a shape.
        DataError: If samples are missing or damaged.
    """
    return make_dataset(name, folder, steps, shape, Reading(in_memory=in_memory), subset=subset).load()


def make_dataset(
    name: str, folder: str | Path | None, steps: int, shape: tuple[int, ...] | None, reading: Reading, *, subset: bool
) -> DataSet:
    """Create a dataset without loading its samples (see :func:`load`)."""
    from sewdsl.syntax.suggestions import did_you_mean

    kind = find_dataset(name)
    if kind is None:
        hint = did_you_mean(name, datasets()) or f"available: {', '.join(sorted(datasets()))}"
        raise ValueError(f"unknown dataset '{name}'; {hint}")
    if kind.shape is None and shape is None:
        raise ValueError(f"dataset {name} has no fixed shape; pass shape=(C, H, W)")
    data_folder = Path(folder) if folder is not None else data_folders.data_folder_variable()
    return kind(DataOptions(data_folder, steps, shape, subset=subset, reading=reading))
