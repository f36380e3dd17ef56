"""Compilation of kernels on first use: numba on CPUs, Triton on CUDA devices."""

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
    """Return a kernel, compiled on first use.

    In a rehearsal, the kernel is only recorded, and the returned function does nothing.

    Args:
        render: Renderer of the text, e.g. from :mod:`sewdsl.snn.kernels.render_kernels`, which takes the function too.
        function: Name of the function in the text.
        **options: Keyword arguments of ``render``.
    """
    if compile_ahead.is_rehearsing():
        compile_ahead.request(_source(render(function, *arguments, **options)))
        return lambda *_: None
    return _compiled(render, function, *arguments, **options)


@cache
def _compiled(render: Callable[..., str], function: str, *arguments: object, **options: object) -> Kernel:
    source = _source(render(function, *arguments, **options))
    compile_ahead.provide(source)
    # Threads may request the same kernel concurrently, and `functools.cache` does not wait for a running call.
    with _lock:
        module = compile_cache.load_source(*source)
    kernel: Kernel = getattr(module, function)
    return kernel


def _source(text: str) -> compile_ahead.KernelSource:
    """Return the text of a kernel, and the versions that its compiled code depends on."""
    import llvmlite  # noqa: PLC0415 -- loaded only when a kernel is needed
    import numba  # noqa: PLC0415 -- loaded only when a kernel is needed

    return compile_ahead.KernelSource(text, f"numba {numba.__version__}, llvmlite {llvmlite.__version__}")


def launching_on(device: torch.device) -> AbstractContextManager[object]:
    """Return a context that launches kernels on a device."""
    # Triton launches on the current device, which may differ from that of the tensors.
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def has_tuples() -> bool:
    """Return whether Triton supports tuples (version 3.3 or later), which keep rows in registers."""
    from triton import language  # noqa: PLC0415 -- loaded only when a kernel is needed

    return hasattr(language, "tuple")


@cache
def load_kernels(render: Callable[..., str], *arguments: str) -> ModuleType:
    """Return the module of CUDA kernels that a renderer writes for its arguments."""
    import triton  # noqa: PLC0415 -- loaded only when a kernel is needed

    return compile_cache.load_source(render(*arguments), f"triton {triton.__version__}")
