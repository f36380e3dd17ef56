"""The vocabulary of the language: one file per kind, found by looking, never listed.

Kinds of other packages are found through the entry-point group ``sewdsl.kinds``, each entry naming a package or module.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType

from sewdsl.ir.kind import CATALOGUE, Kind

GROUP = "sewdsl.kinds"


def discover(package: ModuleType) -> None:
    """Imports every module below a package, so that the kinds defined there are registered."""
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
        importlib.import_module(module.name)


@cache
def catalogue() -> dict[str, type[Kind]]:
    """Every kind that ships with sewdsl, by name."""
    discover(importlib.import_module(__name__))
    return CATALOGUE


@cache
def plugins() -> tuple[str, ...]:
    """Imports the packages that other distributions announce; their names.

    Asked only when a name is unknown or the whole vocabulary is listed: reading the metadata of every installed
    distribution costs more than compiling a small network.
    """
    catalogue()
    found = entry_points(group=GROUP)
    for entry in found:
        discover(entry.load())
    return tuple(entry.name for entry in found)


def find(name: str) -> type[Kind] | None:
    """The kind of that name; other distributions are asked only for a name that sewdsl does not have."""
    if name not in catalogue():
        plugins()
    return CATALOGUE.get(name)
