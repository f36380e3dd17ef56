"""sewdsl: the compiler for the line in which papers print spiking networks.

>>> import sewdsl
>>> network = sewdsl.load("c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", input="2x128x128")
>>> network.total_parameters
130938
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sewdsl.allocator import keep_memory, memory_kept
    from sewdsl.compiler import Compilation, Options, compile, load, read  # noqa: A004 -- what it does
    from sewdsl.diagnostics import Diagnostic, SewdslError
    from sewdsl.exchange.read.torch_modules import from_torch
    from sewdsl.ir.network import Network
    from sewdsl.ir.node import Node
    from sewdsl.own_code import load_plugin
    from sewdsl.train.fit.load_run import load_trained
    from sewdsl.train.fit.train_network import resume_training, train_network
    from sewdsl.train.torch_dataset import dataset

__all__ = [
    "Compilation",
    "Diagnostic",
    "Network",
    "Node",
    "Options",
    "SewdslError",
    "compile",
    "dataset",
    "from_torch",
    "keep_memory",
    "load",
    "load_plugin",
    "load_trained",
    "memory_kept",
    "read",
    "resume_training",
    "train_network",
]

_COMPILER = dict.fromkeys(("Compilation", "Options", "compile", "load", "read"), "sewdsl.compiler")
_PLACES = {
    **_COMPILER,
    "Diagnostic": "sewdsl.diagnostics",
    "SewdslError": "sewdsl.diagnostics",
    "Network": "sewdsl.ir.network",
    "Node": "sewdsl.ir.node",
    "from_torch": "sewdsl.exchange.read.torch_modules",
    "load_trained": "sewdsl.train.fit.load_run",
    **dict.fromkeys(("keep_memory", "memory_kept"), "sewdsl.allocator"),
    "dataset": "sewdsl.train.torch_dataset",
    "load_plugin": "sewdsl.own_code",
    **dict.fromkeys(("train_network", "resume_training"), "sewdsl.train.fit.train_network"),
}
_MODULES = ("notation", "notebook")


def __getattr__(name: str) -> Any:
    """Looks a name up when it is asked for: the compiler takes a moment to import, and torch takes seconds."""
    if name in _MODULES:
        return import_module(f"sewdsl.{name}")
    if name not in _PLACES:
        message = f"module 'sewdsl' has no attribute {name!r}"
        raise AttributeError(message)
    network = import_module("sewdsl.ir.network").Network  # which notebooks show as a picture and a table
    network._repr_html_ = lambda shown: import_module("sewdsl.notebook").network_html(shown)
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
