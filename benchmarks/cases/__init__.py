"""The cases: every module here states one as ``CASE``; nothing else lists them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.case import Case


def cases() -> dict[str, Case]:
    """All cases by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    found: list[Case] = [module.CASE for module in modules]
    return {case.name: case for case in found}
