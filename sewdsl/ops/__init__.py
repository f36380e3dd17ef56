"""Kinds of the language, one class each, discovered by importing all modules of this package.

Kinds of other packages are found through the entry-point group ``sewdsl.kinds``. Each entry names a package or module.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache

from sewdsl.ir.kind import CATALOGUE, Kind
from sewdsl.plugins import announced_modules, missing_members, submodules, warn

GROUP = "sewdsl.kinds"


@cache
def catalogue() -> dict[str, type[Kind]]:
    """Return all kinds by name: those of sewdsl in alphabetical order, then those of plugins."""
    # Kinds register themselves when their module is imported.
    for name in submodules(sys.modules[__name__]):
        importlib.import_module(name)
    kinds = sorted(CATALOGUE.items(), key=lambda item: item[0].casefold())
    # Other modules hold a reference to the dict, so it is changed in place.
    CATALOGUE.clear()
    CATALOGUE.update(kinds)
    return CATALOGUE


@cache
def plugins() -> tuple[str, ...]:
    """Import the packages announced by other distributions, and return their names."""
    # Callers use this function only for unknown names and for listing all names, because reading the metadata of every
    # installed distribution takes longer than compiling a small network.
    catalogue()
    packages = {module.__name__: package for package, module in announced_modules(GROUP)}
    for name, kind in list(CATALOGUE.items()):
        # A broken plugin must not prevent the use of other kinds.
        if kind.__module__ in packages and not _complete(name, kind, packages[kind.__module__]):
            continue
        if missing := missing_members(kind, kind.__class_vars__):
            warn(packages.get(kind.__module__, name), kind.__module__, f"{name} does not define {missing}")
            del CATALOGUE[name]
    return tuple(dict.fromkeys(packages.values()))


def _complete(name: str, kind: type[Kind], package: str) -> bool:
    """Return whether pydantic can build the schema of a kind. If not, print a warning and remove the kind."""
    try:
        kind.model_rebuild()
    except Exception as error:  # noqa: BLE001 -- annotations of plugins may raise any exception
        warn(package, kind.__module__, f"{name}: {str(error).partition(chr(10))[0]}")
        del CATALOGUE[name]
        return False
    return True


def find(name: str) -> type[Kind] | None:
    """Return the kind of a name, or None. Plugins are imported only if sewdsl has no such kind."""
    if name not in catalogue():
        plugins()
    return CATALOGUE.get(name)


def is_reserved(name: str) -> bool:
    """Return whether the name is that of a kind, and cannot be given to blocks, neurons or values."""
    kind = find(name)
    return kind is not None and kind.reserves_name
