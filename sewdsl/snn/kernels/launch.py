"""Triton's kernels as modules, and their launches on a device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import ModuleType

import torch

from sewdsl.snn.kernels import compile_cache


def launching_on(device: torch.device) -> AbstractContextManager[object]:
    """Launch on the device of the tensors, whichever is the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def has_tuples() -> bool:
    """Return whether Triton's language has tuples, which keep rows in registers: it has from 3.3 on."""
    from triton import language  # noqa: PLC0415 -- as below

    return hasattr(language, "tuple")


@cache
def load_kernels(render: Callable[..., str], *arguments: str) -> ModuleType:
    """Return the module of CUDA kernels that a renderer writes for its arguments; Triton is loaded only now."""
    import triton  # noqa: PLC0415

    return compile_cache.load_source(render(*arguments), f"triton {triton.__version__}")
