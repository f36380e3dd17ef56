"""tonic's transforms of events, where tonic is installed."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from sewdsl.train.data.dataset import DataError


def load_transforms(kind: str) -> ModuleType:
    """The module ``tonic.transforms``.

    Args:
        kind: The transform that needs it.

    Raises:
        DataError: tonic is not installed.
    """
    check_installed(kind)
    return importlib.import_module("tonic.transforms")


def check_installed(kind: str) -> None:
    """Looks whether tonic is installed, without loading it; for no transform, there is nothing to look for.

    Raises:
        DataError: it is not.
    """
    if kind and importlib.util.find_spec("tonic") is None:
        message = f"{kind} is tonic's, which is not installed: pip install 'sewdsl[data]'"
        raise DataError(message)
