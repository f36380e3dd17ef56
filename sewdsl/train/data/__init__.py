"""Data sets by name: one file per data set, found by looking, never listed.

Its shape and its classes are known before its samples are read, and ``sewdsl check`` asks for them: the modules here
import torch and numpy inside the functions that need them.
"""

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
