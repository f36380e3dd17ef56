"""Compilation of kernels on first use: numba on CPUs, Triton on CUDA devices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Lock
from types import ModuleType

import torch

from sewdsl.snn.kernels import compile_ahead, compile_cache
from sewdsl.snn.kernels.render_kernels import render_kernel

Kernel = Callable[..., None]

_lock = Lock()


def compile_template(template: str, function: str, stored: str, **constants: int) -> Kernel:
    """Return a kernel of a CPU template, compiled on first use (see :func:`render_kernel`)."""
    return compile_kernel(function, render_kernel(template, function, stored, **constants))


def compile_kernel(function: str, text: str) -> Kernel:
    """Return a CPU kernel, compiled on first use.

    In a rehearsal, the kernel is only recorded, and the returned function does nothing.

    Args:
        function: Name of the function in the text.
    """
    if compile_ahead.is_rehearsing():
        compile_ahead.request(_source(text))
        return lambda *_: None
    return _compiled(function, text)


@cache
def _compiled(function: str, text: str) -> Kernel:
    source = _source(text)
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


@cache
def load_kernels(text: str) -> ModuleType:
    """Return the module of the CUDA kernels in a text."""
    import triton  # noqa: PLC0415 -- loaded only when a kernel is needed

    return compile_cache.load_source(text, f"triton {triton.__version__}")
