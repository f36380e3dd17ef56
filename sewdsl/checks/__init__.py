"""network -> diagnostics: what can be proved before anything runs. One rule a file, found by looking.

Rules of other packages are found through the entry-point group ``sewdsl.rules``, each entry naming a package or module.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from sewdsl.diagnostics import Diagnostic
from sewdsl.ir.network import Network
from sewdsl.plugins import announced_modules

GROUP = "sewdsl.rules"
Rule = Callable[[Network, bool], Iterable[Diagnostic]]
"""Takes a network, and whether it is whole: without errors so far, up to its output."""


@cache
def rules() -> tuple[Rule, ...]:
    """The ``check`` function of every module of this package, and of those that other distributions announce."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    others = [module for _, module in announced_modules(GROUP) if callable(getattr(module, "check", None))]
    return tuple(module.check for module in (*modules, *others))


def check(network: Network, *, whole: bool = True) -> Iterator[Diagnostic]:
    """What every rule says of a network."""
    for rule in rules():
        yield from rule(network, whole)
