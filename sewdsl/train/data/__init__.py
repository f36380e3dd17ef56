"""Datasets by name: classes in the modules of this folder, found by looking, never listed.

Its shape and its classes are known before its samples are read, and ``sewdsl check`` asks for them: the modules here
import torch and numpy inside the functions that need them.
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
    """Return the datasets that ship with sewdsl or are loaded, without those that lack a member, by their names."""
    _import_shipped()
    return {name: kind for name, kind in DATASETS.items() if not missing_members(kind)}


@functools.cache
def _import_shipped() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def find_dataset(name: str) -> type[DataSet] | None:
    """Return the dataset of a name; other distributions are asked only for a name that sewdsl does not have."""
    from sewdsl.ops import plugins

    if name not in datasets():
        plugins()
    kind = DATASETS.get(name)
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
    """Return the samples of a dataset, for a training loop of one's own; see :class:`Batches`.

    Args:
        name: As written after ``train on``.
        folder: Where it lies; None: where the environment variable ``SEWDSL_DATA`` says. Some travel with a package.
        steps: Time-steps T of sequences.
        shape: ``(C, H, W)`` of a sample, for datasets that have none of their own.
        subset: Whether only a part of the data may be there.
        in_memory: Bytes that the frames of a split may take in memory; see :class:`Reading`.

    Returns:
        ``train`` and ``test``, the same split as that of ``sewdsl train``.

    Raises:
        ValueError: If there is no such dataset, or it needs a shape.
        DataError: If its samples are missing, not all there, or damaged.
    """
    return make_dataset(name, folder, steps, shape, Reading(in_memory=in_memory), subset=subset).load()


def make_dataset(
    name: str, folder: str | Path | None, steps: int, shape: tuple[int, ...] | None, reading: Reading, *, subset: bool
) -> DataSet:
    """Return a dataset by its name, before its samples are loaded; see :func:`load`."""
    from sewdsl.elaborate.suggestions import did_you_mean

    kind = find_dataset(name)
    if kind is None:
        hint = did_you_mean(name, datasets()) or f"there are: {', '.join(sorted(datasets()))}"
        raise ValueError(f"unknown data set '{name}'; {hint}")
    if kind.shape is None and shape is None:
        raise ValueError(f"{name} has samples of any size; say which, as shape=(C, H, W)")
    place = Path(folder) if folder is not None else data_folders.data_folder_variable()
    return kind(DataOptions(place, steps, shape, subset=subset, reading=reading))
