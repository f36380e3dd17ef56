"""Data sets by name: one file per data set, found by looking, never listed."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from sewdsl.train.data.dataset import DATASETS, DataSet


@functools.cache
def datasets() -> dict[str, type[DataSet]]:
    """Every data set that ships with sewdsl, by the name that a file says."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return DATASETS
