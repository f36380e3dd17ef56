"""Cases: each module of this package defines one as ``CASE``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.case import Case


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    modules = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
    all_cases: list[Case] = [module.CASE for module in modules]
    return {case.name: case for case in all_cases}
