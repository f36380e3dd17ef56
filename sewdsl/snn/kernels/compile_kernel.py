"""Kernels as functions, compiled when they are first asked for: by numba on CPUs, by Triton on CUDA devices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Lock
from types import ModuleType

import torch

from sewdsl.snn.kernels import compile_ahead, compile_cache

Kernel = Callable[..., None]

_lock = Lock()


def compile_kernel(render: Callable[..., str], function: str, *arguments: object, **options: object) -> Kernel:
    """Return a function of a kernel's text, compiled when it is first asked for.

    In a rehearsal, the text is noted and the function computes nothing.

    Args:
        render: Gives the text, one of :mod:`sewdsl.snn.kernels.render_kernels`.
        function: Which of the text's functions.
        *arguments: Of ``render``.
        **options: The same, by name.
    """
    if compile_ahead.is_rehearsing():
        compile_ahead.request(_source(render(*arguments, **options)))
        return lambda *_: None
    return _compiled(render, function, *arguments, **options)


@cache
def _compiled(render: Callable[..., str], function: str, *arguments: object, **options: object) -> Kernel:
    source = _source(render(*arguments, **options))
    compile_ahead.provide(source)
    with _lock:
        module = compile_cache.load_source(*source)
    kernel: Kernel = getattr(module, function)
    return kernel


def _source(text: str) -> compile_ahead.KernelSource:
    """Return the text of a kernel with the versions that its compiled code depends on."""
    import llvmlite  # noqa: PLC0415 -- loaded only when a kernel is needed
    import numba  # noqa: PLC0415 -- as above

    return compile_ahead.KernelSource(text, f"numba {numba.__version__}, llvmlite {llvmlite.__version__}")


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
