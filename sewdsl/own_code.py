"""Plugin files: Python files with custom kinds, rules, datasets and callbacks."""

from __future__ import annotations

from pathlib import Path

from sewdsl.ir.kind import CATALOGUE
from sewdsl.ops import catalogue
from sewdsl.plugins import PluginError, PluginFile, forget_plugin_file, import_plugin_file, missing_members
from sewdsl.train.data import datasets
from sewdsl.train.data.dataset import DATASETS


def load_plugin(path: str | Path) -> PluginFile:
    """Import a Python file and register its kinds, datasets, ``check`` and ``callbacks``.

    Classes in a script are registered when they are defined, and do not need this function. A file that was imported
    before is imported again only if it has changed.

    Args:
        path: Python file. Its folder is appended to the search path for modules.

    Raises:
        PluginError: If the file cannot be read, is not Python or raises an error, or if a class lacks members that its
            family requires.
    """
    # Register sewdsl's own names first: a duplicate name is then an error of the file.
    catalogue()
    datasets()
    plugin = import_plugin_file(Path(path))
    try:
        for name, kind in CATALOGUE.items():
            if kind.__module__ == plugin.module.__name__:
                try:
                    kind.model_rebuild()
                except Exception as error:  # noqa: BLE001 -- annotations run foreign code
                    raise PluginError(f"'{path}': {name}: {str(error).partition(chr(10))[0]}") from None
                _require_members(path, name, kind, kind.__class_vars__)
        for name, data in DATASETS.items():
            if data.__module__ == plugin.module.__name__:
                _require_members(path, name, data, {"shape", "classes"})
    except PluginError:
        forget_plugin_file(plugin.module)
        raise
    return plugin


def _require_members(path: str | Path, name: str, kind: type, variables: set[str]) -> None:
    """Raise PluginError if a class lacks abstract methods or class variables."""
    if missing := missing_members(kind, variables):
        raise PluginError(f"'{path}': {name} does not define {missing}")
