"""network -> diagnostics: what can be proved before anything runs. One rule a file, found by looking."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from sewdsl.diagnostics import Diagnostic
from sewdsl.ir.network import Network

Rule = Callable[[Network, bool], Iterable[Diagnostic]]
"""Takes a network, and whether it is whole: without errors so far, up to its output."""


@cache
def rules() -> tuple[Rule, ...]:
    """The ``check`` function of every module of this package."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return tuple(module.check for module in modules)


def check(network: Network, *, whole: bool = True) -> Iterator[Diagnostic]:
    """What every rule says of a network."""
    for rule in rules():
        yield from rule(network, whole)
