"""What is installed: versions, and packages that other distributions announce by entry points.

One of these that is broken is warned of, and left out.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from types import ModuleType
from typing import Any


class BrokenPackage(UserWarning):
    """What another distribution announces cannot be used; the message names the package and the module."""


def installed_version(distribution: str) -> str:
    """The version of a distribution; empty where it is not installed, such as a checkout that is run in place."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def announced_modules(group: str) -> Iterator[tuple[str, ModuleType]]:
    """Every module that the packages of a group have, with the package's name; warns of those that do not import.

    Args:
        group: Of entry points, each of which names a package or a module.
    """
    for entry in _announced().select(group=group):
        package = entry.dist.name if entry.dist else entry.name
        first = _imported(entry.module, package)
        if first is not None:
            yield package, first
            modules = (_imported(name, package) for name in submodules(first))
            yield from ((package, module) for module in modules if module is not None)


@cache
def _announced() -> Any:
    """Entry points of all distributions; to read their metadata takes longer than to compile a small network."""
    return entry_points()


def warn(package: str, module: str, why: object) -> None:
    """Says that a module of a package cannot be used."""
    warnings.warn(f"the package '{package}' is broken: {module}: {why}", BrokenPackage, stacklevel=2)


def submodules(package: ModuleType) -> Iterator[str]:
    """The names of all modules below a package."""
    for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}.", lambda _: None):
        yield found.name


def _imported(name: str, package: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 -- whatever the code of others does
        warn(package, name, f"{type(error).__name__}: {error}")
        return None
