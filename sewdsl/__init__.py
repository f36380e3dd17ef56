"""sewdsl: the compiler for the line in which papers print spiking networks.

>>> import sewdsl
>>> network = sewdsl.load("c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", input="2x128x128")
>>> network.total_parameters
130938
"""

from sewdsl.compiler import Compilation, Options, compile, load, read  # noqa: A004 -- what it does
from sewdsl.diagnostics import Diagnostic, SewdslError
from sewdsl.ir.network import Network, Node

__all__ = ["Compilation", "Diagnostic", "Network", "Node", "Options", "SewdslError", "compile", "load", "read"]
