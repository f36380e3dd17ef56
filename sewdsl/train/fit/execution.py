"""Execution of a network by PyTorch: torch.compile, TF32 and 16-bit autocast."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from sewdsl.lower import SpikingNetwork
from sewdsl.terminal import echo
from sewdsl.train.store.result import Precision


class CompiledNetwork:
    """Network that runs compiled for batches of one size, and uncompiled for all others.

    PyTorch compiles for one shape. Another shape, such as the last batch of an epoch, would need its own compilation
    for a small fraction of the samples. On CUDA GPUs, the forward and the backward pass are recorded as CUDA graphs.
    They require fixed shapes and addresses: weights and running statistics change in place, and random numbers come
    from the generator of the GPU, which each replay of a graph advances.
    """

    def __init__(self, model: SpikingNetwork, *, gpu: bool) -> None:
        self.model, self.graphs = model, gpu
        if gpu:
            model.compile(dynamic=False, mode="reduce-overhead")
        else:
            model.compile(dynamic=False)

    def for_batch(self, samples: int, compiled: int) -> Callable[..., Tensor]:
        """Return the callable for a batch of training samples.

        Args:
            compiled: Number of samples that the network is compiled for.
        """
        if samples != compiled:
            return self.model.forward
        if self.graphs:
            # PyTorch infers the start of a step from pending backward passes. Uncompiled batches and evaluations
            # mislead it.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self.model

    def keep_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Move gradients out of the memory of a CUDA graph, to accumulate the gradients of further batches."""
        if self.graphs:
            # The next replay of the graph overwrites its memory.
            for weight in weights:
                weight.grad = None if weight.grad is None else weight.grad.clone()


def compile_network(model: SpikingNetwork, *, gpu: bool) -> CompiledNetwork | None:
    """Prepare the compilation of a network on its first run, or return None without a compiler.

    Without a compiler, the function prints a note. Uncompiled results are equal up to rounding.
    """
    if gpu:
        compiler, available = "Triton", find_spec("triton") is not None
    else:
        commands = (os.environ.get("CXX"), "g++", "clang++")
        compiler, available = "C++ compiler", any(shutil.which(name) for name in commands if name)
    if available:
        return CompiledNetwork(model, gpu=gpu)
    echo(f"note: the network is not compiled: no {compiler} found", err=True)
    return None


@contextmanager
def tf32_allowed(allowed: bool | None) -> Iterator[None]:  # noqa: FBT001 -- a setting of the recipe
    """Allow or forbid TF32 in convolutions and matrix products on GPUs within a context (None: unchanged)."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    if allowed is not None:
        convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def autocast(precision: Precision, device: str) -> torch.autocast:
    """Return an autocast context for a training precision, disabled for ``32-true``."""
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device, dtype, enabled=precision != "32-true", cache_enabled=False)
