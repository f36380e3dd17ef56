"""A network compiled by torch, where there is something to compile with."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from sewdsl.lower import SpikingNetwork
from sewdsl.terminal import echo


def compile_in_place(model: SpikingNetwork, *, gpu: bool) -> None:
    """Lets torch compile the network when it first runs; its weights keep their names.

    Where there is no compiler, that is said, and the network stays as it is: the numbers are nearly the same.

    Args:
        model: The network.
        gpu: Whether it runs on one.
    """
    missing = _missing(gpu=gpu)
    if missing:
        echo(f"note: the network is not compiled, for there is no {missing} here", err=True)
    else:
        model.compile()


def _missing(*, gpu: bool) -> str | None:
    if gpu:
        return None if find_spec("triton") else "Triton"
    compilers = (os.environ.get("CXX"), "g++", "clang++")
    return None if any(shutil.which(name) for name in compilers if name) else "C++ compiler"
