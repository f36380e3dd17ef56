"""sewdsl: a compiler from layer strings of spiking-network papers to PyTorch.

>>> import sewdsl
>>> network = sewdsl.load("c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", input="2x128x128")
>>> network.total_parameters
130938
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sewdsl import draw as draw
    from sewdsl import notation as notation
    from sewdsl import notebook as notebook
    from sewdsl.allocator import keep_memory as keep_memory
    from sewdsl.allocator import memory_kept as memory_kept
    from sewdsl.compiler import Compilation as Compilation
    from sewdsl.compiler import Options as Options
    from sewdsl.compiler import compile, load, networks
    from sewdsl.compiler import read as read
    from sewdsl.diagnostics import Diagnostic as Diagnostic
    from sewdsl.diagnostics import SewdslError as SewdslError
    from sewdsl.exchange.read.torch_modules import from_torch as from_torch
    from sewdsl.ir.network import Network as Network
    from sewdsl.ir.node import Node as Node
    from sewdsl.own_code import load_plugin as load_plugin
    from sewdsl.train.fit.from_python import evaluate, train_network
    from sewdsl.train.fit.from_python import resume_training as resume_training
    from sewdsl.train.fit.load_run import load_trained
    from sewdsl.train.torch_dataset import dataset

    __version__: str

__all__ = ["__version__", "compile", "dataset", "draw", "evaluate", "load", "load_trained", "networks", "train_network"]

_MODULES = ("draw", "notation", "notebook")
_HOMES = {
    **dict.fromkeys(("Compilation", "Options", "compile", "load", "networks", "read"), "sewdsl.compiler"),
    **dict.fromkeys(("Diagnostic", "SewdslError"), "sewdsl.diagnostics"),
    "Network": "sewdsl.ir.network",
    "Node": "sewdsl.ir.node",
    "evaluate": "sewdsl.train.fit.from_python",
    "from_torch": "sewdsl.exchange.read.torch_modules",
    "load_trained": "sewdsl.train.fit.load_run",
    **dict.fromkeys(("keep_memory", "memory_kept"), "sewdsl.allocator"),
    "dataset": "sewdsl.train.torch_dataset",
    "load_plugin": "sewdsl.own_code",
    **dict.fromkeys(("train_network", "resume_training"), "sewdsl.train.fit.from_python"),
}
"""Modules of the names in ``__all__``, and of less common names: errors, types, further functions."""


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    # Importing torch takes seconds, which programs that only parse need not wait for.
    if name in _MODULES:
        return import_module(f"sewdsl.{name}")
    if name == "__version__":
        value: Any = import_module("sewdsl.plugins").installed_version("sewdsl")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'sewdsl' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
