"""What one step does, the same for every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.contenders.model import Model
from benchmarks.workload import Workload

LEARNING_RATE = 1e-3
"""Small: weights move, and nothing diverges."""
STEPS, SAMPLES = 4, 2
"""How much of a batch its part has."""


@dataclass(frozen=True)
class Batch:
    """What a step reads.

    Attributes:
        x: ``[N, C, H, W]`` if static, else ``[T, N, C, H, W]``.
        y: The classes of a network's samples ``[N]``; of a layer, the gradient of its spikes ``[T, N, C, H, W]``.
    """

    x: Tensor
    y: Tensor

    def part(self, workload: Workload, dtype: torch.dtype) -> Batch:
        """The first time-steps and samples, copied."""
        x = self.x[:SAMPLES] if workload.static else self.x[:STEPS, :SAMPLES]
        if workload.layer:
            return Batch(x.to(dtype, copy=True), self.y[:STEPS, :SAMPLES].to(dtype, copy=True))
        return Batch(x.to(dtype, copy=True), self.y[:SAMPLES])


def batch(workload: Workload) -> Batch:
    """Random numbers around 1/2 with deviation 1, so that bare neurons fire too; the same in every process."""
    random = torch.Generator().manual_seed(1)
    whole = (workload.steps, workload.samples, *workload.shape)
    x = torch.randn(whole[1:] if workload.static else whole, generator=random) + 0.5
    if workload.layer:
        y = torch.randn(whole, generator=random)
    else:
        y = torch.arange(workload.samples).remainder(workload.classes)
    return Batch(x.to(workload.device), y.to(workload.device))


def outputs(model: Model, workload: Workload, x: Tensor) -> Tensor:
    """Logits or spikes, under autocast where the workload says so."""
    with torch.autocast(workload.device, torch.bfloat16, enabled=workload.precision == "bf16"):
        return model.forward(x)


def step(model: Model, workload: Workload, batch: Batch) -> Callable[[], None]:
    """One step as a function: of a layer, of training, or of inference."""
    if workload.layer:
        return _layer_step(model, workload, batch)
    return _training_step(model, workload, batch) if workload.train else _inference_step(model, workload, batch)


def first(model: Model, workload: Workload, batch: Batch) -> None:
    """One step on part of the batch, after which nothing is held that was not before, but what libraries load late.

    Some import a hundred megabytes of Python when they first run; that belongs to no step.
    """
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
