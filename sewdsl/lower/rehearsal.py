"""Rehearsal of a training step: a forward and a backward pass in which a network requests all of its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed

from sewdsl.ir.network import Network
from sewdsl.lower.forward_pass import ForwardPass, unchanged
from sewdsl.passes.plan import ExecutionPlan
from sewdsl.snn.autocast import autocast_dtype
from sewdsl.snn.hooks import has_hooks

MAX_ELEMENTS = 1 << 20
"""Values of an input that a rehearsal computes with: of a larger input, it takes fewer samples."""
MIN_SAMPLES = 2
"""Batch norm has no statistics of one value."""


class Rehearsal(NamedTuple):
    """A forward pass that may be rehearsed in another thread.

    Attributes:
        plan: How the pass is computed, which depends on the size of the whole batch.
        modules: By node; None for the input.
        shape: Of the input, ``[T, N, *]``.
        static: Whether all time-steps of the input are the same.
        gradients: Whether a backward pass follows.
        autocast: Dtype of autocast; None: off.
    """

    network: Network
    plan: ExecutionPlan
    modules: Sequence[Any]
    shape: torch.Size
    dtype: torch.dtype
    static: bool
    gradients: bool
    autocast: torch.dtype | None

    @classmethod
    def of(
        cls, network: Network, plan: ExecutionPlan, modules: Sequence[Any], x_TN: Tensor, *, static: bool
    ) -> Rehearsal:
        """Return the rehearsal of a pass that is about to run in this thread."""
        gradients, autocast = torch.is_grad_enabled(), autocast_dtype(x_TN.device.type)
        return cls(network, plan, modules, x_TN.shape, x_TN.dtype, static, gradients, autocast)

    def run(self) -> None:
        """Run the pass on zeros. Weights, gradients, running statistics and random numbers stay as they are.

        Nothing is done if others would notice: hooks, or other processes that share statistics.
        """
        modules = [each for module in self.modules[1:] for each in module.modules()]
        if any(map(has_hooks, modules)) or (distributed.is_available() and distributed.is_initialized()):
            return
        T, N, *size = self.shape
        samples = min(N, max(MIN_SAMPLES, MAX_ELEMENTS * N // self.shape.numel()))
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=()))
            stack.enter_context(torch.set_grad_enabled(self.gradients))
            stack.enter_context(torch.autocast("cpu", self.autocast, enabled=self.autocast is not None))
            stack.enter_context(unchanged(modules))
            x_TN = torch.zeros(T, samples, *size, dtype=self.dtype)
            values = {0: x_TN[:1] if self.static else x_TN}
            ForwardPass(self.network, self.plan, self.modules, T, None).run(values)
            outputs = [y_TN.sum() for y_TN in values.values() if y_TN.requires_grad]
            weights = [weight for module in self.modules[1:] for weight in module.parameters() if weight.requires_grad]
            if outputs and weights:
                torch.autograd.grad(torch.stack(outputs).sum(), weights, allow_unused=True)
