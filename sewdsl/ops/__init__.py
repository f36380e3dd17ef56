"""The vocabulary of the language: a class per kind, found by looking, never listed.

Kinds of other packages are found through the entry-point group ``sewdsl.kinds``, each entry naming a package or module.
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
    """Every kind by name: those that ship with sewdsl in the order of the alphabet, then those of others."""
    for name in submodules(sys.modules[__name__]):
        importlib.import_module(name)
    kinds = sorted(CATALOGUE.items(), key=lambda item: item[0].casefold())
    CATALOGUE.clear()
    CATALOGUE.update(kinds)
    return CATALOGUE


@cache
def plugins() -> tuple[str, ...]:
    """Imports the packages that other distributions announce; their names.

    Asked only when a name is unknown or the whole vocabulary is listed: reading the metadata of every installed
    distribution costs more than compiling a small network.
    """
    catalogue()
    packages = {module.__name__: package for package, module in announced_modules(GROUP)}
    for name, kind in list(CATALOGUE.items()):
        if kind.__module__ in packages and not _complete(name, kind, packages[kind.__module__]):
            continue
        if lacking := missing_members(kind, kind.__class_vars__):
            warn(packages.get(kind.__module__, name), kind.__module__, f"{name} does not define {lacking}")
            del CATALOGUE[name]
    return tuple(dict.fromkeys(packages.values()))


def _complete(name: str, kind: type[Kind], package: str) -> bool:
    """Whether pydantic can check a kind's arguments; if not, it is warned of and left out."""
    try:
        kind.model_rebuild()
    except Exception as error:  # noqa: BLE001 -- whatever the annotations of others do
        warn(package, kind.__module__, f"{name}: {str(error).partition(chr(10))[0]}")
        del CATALOGUE[name]
        return False
    return True


def find(name: str) -> type[Kind] | None:
    """The kind of that name; other distributions are asked only for a name that sewdsl does not have."""
    if name not in catalogue():
        plugins()
    return CATALOGUE.get(name)
