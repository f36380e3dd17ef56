"""How torch runs a network: compiled or not, in TF32 or not, in 16-bit floats or not."""

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
    """Runs a network compiled on batches of one size, and as it is on all others.

    torch compiles for one shape: another one, such as that of the last batch of an epoch, would cost a compilation of
    its own for a thousandth of the samples. On CUDA GPUs it also records all that the forward and the backward pass
    launch as graphs, which are launched again at a stroke, with shapes and addresses that are fixed.

    What changes from step to step lies at fixed addresses: weights, and the running statistics of batch norm and their
    counts, are changed in place, and random numbers come from the GPU's generator, which a graph asks anew each time.
    """

    def __init__(self, model: SpikingNetwork, *, gpu: bool) -> None:
        self.model, self.graphs = model, gpu
        if gpu:
            model.compile(dynamic=False, mode="reduce-overhead")
        else:
            model.compile(dynamic=False)

    def for_batch(self, samples: int, compiled: int) -> Callable[..., Tensor]:
        """Return what a batch of training samples goes through.

        Args:
            samples: Number of samples in the batch.
            compiled: Number of samples that the network is compiled for.
        """
        if samples != compiled:
            return self.model.forward
        if self.graphs:
            # torch guesses where a step begins from the backward passes that are pending, and a batch that
            # was not compiled, or a pass that judges, came in between
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self.model

    def keep_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Move gradients out of a graph's memory, which the next batch overwrites: more will be added to them."""
        if self.graphs:
            for weight in weights:
                weight.grad = None if weight.grad is None else weight.grad.clone()


def compile_network(model: SpikingNetwork, *, gpu: bool) -> CompiledNetwork | None:
    """Let torch compile the network when it first runs; return what runs it compiled.

    Where there is no compiler, that is said, and the network stays as it is (None): the numbers are nearly the same.
    """
    if gpu:
        compiler, found = "Triton", find_spec("triton") is not None
    else:
        commands = (os.environ.get("CXX"), "g++", "clang++")
        compiler, found = "C++ compiler", any(shutil.which(name) for name in commands if name)
    if found:
        return CompiledNetwork(model, gpu=gpu)
    echo(f"note: the network is not compiled, for there is no {compiler} here", err=True)
    return None


@contextmanager
def tf32_allowed(allowed: bool | None) -> Iterator[None]:  # noqa: FBT001 -- a setting of the recipe
    """Let GPUs round the factors of convolutions and other products to TF32, or not, while something runs.

    Args:
        allowed: Whether they may; None: as torch has it.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    if allowed is not None:
        convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def autocast(precision: Precision, device: str) -> torch.autocast:
    """Round to 16 bits where it is safe, as a training in this precision does; in ``32-true`` nothing."""
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device, dtype, enabled=precision != "32-true", cache_enabled=False)
