"""A file of one's own Python: its kinds, rules, data sets and callbacks are known once it is imported."""

from __future__ import annotations

from pathlib import Path

from sewdsl.ir.kind import CATALOGUE
from sewdsl.ops import catalogue
from sewdsl.plugins import PluginError, PluginFile, forget_plugin_file, import_plugin_file, missing_members
from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DATASETS


def load_plugin(path: str | Path) -> PluginFile:
    """Import a file of Python; what it defines is known from then on: kinds, data sets, ``check``, ``callbacks``.

    A class that a script itself defines needs none of it: it is known as soon as it is defined. A file that was
    imported before is imported anew if it has changed, and not if it has not.

    Args:
        path: The file; its folder is searched for modules that it imports, after all other places.

    Raises:
        PluginError: it cannot be read, is no Python or raises; or a class in it does not define what its family must.
    """
    catalogue()  # so that the second to define a name is the file, and the error is its
    datasets()
    found = import_plugin_file(Path(path))
    try:
        for name, kind in CATALOGUE.items():
            if kind.__module__ == found.module.__name__:
                try:
                    kind.model_rebuild()
                except Exception as error:  # noqa: BLE001 -- whatever the annotations do
                    raise PluginError(f"'{path}': {name}: {str(error).partition(chr(10))[0]}") from None
                _require_whole(path, name, kind, kind.__class_vars__)
        for name, data in DATASETS.items():
            if data.__module__ == found.module.__name__:
                _require_whole(path, name, data, {"shape", "classes"})
    except PluginError:
        forget_plugin_file(found.module)
        raise
    return found


def _require_whole(path: str | Path, name: str, kind: type, variables: set[str]) -> None:
    """Refuse a class that lacks something."""
    if lacking := missing_members(kind, variables):
        raise PluginError(f"'{path}': {name} does not define {lacking}")
