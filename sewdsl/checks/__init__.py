"""Rules that check a network before it runs, one per module.

Packages add rules through the entry-point group ``sewdsl.rules``. An entry names a module with a ``check`` function. A
plugin file adds a rule by defining ``check``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from sewdsl.diagnostics import Diagnostic
from sewdsl.ir.network import Network
from sewdsl.plugins import announced_modules, plugin_files

GROUP = "sewdsl.rules"
Rule = Callable[[Network, bool], Iterable[Diagnostic]]
"""Function of a network and of a flag: whether the network is complete up to its output and has no errors."""


@cache
def rules() -> tuple[Rule, ...]:
    """Return the ``check`` functions of this package and of the entry points."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    others = [module for _, module in announced_modules(GROUP) if callable(getattr(module, "check", None))]
    return tuple(module.check for module in (*modules, *others))


def check(network: Network, *, whole: bool = True) -> Iterator[Diagnostic]:
    """Yield the diagnostics of all rules."""
    # Plugin files can be loaded at any time, so their rules are not part of the cached tuple.
    plugins: list[Rule] = [
        file.module.check for file in plugin_files() if callable(getattr(file.module, "check", None))
    ]
    for rule in (*rules(), *plugins):
        yield from rule(network, whole)
