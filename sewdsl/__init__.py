"""sewdsl: the compiler for the line in which papers print spiking networks.

>>> import sewdsl
>>> network = sewdsl.load("c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", input="2x128x128")
>>> network.total_parameters
130938
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sewdsl.compiler import Compilation, Options, compile, load, read  # noqa: A004 -- what it does
from sewdsl.diagnostics import Diagnostic, SewdslError
from sewdsl.ir.network import Network, Node

if TYPE_CHECKING:
    from sewdsl.export.incoming.modules import from_torch

__all__ = [
    "Compilation",
    "Diagnostic",
    "Network",
    "Node",
    "Options",
    "SewdslError",
    "compile",
    "from_torch",
    "load",
    "read",
]


def __getattr__(name: str) -> Any:
    """What takes time to import, as torch does, and is looked up when it is asked for."""
    if name == "from_torch":
        from sewdsl.export.incoming.modules import from_torch  # noqa: PLC0415 -- as above

        return from_torch
    if name in {"notation", "notebook"}:
        return import_module(f"sewdsl.{name}")
    message = f"module 'sewdsl' has no attribute {name!r}"
    raise AttributeError(message)


def _html(network: Network) -> str:
    from sewdsl.notebook import network_html  # noqa: PLC0415 -- only notebooks ask for it

    return network_html(network)


Network._repr_html_ = _html  # type: ignore[attr-defined]
