"""Steps to measure, equal for all contenders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.contenders.model import Model
from benchmarks.workload import Workload

LEARNING_RATE = 1e-3
"""Learning rate, small enough that nothing diverges."""
STEPS, SAMPLES = 4, 2
"""Size of a part of a batch."""


@dataclass(frozen=True)
class Batch:
    """Input of a step.

    Attributes:
        x: ``[N, C, H, W]`` if static, else ``[T, N, C, H, W]``.
        y: Classes of a network's samples ``[N]``, or for a layer the gradient of its spikes ``[T, N, C, H, W]``.
    """

    x: Tensor
    y: Tensor

    def part(self, workload: Workload, dtype: torch.dtype) -> Batch:
        """Return a copy of the first time-steps and samples."""
        x = self.x[:SAMPLES] if workload.static else self.x[:STEPS, :SAMPLES]
        if workload.layer:
            return Batch(x.to(dtype, copy=True), self.y[:STEPS, :SAMPLES].to(dtype, copy=True))
        return Batch(x.to(dtype, copy=True), self.y[:SAMPLES])


def batch(workload: Workload) -> Batch:
    """Return random values with mean 1/2 and deviation 1, equal in every process."""
    random = torch.Generator().manual_seed(1)
    shape = (workload.steps, workload.samples, *workload.shape)
    # With this mean, bare neurons fire too.
    x = torch.randn(shape[1:] if workload.static else shape, generator=random) + 0.5
    if workload.layer:
        y = torch.randn(shape, generator=random)
    else:
        y = torch.arange(workload.samples).remainder(workload.classes)
    return Batch(x.to(workload.device), y.to(workload.device))


def outputs(model: Model, workload: Workload, x: Tensor) -> Tensor:
    """Return logits or spikes, under autocast if the workload uses it."""
    with torch.autocast(workload.device, torch.bfloat16, enabled=workload.precision == "bf16"):
        return model.forward(x)


def step(model: Model, workload: Workload, batch: Batch) -> Callable[[], None]:
    """Return one step as a function: of a layer, of training, or of inference."""
    if workload.layer:
        return _layer_step(model, workload, batch)
    return _training_step(model, workload, batch) if workload.train else _inference_step(model, workload, batch)


def first(model: Model, workload: Workload, batch: Batch) -> None:
    """Run one step on part of the batch."""
    # Some libraries import a hundred megabytes of Python on first use, which belongs to no step.
    step(model, workload, batch.part(workload, torch.float32))()
    model.module.zero_grad()


def _layer_step(model: Model, workload: Workload, batch: Batch) -> Callable[[], None]:
    x = batch.x.requires_grad_()

    def run() -> None:
        x.grad = None
        spikes = outputs(model, workload, x)
        torch.autograd.backward(spikes, batch.y)
        model.reset()

    return run


def _training_step(model: Model, workload: Workload, batch: Batch) -> Callable[[], None]:
    model.module.train()
    optimizer = torch.optim.SGD(model.module.parameters(), LEARNING_RATE)

    def run() -> None:
        optimizer.zero_grad()
        logits = outputs(model, workload, batch.x)
        # Under autocast, logits may be bfloat16.
        loss = functional.cross_entropy(logits.float(), batch.y)
        torch.autograd.backward(loss)
        optimizer.step()
        model.reset()

    return run


def _inference_step(model: Model, workload: Workload, batch: Batch) -> Callable[[], None]:
    model.module.eval()

    def run() -> None:
        with torch.inference_mode():
            outputs(model, workload, batch.x)
        model.reset()

    return run
