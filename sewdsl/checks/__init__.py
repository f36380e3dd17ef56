"""network -> diagnostics: what can be proved before anything runs. One rule a file, found by looking.

Rules of other packages are found through the entry-point group ``sewdsl.rules``, each entry naming a package or module;
a plugin file has one where it defines ``check``.
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
"""Takes a network, and whether it is whole: without errors so far, up to its output."""


@cache
def rules() -> tuple[Rule, ...]:
    """The ``check`` function of every module of this package, and of those that other distributions announce."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    others = [module for _, module in announced_modules(GROUP) if callable(getattr(module, "check", None))]
    return tuple(module.check for module in (*modules, *others))


def check(network: Network, *, whole: bool = True) -> Iterator[Diagnostic]:
    """What every rule says of a network."""
    own: list[Rule] = [file.module.check for file in plugin_files() if callable(getattr(file.module, "check", None))]
    for rule in (*rules(), *own):
        yield from rule(network, whole)
